"""NumPy: the meaning of every op, and what other devices are tested against."""

from flownet.devices.cpu.device import CPU

__all__ = ["CPU"]
