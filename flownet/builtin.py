"""The plugin that flownet itself is: its ops, datasets, schedules and commands, by the same hooks as everybody's.

Ops are found by looking: every module of `flownet.ops` is imported, and every op class that it defines is one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

from flownet import initialisers
from flownet.hookspecs import hookimpl
from flownet.op import Op

__all__: list[str] = []


@hookimpl
def flownet_ops() -> Iterable[type]:
    import flownet.ops

    for info in pkgutil.walk_packages(flownet.ops.__path__, "flownet.ops."):
        module = importlib.import_module(info.name)
        for thing in vars(module).values():
            if (
                isinstance(thing, type)
                and issubclass(thing, Op)
                and thing.__module__ == info.name
                and "name" in vars(thing)
            ):
                yield thing


@hookimpl
def flownet_kernels() -> Mapping[str, Any]:
    from flownet.devices.opencl.lowerings import LOWERINGS

    return dict(LOWERINGS)


@hookimpl
def flownet_initialisers() -> Iterable[type]:
    return initialisers.BUILTIN.values()


@hookimpl
def flownet_datasets() -> Iterable[type]:
    from flownet.data import builtin_datasets

    return builtin_datasets().values()


@hookimpl
def flownet_augmentations() -> Iterable[type]:
    from flownet.data import builtin_augmentations

    return builtin_augmentations().values()


@hookimpl
def flownet_commands() -> Iterable[Any]:
    from flownet.cli.commands import builtin_commands

    return builtin_commands()


@hookimpl
def flownet_devices() -> Iterable[type]:
    from flownet.devices.cpu import CPU
    from flownet.devices.opencl.device import OpenCL

    return [CPU, OpenCL]


@hookimpl
def flownet_schedules() -> Iterable[type]:
    from flownet.training.schedules import BUILTIN

    return BUILTIN.values()
