"""Graphs of sizes around those at which tiles, shares and ways to sum change, on OpenCL against NumPy: outputs and gradients.

Small sizes never take most of them. A kernel compiles as fast for a large problem as for a small one, and many problems in one graph
faster than alone: each example is one graph. FLOWNET_EXAMPLES=50 looks at more, which differ from run to run.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.devices.opencl.opencl_devices import device_ids
from tests.devices.opencl.problems import floats, numbers_below, op
from tests.devices.opencl.test_random_shapes import EXAMPLES, assert_parity, few, with_gradients

pytestmark = pytest.mark.opencl

# not made smaller: a smaller problem takes as long to compile, and other tiles
as_found = settings(few, phases=[Phase.generate], max_examples=max(2, EXAMPLES - 1))

# the simplest is 193: the last block of columns is not whole, and there are several of rows
BESIDE_BLOCKS = st.builds(
    lambda unit, count, beside: unit * count + beside,
    st.sampled_from([64, 48, 16, 8]),
    st.sampled_from([3, 1, 2, 4, 5, 6]),
    st.sampled_from([1, 0, -1]),
)
MIDDLE = st.one_of(BESIDE_BLOCKS, st.integers(1, 400))
CHANNELS = st.sampled_from([17, 33, 40, 72, 100])


class Together:
    """Applications and arrays of several problems, for one graph."""

    def __init__(self, draw):
        self.draw = draw
        self.applications, self.arrays, self.inner = [], {}, set()

    def given(self, *shape):
        name = f"x{len(self.arrays)}"
        self.arrays[name] = floats(self.draw, *shape)
        return name

    def apply(self, name, *inputs, fetched=True, **attributes):
        made = op(name, **attributes)
        result = f"{name}_{len(self.applications)}"
        arguments = [f"x{i}" for i in range(len(inputs))] if made.variadic else made.signature_inputs
        self.applications.append((result, made, dict(zip(arguments, inputs, strict=False))))
        if not fetched:
            self.inner.add(result)
        return result

    def sums(self, x, rank):
        """Sums over the rows, as a bias's gradient is, and over columns or everything."""
        self.apply("sum", x, axes=(*range(rank - 1),))
        self.apply("sum", x, axes=self.draw(st.sampled_from([(rank - 1,), (*range(rank),)])))


@st.composite
def products(draw):
    t = Together(draw)
    for lead in ((), (), (draw(st.integers(2, 3)),)):
        m, k, n = draw(MIDDLE), draw(MIDDLE), draw(MIDDLE)
        product = t.apply("matmul", t.given(*lead, m, k), t.given(k, n), fetched=False)
        biased = t.apply("add", product, t.given(n), fetched=False)
        y = t.apply("sigmoid", biased, fetched=draw(st.booleans()))
        t.sums(y, len(lead) + 2)
        t.apply("add", y, t.given(*lead, m, n))
    return t


@st.composite
def layers(draw):
    t = Together(draw)
    x = t.given(draw(MIDDLE), draw(MIDDLE))
    for units in (draw(MIDDLE), draw(MIDDLE)):
        x = t.apply(
            "sigmoid",
            t.apply("dense", x, units=units, bias=draw(st.booleans()), fetched=False),
            fetched=draw(st.booleans()),
        )
    t.sums(x, 2)
    rows, classes = draw(BESIDE_BLOCKS), draw(st.integers(2, 1500))
    t.arrays["labels"] = numbers_below(draw, classes, rows)
    t.apply("cross_entropy", t.given(rows, classes), "labels")
    return t


@st.composite
def reductions(draw):
    t = Together(draw)
    for _ in range(3):
        shape = [draw(MIDDLE), draw(st.integers(1, 9)), draw(MIDDLE)]
        draw(st.randoms(use_true_random=False)).shuffle(shape)
        x = t.given(*shape)
        for name in ("mul", "add"):
            stretched = [size if draw(st.booleans()) else 1 for size in shape]
            x = t.apply(name, x, t.given(*stretched), fetched=False)
        x = t.apply("sigmoid", x, fetched=draw(st.booleans()))
        for _ in range(2):
            axes = tuple(draw(st.sets(st.integers(0, 2), min_size=1)))
            t.apply(draw(st.sampled_from(["sum", "mean"])), x, axes=axes, keepdims=draw(st.booleans()))
        t.apply(draw(st.sampled_from(["softmax", "log_softmax"])), x, axis=draw(st.integers(0, 2)))
    return t


@st.composite
def convolutions(draw):
    t = Together(draw)
    x = t.given(2, draw(CHANNELS), draw(st.integers(5, 12)), draw(st.integers(5, 12)))
    for kernel in (1, 3):
        stride, bias = draw(st.integers(1, 2)), draw(st.booleans())
        x = t.apply(
            "conv2d", x, channels=draw(CHANNELS), kernel=kernel, padding=kernel // 2, stride=stride, bias=bias, fetched=False
        )  # fmt: skip
        if draw(st.booleans()):
            x = t.apply("batch_norm", x, fetched=False)
        x = t.apply("sigmoid", x, fetched=draw(st.booleans()))
    t.apply("sum", x, axes=(0, 2, 3))
    return t


@pytest.mark.parametrize("device", device_ids())
@pytest.mark.parametrize(
    "problems",
    [products(), layers(), reductions(), convolutions()],
    ids=["products", "layers", "reductions", "convolutions"],
)
def test_outputs_and_gradients(problems, device):
    @as_found
    @given(problem=problems)
    def examine(problem):
        graph = with_gradients(problem.applications, problem.arrays, problem.inner)
        made = {name for name, _, _ in problem.applications}
        shapes = {name: np.shape(array) for name, array in problem.arrays.items()}
        assert_parity(device, graph, problem.arrays, f"{problem.applications} of {shapes}")
        alone = graph.copy()  # without gradients other values are kept, and so other nodes are fused
        alone.outputs = {name: value for name, value in graph.outputs.items() if name in made}
        assert_parity(device, alone, problem.arrays, f"{problem.applications} of {shapes}, without gradients")

    examine()
