"""Which device a name means, and what `auto` takes: a graphics processor, else OpenCL on the processor, else NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flownet.devices.cpu.device import CPU
from flownet.devices.device import Device
from flownet.errors import FlownetError, near_names
from flownet.registry import Registry

__all__ = ["choose_device"]


def choose_device(
    name: str = "auto", registry: Registry | None = None, *, fallback: str = "warn", memory_limit: int | None = None
) -> Device:
    """The device called `name`: `auto`, `cpu`, `opencl`, `opencl:0`, `opencl:nvidia`, or a plugin's.

    fallback, memory_limit: as the OpenCL device takes them; the others have no use for them

    `device.reason` says what was taken and why. Raises FlownetError (`no-device`, `unknown-device`).
    """
    kind, _, rest = name.partition(":")
    options: dict[str, Any] = {
        "fallback": fallback, "memory_limit": memory_limit, "kernels": dict(registry.items("kernel")) if registry else None,
    }  # fmt: skip
    if kind == "auto":
        return _automatic(options)
    if kind == "cpu" and not rest:
        return _with_reason(CPU(), "asked for")
    if kind == "opencl":
        from flownet.devices.opencl.device import OpenCL

        return _with_reason(OpenCL(name, **options), "asked for")
    found = registry.find("device", kind) if registry else None
    if found is None:
        known = list(dict.fromkeys(["auto", "cpu", "opencl", *(registry.names("device") if registry else [])]))
        raise FlownetError.of(
            "unknown-device",
            f"there is no device `{name}`",
            help=near_names(kind, known) or f"known: {', '.join(known)}",
        )
    return _with_reason(found(), "asked for")


def _automatic(options: Mapping[str, Any]) -> Device:
    from flownet.devices.opencl.platforms import found_devices

    problems = []
    for found in found_devices():
        from flownet.devices.opencl.device import OpenCL

        try:
            device: Device = OpenCL(found.id, **options)
        except FlownetError as error:  # a driver that does not work is set aside, and said so
            problems.append(f"{found.describe()} was set aside: {error.diagnostics[0].message}")
            continue
        why = {"gpu": "a graphics processor", "cpu": "OpenCL on the processor, there is no GPU"}.get(
            found.type, found.type
        )
        return _with_reason(device, "; ".join([*problems, why]))
    return _with_reason(CPU(), "; ".join([*problems, "no OpenCL device was found"]))


def _with_reason(device: Any, reason: str) -> Device:
    notes = getattr(getattr(device, "runtime", None), "notes", [])
    device.reason = "; ".join([reason, *notes])
    return device
