"""The OpenCL device's passes in their order, with why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flownet.graph import Graph
from flownet.passes.absorb_broadcasts import absorb_broadcasts
from flownet.passes.assign_layouts import assign_layouts, block_images
from flownet.passes.fuse_elementwise import fuse_elementwise
from flownet.passes.fuse_epilogues import fuse_epilogues
from flownet.passes.fuse_reductions import fuse_reductions
from flownet.passes.lower import lower
from flownet.passes.merge_common_nodes import merge_common_nodes
from flownet.passes.pipeline import PIPELINE, Pass
from flownet.passes.recompute import recompute
from flownet.passes.remove_dead_nodes import remove_dead_nodes

__all__ = ["opencl_pipeline"]


def opencl_pipeline(
    fallback: str = "warn",
    kernels: Mapping[str, Any] | None = None,
    memory_limit: int | None = None,
    planned: Callable[[Graph], int] | None = None,
) -> tuple[Pass, ...]:
    """The general passes, then the compiler's.

    kernels:      the lowerings by name, those of the process's registry unless given
    memory_limit: bytes above which the values of a plan are to be fewer, if that is cheap; None for never
    planned:      what the values of a graph take as the device plans it
    """
    from flownet.registry import default_registry

    kernels = dict(default_registry().items("kernel")) if kernels is None else kernels
    return (
        *PIPELINE,
        Pass("lower", lambda graph, target: lower(graph, kernels, fallback), needed=True),
        Pass(
            "absorb_broadcasts", lambda graph, target: absorb_broadcasts(graph)
        ),  # before layouts: fewer shapes to lay out
        Pass(
            "merge_common_nodes_again", lambda graph, target: merge_common_nodes(graph)
        ),  # lowerings repeat themselves
        Pass("assign_layouts", assign_layouts),  # before fusion, which needs equal layouts
        Pass("block_images", block_images, needed=True),  # what is still plain, if that was switched off
        Pass("remove_dead_nodes_again", lambda graph, target: remove_dead_nodes(graph)),
        Pass("fuse_elementwise", lambda graph, target: fuse_elementwise(graph)),
        Pass(
            "fuse_reductions", lambda graph, target: fuse_reductions(graph)
        ),  # what feeds a reduction alone is never stored
        Pass("fuse_epilogues", fuse_epilogues),  # it takes whole fused groups into products and convolutions
        Pass(  # last: what is left is what will lie in memory
            "recompute",
            lambda graph, target: graph if memory_limit is None else recompute(graph, memory_limit, planned),
        ),
    )
