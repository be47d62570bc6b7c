"""Every kind of tile of a matrix product through the whole compiler, with an epilogue and sums, whatever size would choose it.

Which tile is taken depends on sizes, and small ones never take most of them: a test of small products alone tries a few of them.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flownet.devices.opencl import emit
from flownet.devices.opencl.kernels.matmul import Matmul, MatmulTile
from flownet.devices.opencl.target import Target
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids, opened
from tests.passes.small_networks import op

pytestmark = pytest.mark.opencl


def tiles(p: Matmul, v: int, packed: bool) -> list[MatmulTile]:
    """Tiles of each number of columns, some of which end behind the last column or row, and sums of parts of k."""
    if p.m == 1:
        return [MatmulTile(1, 1, 1, panels, "dot") for panels in (1, 2)]
    found = []
    for columns in (1, 2, 3, 4):
        sources = ["packed"] if packed else ["panel"]
        if not packed and not p.transposed_b and p.n % (columns * v) == 0:
            sources.append("place")
        found += [MatmulTile(3, columns, 2, 2, source) for source in sources]
    return [*found, MatmulTile(3, 2, 1, 1, found[0].source, splits=3)]


class Forced:
    """In the place of `candidates`: one tile of each problem in each round."""

    def __init__(self) -> None:
        self.round, self.rounds = 0, 1

    def __call__(self, p: Matmul, target: Target, *, packed: bool = False) -> list[MatmulTile]:
        every = tiles(p, target.vector, packed)
        self.rounds = max(self.rounds, len(every))
        return [every[self.round % len(every)]]


@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize("transposed", [False, True], ids=["b", "bt"])
def test_products_with_an_epilogue_and_sums(device, transposed, monkeypatch):
    """y = tanh(a b + bias) + residual, and its sums over the rows; b a weight, which is packed, and an input, which is not."""
    opencl = opened(device)
    if opencl.target.kind == "gpu":
        pytest.skip("a GPU's products have one kind of tile")
    v = opencl.target.vector
    random = np.random.default_rng(0)
    graph, arrays, parameters, wanted = Graph(), {}, {}, {}
    g = Builder(graph)

    def given(name, *shape, weight=False):
        array = random.uniform(-1, 1, shape).astype(np.float32)
        (parameters if weight else arrays)[name] = array
        type_ = TensorType(DType.float32, shape)
        return (g.parameter(name, type_, 0.0) if weight else g.input(name, type_)), array.astype(np.float64)

    sizes = list(itertools.product([False, True], [8], [4 * v, 5 * v, 5 * v + 3]))
    if transposed:
        sizes += [(False, 1, 2 * v), (False, 1, 2 * v + 3)]  # `dot`
    for weight, m, n in sizes:
        depth = 2 * v if m == 1 else 37
        name = f"{'weight' if weight else 'input'} {m}x{n}"
        a, a_ = given(f"a {name}", m, depth)
        b, b_ = given(f"b {name}", *((n, depth) if transposed else (depth, n)), weight=weight)
        bias, bias_ = given(f"bias {name}", n)
        residual, residual_ = given(f"residual {name}", m, n)
        if transposed:
            product, b_ = g.add(op("dense", units=n), a, b, bias), b_.T
        else:
            product = g.add(op("add"), g.add(op("matmul"), a, b), bias)
        y = g.add(op("add"), g.add(op("tanh"), product), residual, name=f"y {name}")
        sums = g.add(op("sum", axes=(0,)), y, name=f"sums {name}")
        graph.outputs |= {y.name: y.name, sums.name: sums.name}
        wanted[y.name] = np.tanh(a_ @ b_ + bias_) + residual_
        wanted[sums.name] = wanted[y.name].sum(0)
    forced = Forced()
    monkeypatch.setattr(emit, "matmul_candidates", forced)
    while forced.round < forced.rounds:
        session = Session(opencl)
        plan = session.plan(graph, {})
        session.write(parameters)
        found = plan(arrays)
        for name, want in wanted.items():
            np.testing.assert_allclose(found[name], want, atol=1e-4, err_msg=f"{name}, tile {forced.round}")
        forced.round += 1
    assert forced.round >= 5
