"""Running a graph on a device, as a user's graph runs: through passes, a memory plan and a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flownet.devices.choose import choose_device
from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Graph

__all__ = ["RunOn", "device_of", "devices_here", "run_in_session"]

RunOn = Callable[[Any, Graph, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def run_in_session(
    device: Any, graph: Graph, inputs: Mapping[str, np.ndarray], registry: Any = None
) -> Mapping[str, np.ndarray]:
    """The outputs of the graph, run once on a device (a name or a `Device`) in a session of its own."""
    return Session(device_of(device, registry), check=True).run(graph, inputs)


def device_of(device: Any, registry: Any = None) -> Any:
    """The `Device` that a name means; a `Device` itself."""
    return choose_device(device, registry) if isinstance(device, str) else device


def devices_here(registry: Any = None) -> tuple[str, ...]:
    """The devices that an op is checked on unless told otherwise: `cpu`, and `opencl` where it works."""
    try:
        choose_device("opencl", registry)
    except FlownetError:
        return ("cpu",)
    return ("cpu", "opencl")
