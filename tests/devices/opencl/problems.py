"""Random problems for every op: attributes, and inputs of awkward shapes.

Sizes are 1, odd, or just beside the 4, 8 and 16 that tiles and vectors have; strides may be larger than the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from flownet.op import Op
from flownet.registry import default_registry

__all__ = ["ELEMENTWISE", "PROBLEMS", "Problem", "elementwise_shapes"]


@dataclass
class Problem:
    """An op and its inputs; parameters and states are the op's own."""

    op: Op
    inputs: dict[str, np.ndarray]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in self.inputs.items())
        return f"{self.op} of {shapes}"


CHANNELS = st.sampled_from([1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 20, 32, 33])
LENGTHS = st.sampled_from([1, 2, 3, 5, 7, 8, 9, 13, 16, 17, 31, 33, 65])
EXTENTS = st.integers(1, 13)
BATCHES = st.integers(1, 3)


def op(name: str, **attributes: Any) -> Op:
    return default_registry().get("op", name)(**attributes)


def floats(draw: Any, *shape: int) -> np.ndarray:
    return np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape).astype(np.float32)


def numbers_below(draw: Any, bound: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(draw(st.integers(0, 99))).integers(0, bound, shape).astype(np.int32)


def pairs(draw: Any, numbers: Any) -> tuple[int, int]:
    return draw(numbers), draw(numbers)


# -- elementwise ops, all of one number of operands on one shape ------------------------------------------------------------

#: op -> (its attributes, lower and upper bound of each operand): where derivatives are finite
ELEMENTWISE: dict[str, tuple[dict[str, Any], tuple[tuple[float, float], ...]]] = {
    **{name: ({}, ((-3.0, 3.0),)) for name in ("abs", "exp", "gelu", "neg", "relu", "sigmoid", "silu", "softplus", "tanh")},
    "elu": ({"alpha": 0.7}, ((-3.0, 3.0),)),
    "leaky_relu": ({"slope": 0.2}, ((-3.0, 3.0),)),
    "clip": ({"low": -0.5, "high": 1.5}, ((-3.0, 3.0),)),
    "log": ({}, ((0.2, 3.0),)),
    "sqrt": ({}, ((0.2, 3.0),)),
    **{name: ({}, ((-3.0, 3.0), (-3.0, 3.0))) for name in ("add", "maximum", "minimum", "mul", "sub")},
    "div": ({}, ((-3.0, 3.0), (0.5, 3.0))),
    "pow": ({"exponent": -1.7}, ((0.2, 2.0),)),
}  # fmt: skip


@st.composite
def elementwise_shapes(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape, and one that can be stretched to it."""
    shape = tuple(draw(st.lists(LENGTHS.filter(lambda n: n < 40), min_size=0, max_size=3)))
    other = tuple(1 if draw(st.booleans()) and draw(st.booleans()) else n for n in shape)
    return shape, other[draw(st.integers(0, len(other))) if draw(st.booleans()) else 0 :]


# -- the others ----------------------------------------------------------------------------------------------------------------


@st.composite
def convolution(draw: Any) -> Problem:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels, filters = (groups * draw(CHANNELS.filter(lambda c: c * groups <= 40)) for _ in range(2))
    if draw(st.integers(0, 3)) == 0:  # depthwise, with one or two filters a channel
        groups, filters = channels, channels * draw(st.integers(1, 2))
    kernel, stride, dilation, padding = (pairs(draw, st.integers(a, b)) for a, b in ((1, 5), (1, 6), (1, 2), (0, 3)))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [max(draw(EXTENTS), r - 2 * p) for r, p in zip(reach, padding, strict=True)]
    made = op(
        "conv2d", channels=filters, kernel=kernel, stride=stride, dilation=dilation, padding=padding, groups=groups, bias=draw(st.booleans())
    )  # fmt: skip
    return Problem(made, {"x": floats(draw, draw(BATCHES), channels, *size)})


@st.composite
def square_convolution(draw: Any) -> Problem:
    """3×3 with padding 1, as most networks have it: what Winograd and the register tiles are for."""
    made = op("conv2d", channels=draw(CHANNELS), kernel=3, padding=1, stride=draw(st.integers(1, 2)), bias=False)
    return Problem(made, {"x": floats(draw, draw(BATCHES), draw(CHANNELS), *pairs(draw, st.integers(1, 19)))})


@st.composite
def transposed_convolution(draw: Any) -> Problem:
    groups = draw(st.sampled_from([1, 1, 2]))
    channels, filters = (groups * draw(CHANNELS.filter(lambda c: c * groups <= 33)) for _ in range(2))
    kernel, stride = pairs(draw, st.integers(1, 4)), pairs(draw, st.integers(1, 3))
    padding = tuple(draw(st.integers(0, (k - 1) // 2)) for k in kernel)
    extra = tuple(draw(st.integers(0, s - 1)) for s in stride)
    made = op(
        "conv_transpose2d", channels=filters, kernel=kernel, stride=stride, padding=padding, output_padding=extra, groups=groups
    )  # fmt: skip
    return Problem(made, {"x": floats(draw, draw(BATCHES), channels, *pairs(draw, st.integers(1, 7)))})


def _window(draw: Any) -> tuple[dict[str, Any], list[int]]:
    kernel, stride = pairs(draw, st.integers(1, 4)), pairs(draw, st.integers(1, 5))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [max(draw(EXTENTS), k - 2 * p) for k, p in zip(kernel, padding, strict=True)]
    return {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}, size


@st.composite
def max_pooling(draw: Any) -> Problem:
    window, size = _window(draw)
    return Problem(op("max_pool", **window), {"x": floats(draw, draw(BATCHES), draw(CHANNELS), *size)})


@st.composite
def average_pooling(draw: Any) -> Problem:
    window, size = _window(draw)
    made = op("avg_pool", **window, count_include_pad=draw(st.booleans()))
    return Problem(made, {"x": floats(draw, draw(BATCHES), draw(CHANNELS), *size)})


@st.composite
def unpooling(draw: Any) -> Problem:
    (n, c), small, factor = (draw(BATCHES), draw(CHANNELS)), pairs(draw, st.integers(1, 7)), draw(st.integers(1, 3))
    large = tuple(factor * d + draw(st.integers(0, 1)) for d in small)
    rows, columns = _places(draw, n, c, small, factor)
    indices = (rows * large[1] + columns).astype(np.int32)
    return Problem(op("max_unpool", kernel=factor, size=large), {"x": floats(draw, n, c, *small), "indices": indices})


def _places(draw: Any, n: int, c: int, small: tuple[int, int], factor: int) -> tuple[np.ndarray, np.ndarray]:
    """A row and a column within each window."""
    rows = factor * np.arange(small[0])[:, None] + numbers_below(draw, factor, n, c, *small)
    columns = factor * np.arange(small[1])[None, :] + numbers_below(draw, factor, n, c, *small)
    return rows, columns


@st.composite
def image(draw: Any, name: str, choices: dict[str, Any] | None = None, least: int = 1) -> Problem:
    """An op with one image as its input; `least` is that of height and width."""
    attributes = {key: draw(strategy) for key, strategy in (choices or {}).items()}
    size = pairs(draw, st.integers(least, 13))
    return Problem(op(name, **attributes), {"x": floats(draw, draw(BATCHES), draw(CHANNELS), *size)})


@st.composite
def dense(draw: Any) -> Problem:
    lead = draw(st.lists(st.integers(1, 9), min_size=1, max_size=2))
    made = op("dense", units=draw(LENGTHS), bias=draw(st.booleans()))
    return Problem(made, {"x": floats(draw, *lead, draw(LENGTHS))})


@st.composite
def product(draw: Any) -> Problem:
    m, k, n = draw(LENGTHS), draw(LENGTHS), draw(LENGTHS)
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    left, right = (batch if draw(st.booleans()) else [] for _ in range(2))
    return Problem(op("matmul"), {"a": floats(draw, *left, m, k), "b": floats(draw, *right, k, n)})


@st.composite
def embedding(draw: Any) -> Problem:
    rows = draw(st.integers(1, 20))
    index = numbers_below(draw, rows, *draw(st.lists(st.integers(1, 9), min_size=1, max_size=2)))
    return Problem(op("embedding", rows=rows, units=draw(LENGTHS)), {"indices": index})


@st.composite
def normalised(draw: Any, name: str) -> Problem:
    """Batches of at least eight values a channel: the variance of two is a difference of nearly equal numbers."""
    size = [draw(st.integers(8, 13))] if draw(st.booleans()) else [2, draw(CHANNELS), *pairs(draw, st.integers(2, 9))]
    if len(size) == 1:
        size.append(draw(LENGTHS))
    inputs = {"x": floats(draw, *size)}
    if name == "batch_norm_inference":
        inputs |= {part: floats(draw, size[1]) for part in ("scale", "bias", "running_mean")}
        inputs["running_var"] = np.square(floats(draw, size[1])) + np.float32(0.5)
    return Problem(op(name), inputs)


@st.composite
def layer_norm(draw: Any) -> Problem:
    shape = [draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(LENGTHS.filter(lambda n: n > 4))]
    return Problem(op("layer_norm", axis=draw(st.sampled_from([-1, -2]))), {"x": floats(draw, *shape)})


@st.composite
def rows(draw: Any, name: str) -> Problem:
    shape = draw(st.lists(LENGTHS.filter(lambda n: n < 40), min_size=1, max_size=3))
    return Problem(op(name, axis=draw(st.integers(-len(shape), len(shape) - 1))), {"x": floats(draw, *shape)})


@st.composite
def reduced(draw: Any, name: str) -> Problem:
    shape = draw(st.lists(LENGTHS.filter(lambda n: n < 40), min_size=1, max_size=4).filter(lambda s: np.prod(s) < 1e5))
    axes = draw(st.one_of(st.just("all"), st.sets(st.integers(0, len(shape) - 1), min_size=1).map(tuple)))
    return Problem(op(name, axes=axes, keepdims=draw(st.booleans())), {"x": floats(draw, *shape)})


def _scores(draw: Any) -> list[int]:
    return [
        draw(BATCHES) + draw(st.integers(0, 14)),
        draw(LENGTHS),
        *(pairs(draw, st.integers(1, 5)) if draw(st.booleans()) else ()),
    ]


@st.composite
def classified(draw: Any, name: str, choices: dict[str, Any] | None = None) -> Problem:
    shape = _scores(draw)
    attributes = {key: draw(strategy) for key, strategy in (choices or {}).items()}
    if "k" in attributes:
        attributes["k"] = min(attributes["k"], shape[1])
    label = numbers_below(draw, shape[1], shape[0], *shape[2:])
    made = op(name, **attributes)
    return Problem(made, dict(zip(made.signature_inputs, (floats(draw, *shape), label), strict=True)))


@st.composite
def beside_target(draw: Any, name: str, choices: dict[str, Any] | None = None, binary: bool = False) -> Problem:
    attributes = {key: draw(strategy) for key, strategy in (choices or {}).items()}
    shape = draw(st.lists(LENGTHS.filter(lambda n: n < 40), min_size=1, max_size=3))
    target = numbers_below(draw, 2, *shape).astype(np.float32) if binary else floats(draw, *shape)
    made = op(name, **attributes)
    return Problem(made, dict(zip(made.signature_inputs, (floats(draw, *shape), target), strict=False)))


@st.composite
def updated(draw: Any, name: str, choices: dict[str, Any]) -> Problem:
    """A step of an optimiser, the second moments being positive."""
    made = op(name, **{key: draw(strategy) for key, strategy in choices.items()})
    shape = draw(st.lists(LENGTHS.filter(lambda n: n < 40), max_size=3))
    inputs = {}
    for argument in made.signature_inputs:
        if argument in ("learning_rate", "step"):
            inputs[argument] = np.float32(0.01 if argument == "learning_rate" else 3)
        else:
            inputs[argument] = floats(draw, *shape)
            if argument == "v":
                inputs[argument] = np.square(inputs[argument]) + np.float32(3)
    return Problem(made, inputs)


@st.composite
def reshaped(draw: Any) -> Problem:
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    return Problem(op("reshape", shape=(*reversed(shape),)), {"x": floats(draw, *shape)})


@st.composite
def transposed(draw: Any) -> Problem:
    shape = draw(st.lists(LENGTHS.filter(lambda n: n < 20), min_size=1, max_size=4))
    return Problem(op("transpose", axes=tuple(draw(st.permutations(range(len(shape)))))), {"x": floats(draw, *shape)})


@st.composite
def sliced(draw: Any) -> Problem:
    shape = draw(st.lists(st.integers(1, 17), min_size=1, max_size=4))
    step = tuple(draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape)
    ends = tuple((draw(st.integers(0, n - 1)), n - 1) for n in shape)
    starts = tuple(low if s > 0 else high for (low, high), s in zip(ends, step, strict=True))
    return Problem(op("slice", starts=starts, ends=(None,) * len(shape), steps=step), {"x": floats(draw, *shape)})


@st.composite
def padded(draw: Any) -> Problem:
    shape = draw(st.lists(st.integers(4, 17), min_size=1, max_size=4))
    pads = tuple(pairs(draw, st.integers(0, 3)) for _ in shape)
    mode = draw(st.sampled_from(["constant", "edge", "reflect"]))
    return Problem(
        op("pad", pads=pads, mode=mode, value=0.5 if mode == "constant" else 0.0), {"x": floats(draw, *shape)}
    )


@st.composite
def joined(draw: Any) -> Problem:
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    widths = draw(st.lists(LENGTHS.filter(lambda n: n < 40), min_size=1, max_size=4))
    arrays = [floats(draw, *shape[:axis], width, *shape[axis + 1 :]) for width in widths]
    return Problem(op("concat", axis=axis), {f"x{i}": array for i, array in enumerate(arrays)})


@st.composite
def stretched(draw: Any) -> Problem:
    shape, own = draw(elementwise_shapes())
    return Problem(op("broadcast_to", shape=shape), {"x": floats(draw, *own)})


@st.composite
def random_numbers(draw: Any, name: str) -> Problem:
    shape = draw(st.lists(LENGTHS.filter(lambda n: n < 40), min_size=1, max_size=3))
    if name == "dropout":
        return Problem(op("dropout", rate=draw(st.sampled_from([0.0, 0.1, 0.5]))), {"x": floats(draw, *shape)})
    return Problem(op("random_uniform", shape=tuple(shape), stream=draw(st.integers(0, 2**32 - 1))), {})


REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
BETWEEN_0_AND_1 = st.sampled_from([0.0, 0.3, 0.9])
WEIGHT_DECAY = st.sampled_from([0.0, 0.01])

#: op -> strategy of its problems; the elementwise ones are in ELEMENTWISE
PROBLEMS: dict[str, Any] = {
    "accuracy": classified("accuracy"),
    "adam": updated("adam", {"weight_decay": WEIGHT_DECAY}),
    "adamw": updated("adamw", {"weight_decay": WEIGHT_DECAY}),
    "advance_rng": st.builds(lambda n: Problem(op("advance_rng"), {"rng": np.array([n, 2**32 - 1], np.uint32)}), st.integers(0, 9)),
    "avg_pool": average_pooling(),
    "batch_norm": normalised("batch_norm"),
    "batch_norm_inference": normalised("batch_norm_inference"),
    "binary_accuracy": beside_target("binary_accuracy", binary=True),
    "binary_cross_entropy": beside_target("binary_cross_entropy", {"reduction": REDUCTIONS}, binary=True),
    "broadcast_to": stretched(),
    "concat": joined(),
    "confusion_matrix": classified("confusion_matrix"),
    "conv2d": st.one_of(convolution(), square_convolution()),
    "conv_transpose2d": transposed_convolution(),
    "cross_entropy": classified("cross_entropy", {"reduction": REDUCTIONS, "label_smoothing": st.sampled_from([0.0, 0.1]), "ignore_index": st.sampled_from([None, 0])}),
    "dense": dense(),
    "dropout": random_numbers("dropout"),
    "embedding": embedding(),
    "flatten": image("flatten", {"axis": st.integers(0, 3)}),
    "global_avg_pool": image("global_avg_pool", {"keepdims": st.booleans()}),
    "huber": beside_target("huber", {"reduction": REDUCTIONS, "delta": st.sampled_from([0.5, 1.0])}),
    "identity": image("identity"),
    "l1": beside_target("l1", {"reduction": REDUCTIONS}),
    "layer_norm": layer_norm(),
    "log_softmax": rows("log_softmax"),
    "matmul": product(),
    "max": reduced("max"),
    "max_pool": max_pooling(),
    "max_unpool": unpooling(),
    "mean": reduced("mean"),
    "mean_absolute_error": beside_target("mean_absolute_error"),
    "mean_iou": classified("mean_iou"),
    "pad": padded(),
    "r2": beside_target("r2"),
    "random_uniform": random_numbers("random_uniform"),
    "reshape": reshaped(),
    "rmsprop": updated("rmsprop", {"weight_decay": WEIGHT_DECAY, "momentum": BETWEEN_0_AND_1}),
    "sgd": updated("sgd", {"weight_decay": WEIGHT_DECAY, "momentum": BETWEEN_0_AND_1}),
    "shortcut": image("shortcut", {"channels": st.just(33), "stride": st.integers(1, 2), "option": st.sampled_from(["zero_padding", "projection"])}, least=5),
    "shortcut_inference": image("shortcut_inference", {"channels": st.just(33), "stride": st.integers(1, 3)}),
    "slice": sliced(),
    "softmax": rows("softmax"),
    "squared_error": beside_target("squared_error", {"reduction": REDUCTIONS}),
    "sum": reduced("sum"),
    "top_k_accuracy": classified("top_k_accuracy", {"k": st.integers(1, 5)}),
    "transpose": transposed(),
    "upsample": image("upsample", {"factor": st.integers(1, 3), "mode": st.sampled_from(["nearest", "bilinear"])}),
}  # fmt: skip
