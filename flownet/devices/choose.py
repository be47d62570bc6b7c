"""Which device a name means, and what `auto` takes: a graphics processor, else OpenCL on the processor, else NumPy.

`auto` and `opencl` go on to the next device where one cannot be opened, or failed a self-test; a warning names the one that is set
aside, and the one that is taken. Who names a device (`opencl:0`) gets that one, or the error.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

from flownet.devices.cpu.device import CPU
from flownet.devices.device import Device
from flownet.errors import Diagnostic, DiagnosticWarning, FlownetError, MachineError, near_names
from flownet.registry import Registry

if TYPE_CHECKING:
    from flownet.devices.opencl.device import OpenCL

__all__ = ["choose_device"]


def choose_device(
    name: str = "auto", registry: Registry | None = None, *, fallback: str = "warn", memory_limit: int | None = None
) -> Device:
    """The device called `name`: `auto`, `cpu`, `opencl`, `opencl:0`, `opencl:nvidia`, or a plugin's.

    fallback, memory_limit: as the OpenCL device takes them; the others have no use for them

    `device.reason` says what was taken and why. Raises FlownetError (`no-device`, `unknown-device`, `device-failed`, and `bad-value` for a
    `fallback` or a limit that means nothing).
    """
    if not isinstance(name, str):
        raise FlownetError.of(
            "unknown-device", f"a device is called by its name, got {name!r}", help='"auto" takes one'
        )
    if fallback not in (known := ("error", "warn", "cpu")):
        raise FlownetError.of(
            "bad-value", f"there is no fallback {fallback!r}",
            help=near_names(str(fallback), known) or f"known: {', '.join(known)}",
        )  # fmt: skip
    if memory_limit is not None and (not isinstance(memory_limit, Real) or not memory_limit >= 0):
        raise FlownetError.of(
            "bad-value",
            f"a memory limit is a number of bytes, got {memory_limit!r}",
            help="500_000_000, or None for no limit",
        )
    device = _chosen(name, registry, fallback, memory_limit)
    if memory_limit is not None and device.name != "opencl":
        _tell_of_no_limit(device)
    return device


def _chosen(name: str, registry: Registry | None, fallback: str, memory_limit: int | None) -> Device:
    kind, _, rest = name.partition(":")
    if rest and kind in ("auto", "cpu"):
        raise FlownetError.of(
            "unknown-device", f"there is no device `{name}`",
            help=f"there is one `{kind}`; `opencl:{rest}` names one of OpenCL's, and `flownet devices` lists them",
        )  # fmt: skip
    options: dict[str, Any] = {
        "fallback": fallback, "memory_limit": memory_limit, "kernels": dict(registry.items("kernel")) if registry else None,
    }  # fmt: skip
    if kind == "auto":
        return _first_that_works(options) or _with_reason(CPU(), "; ".join(_why_numpy()))
    if kind == "cpu":
        return _with_reason(CPU(), "asked for")
    if kind == "opencl":
        from flownet.devices.opencl.device import OpenCL

        if not rest and (device := _first_that_works(options, why="asked for", only=True)) is not None:
            return device
        named = OpenCL(name, **options)
        if named.tuning.failures:
            _tell_of(_failed(named), "it is taken all the same, since it was named")
        return _with_reason(named, "asked for")
    found = registry.find("device", kind) if registry else None
    if found is None:
        known = list(dict.fromkeys(["auto", "cpu", "opencl", *(registry.names("device") if registry else [])]))
        raise FlownetError.of(
            "unknown-device",
            f"there is no device `{name}`",
            help=near_names(kind, known) or f"known: {', '.join(known)}",
        )
    return _with_reason(found(), "asked for")


def _first_that_works(options: Mapping[str, Any], why: str = "", only: bool = False) -> Device | None:
    """The first OpenCL device that can be opened and failed no self-test; None where there is no device at all.

    only: raise FlownetError where no device works, in place of None
    """
    from flownet.devices.opencl.device import OpenCL
    from flownet.devices.opencl.platforms import driver_problems, found_devices

    aside: list[Diagnostic] = []
    taken: Device | None = None
    for found in found_devices():
        try:
            device = OpenCL(found.id, **options)
        except FlownetError as error:
            aside.append(
                replace(error.diagnostics[0], message=f"{found.id} is set aside: {error.diagnostics[0].message}")
            )
            continue
        if device.tuning.failures:
            aside.append(_failed(device, "set aside: it "))
            continue
        kind = {"gpu": "a graphics processor", "cpu": "OpenCL on the processor, there is no GPU"}.get(
            found.type, found.type
        )
        names = [name for name, _, _ in (each.message.partition(" ") for each in aside)]
        reasons = [why or kind, *(f"{name} was set aside" for name in names), *driver_problems()]
        taken = _with_reason(device, "; ".join(reasons))
        break
    if taken is None and only and aside:
        help = "`--device cpu` needs no driver; a device that only failed its self-test is taken where it is named"
        raise MachineError(replace(each, help=help) for each in aside)
    for each in aside:
        _tell_of(each, f"{taken.found.id} is taken" if taken is not None else "NumPy is taken")  # type: ignore[attr-defined]
    return taken


def _failed(device: OpenCL, aside: str = "") -> Diagnostic:
    """How a device failed its self-test."""
    wrong = tuple(f"{family}: {what}" for family, what in device.tuning.failures.items())
    found = device.found
    return Diagnostic(
        "device-failed",
        f"{found.id} {f'is {aside}' if aside else ''}failed its self-test",
        notes=(found.describe(), *wrong),
    )


def _why_numpy() -> list[str]:
    """Why `auto` takes no OpenCL device."""
    from flownet.devices.opencl.platforms import driver_problems, found_devices

    return ["no OpenCL device works" if found_devices() else "no OpenCL device was found", *driver_problems()]


def _tell_of(aside: Diagnostic, taken: str) -> None:
    found = Diagnostic(
        "device-set-aside", f"{aside.message}; {taken}", notes=aside.notes, severity="warning",
        help="`flownet devices --selftest` tries it again; `--device` names the one to take",
    )  # fmt: skip
    warnings.warn(DiagnosticWarning(found), stacklevel=4)


def _tell_of_no_limit(device: Device) -> None:
    found = Diagnostic(
        "no-effect", f"the memory limit has no effect on the device `{device.name}`",
        notes=("values are computed again in place of being kept where kernels are fused, which the OpenCL compiler does",),
        help="take `--device opencl`, or a smaller batch", severity="warning",
    )  # fmt: skip
    warnings.warn(DiagnosticWarning(found), stacklevel=3)


def _with_reason(device: Any, reason: str) -> Device:
    notes = getattr(getattr(device, "runtime", None), "notes", [])
    device.reason = "; ".join([reason, *notes])
    return device
