"""Work-groups put sums, maxima and minima together by sub-groups where there are any, and by local memory where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.devices.opencl import sub_groups
from flownet.devices.opencl.kernels.reduction import reduction
from flownet.devices.opencl.kernels.work_group import combined
from flownet.devices.opencl.sub_groups import offered_sub_groups, with_sub_groups
from flownet.devices.opencl.target import Target
from flownet.executor import Session
from flownet.expression import parse
from flownet.graph import Builder, Graph
from flownet.kernels import Reduce
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import WITHOUT_SHUFFLES, WITHOUT_SUB_GROUPS, gpu_ids, opened

pytestmark = pytest.mark.opencl


def reduced(device, x):
    """Sum, sum of squares, maximum and minimum of each row."""
    g = Builder(Graph())
    terms = (("sum", parse("x")), ("sum", parse("x * x")), ("max", parse("x")), ("min", parse("x")))
    op = Reduce(tuple((f"y{i}", kind, e) for i, (kind, e) in enumerate(terms)), ("x",), (1,))
    made = g.add(op, x=g.input("x", TensorType(DType.float32, x.shape)), name="y")
    g.graph.output(*(value.name for value in made))
    return [y.ravel() for y in Session(opened(device)).run(g.graph, {"x": x}).values()]


@pytest.mark.parametrize("device", gpu_ids())
@pytest.mark.parametrize("shape", [(3, 256), (2, 257), (5, 1000), (1, 40000)], ids=str)
def test_rows_are_reduced_as_in_double_precision(shape, device):
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    sums, squares, most, least = reduced(device, x)
    exact = x.astype(np.float64)
    # the sum of n numbers of size 1 in float32, by a tree: far below n / 256 roundings of the largest partial sum
    np.testing.assert_allclose(sums, exact.sum(1), atol=1e-6 * shape[1], rtol=1e-5)
    np.testing.assert_allclose(squares, (exact**2).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(most, x.max(1))
    np.testing.assert_array_equal(least, x.min(1))


@pytest.mark.parametrize("device", gpu_ids())
@pytest.mark.parametrize("place", [0, 31, 130, 255, 299])
def test_what_is_not_finite_comes_out_wherever_it_stands(place, device):
    x = np.random.default_rng(2).standard_normal((4, 300)).astype(np.float32)
    x[0, place], x[1, place], x[2, place] = np.nan, np.inf, -np.inf
    sums, squares, most, least = reduced(device, x)
    np.testing.assert_array_equal(most, x.max(1))
    np.testing.assert_array_equal(least, x.min(1))
    np.testing.assert_array_equal(np.isnan(sums), [True, False, False, False])
    np.testing.assert_array_equal(np.isinf(sums), [False, True, True, False])
    np.testing.assert_array_equal(squares[1:3], [np.inf, np.inf])


@pytest.mark.parametrize("device", gpu_ids())
def test_sums_have_the_same_bits_each_time(device):
    x = np.random.default_rng(3).standard_normal((7, 5000)).astype(np.float32)
    first, *again = ([y.tobytes() for y in reduced(device, x)] for _ in range(4))
    assert all(each == first for each in again)


@pytest.mark.parametrize("device", gpu_ids())
def test_a_device_is_used_as_what_it_has(device):
    target = opened(device).target
    ways = [way for way, _ in offered_sub_groups(opened(device).runtime.device)]
    if device.endswith(WITHOUT_SUB_GROUPS) or not ways:
        assert target.sub_groups == target.standard == ""
    else:
        assert target.sub_groups == ("reduce" if device.endswith(WITHOUT_SHUFFLES) else ways[0])
        assert f"-cl-std={target.standard}" in target.options


@pytest.mark.parametrize("way", ["", "reduce", "shuffle"])
def test_the_source_asks_for_what_the_target_has_alone(way):
    target = Target("gpu", 4, 64, sub_groups=way)
    kernel = reduction([("y", "max", parse("x"))], (3, 512), (1,), {"x": ((3, 512), "float32")}, target).kernels[0]
    text = kernel.source()
    assert ("sub_group_shuffle_xor(" in text) == (way == "shuffle")
    assert ("sub_group_reduce_max(" in text) == ("sub_group_any(" in text) == (way == "reduce")
    assert ("cl_khr_subgroups" in text) == bool(way)
    assert text.count("barrier(") == (1 if way else 3)  # the tree has one of them in a loop


@pytest.mark.parametrize(
    ("way", "wrong", "said"),
    [
        ("shuffle", "no_such_function();", "does not compile"),
        ("reduce", "a_max = fmax(a_max, 0);", "wrong results"),
    ],
)
@pytest.mark.parametrize("device", gpu_ids()[:1])
def test_sub_groups_that_lie_are_not_used(way, wrong, said, device, monkeypatch):
    """A driver that claims them, and does not compile them or drops NaN."""
    runtime, plain = opened(device).runtime, Target("gpu", 4, 64)
    monkeypatch.setattr(sub_groups, "offered_sub_groups", lambda device: [(way, "")])
    monkeypatch.setattr(sub_groups, "combined", lambda terms, items, target: [wrong, *combined(terms, items, plain)])
    target, (problem,) = with_sub_groups(runtime, plain)
    assert target == plain
    assert way in problem and said in problem
