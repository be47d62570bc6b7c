"""Which sub-groups a device really has: what it says, held against numbers before anything is computed with it.

A device says so by the feature `__opencl_c_subgroups` (OpenCL C 3.0) or by the extension `cl_khr_subgroups` (OpenCL C 2.0), and by
`cl_khr_subgroup_shuffle` that values may be passed between the work-items of one. Either wants sources of its version of the language.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from flownet.devices.opencl.kernels.kernel import Argument, Kernel
from flownet.devices.opencl.kernels.work_group import SUB_GROUPS, combined
from flownet.devices.opencl.target import Target
from flownet.errors import FlownetError

__all__ = ["offered_sub_groups", "with_sub_groups"]

_ITEMS = 256


def offered_sub_groups(device: Any) -> list[tuple[str, str]]:
    """What a `pyopencl.Device` says: (how values go between work-items, version of the language), the best first."""
    extensions = device.extensions.split()
    try:
        features = {feature.name for feature in device.opencl_c_features}
    except (
        Exception
    ):  # a device from before OpenCL 3.0 does not know the question: whatever error PyOpenCL has for that
        features = set()
    if "__opencl_c_subgroups" in features:
        standard = "CL3.0"
    elif "cl_khr_subgroups" in extensions:
        standard = "CL2.0"
    else:
        return []
    ways = ["shuffle"] if "cl_khr_subgroup_shuffle" in extensions else []
    return [(way, standard) for way in (*ways, "reduce")]


def with_sub_groups(runtime: Any, target: Target) -> tuple[Target, list[str]]:
    """(the target with the best sub-groups that compute what they should, what was wrong with better ones)."""
    problems = []
    if target.kind == "gpu":
        for way, standard in offered_sub_groups(runtime.device):
            candidate = replace(target, sub_groups=way, standard=standard)
            problem = _problem(runtime, candidate)
            if not problem:
                return candidate, problems
            problems.append(f"sub-groups ({way}) are not used: {problem}")
    return target, problems


def _problem(runtime: Any, target: Target) -> str:
    """What is wrong with the sums, maxima and minima of work-groups; nothing if all is well."""
    terms = [(kind, f"a_{kind}", f"y[3 * g0 + {i}]") for i, kind in enumerate(("sum", "max", "min"))]
    body = [
        f"const int item = get_local_id(0); const float a = x[{_ITEMS} * g0 + item];",
        "float a_sum = a, a_max = a, a_min = a;",
        *combined(terms, _ITEMS, target),
    ]
    x = np.random.default_rng(0).standard_normal((4, _ITEMS)).astype(np.float32)
    x[1, 77], x[2, 200], x[3, 0], x[3, 255] = np.nan, np.inf, -np.inf, np.nan
    arguments = (Argument("x", "in", x.size), Argument("y", "out", 12))
    kernel = Kernel("sub_groups", tuple(body), arguments, (4, 1, 1), (SUB_GROUPS,), (_ITEMS, 1, 1))
    cl = runtime.cl
    try:
        built = cl.Kernel(runtime.build(kernel.source(), "the test of sub-groups", target.options), kernel.name)
        results = []
        for _ in range(2):
            y = np.zeros((4, 3), np.float32)
            buffers = [runtime.buffer_of(x), runtime.buffer_of(y)]
            built.set_args(*buffers)
            cl.enqueue_nd_range_kernel(runtime.queue, built, kernel.global_size(), kernel.local)
            cl.enqueue_copy(runtime.queue, y, buffers[1])
            results.append(y)
    except FlownetError as error:
        return error.diagnostics[0].message
    except cl.Error as error:
        return str(error)
    want = np.stack([x.sum(1, dtype=np.float64), x.max(1), x.min(1)], 1)
    if not np.allclose(results[0], want, rtol=1e-5, atol=1e-4, equal_nan=True):
        return "they give wrong results"
    return "" if results[0].tobytes() == results[1].tobytes() else "they give other results each time"
