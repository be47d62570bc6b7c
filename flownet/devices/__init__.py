"""Devices: `device.py` is the protocol, `cpu` is NumPy and the meaning of every op, `opencl` is the fast one."""
