"""Checks of gradients: against central differences, and of their types."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flownet.testing.differences import central_differences
from flownet.testing.example import Example, type_of
from flownet.testing.larger import larger_of_all
from flownet.testing.other_attributes import with_other_attributes
from flownet.testing.reference import differentiated, forward, wants_gradient
from flownet.testing.subject import Failure, Skip, Subject

__all__ = ["TOLERANCE", "gradient", "gradient_types"]

#: Relative to the largest element of a gradient. Central differences in float64 are good for about 1e-9.
TOLERANCE = 1e-6

_MOST_ELEMENTS = 8192  # of all inputs: each derivative is two runs forward


def gradient(subject: Subject) -> str:
    """`backward` against central differences in float64, of a random projection of the outputs."""
    examples = subject.variants(np.float64)
    if not any(wants_gradient(example) for example in examples):
        raise Skip("the op has no gradient")
    examples += with_other_attributes(subject.examples(np.float64))
    large = larger_of_all(subject.examples(np.float64), 4)
    examples += [example for example in large if sum(a.size for a in example.inputs.values()) <= _MOST_ELEMENTS]
    smooth = [example for example in examples if example.smooth]
    if not smooth:
        raise Failure("all samples say `grad=False`: give one where the derivative exists")
    return f"{subject.go_over(smooth, wrong_gradient)}, relative error below {TOLERANCE:g}"


def wrong_gradient(example: Example) -> str | None:
    """Where the gradient is not the derivative."""
    op = differentiated(example)
    if op is None:
        return None
    found = op.run({name: array.copy() for name, array in example.inputs.items()})
    seeds = {name.removeprefix("seed/"): seed for name, seed in op.seeds.items()}

    def projected(inputs: Mapping[str, np.ndarray]) -> float:
        outputs = forward(example.op, inputs)
        return float(sum((np.asarray(outputs[name], np.float64) * seed).sum() for name, seed in seeds.items()))

    for name in wants_gradient(example):
        analytic = np.asarray(found[name])
        if analytic.shape != example.inputs[name].shape:
            shape = list(example.inputs[name].shape)
            return f"the gradient of `{name}` has the shape {list(analytic.shape)}, `{name}` has {shape}"
        if not analytic.size:
            continue
        numeric = central_differences(projected, example.inputs, name)
        at = analytic.reshape(-1)[numeric.places]
        scale = max(np.abs(at).max(), np.abs(numeric.values[numeric.smooth]).max(initial=0.0), 1e-3)
        error = np.where(numeric.smooth, np.abs(at - numeric.values), 0.0)
        error = np.where(np.isnan(error), np.inf, error)
        worst = int(np.argmax(error))
        if error[worst] > TOLERANCE * scale + 10 * numeric.noise:
            place = [int(i) for i in np.unravel_index(int(numeric.places[worst]), analytic.shape)]
            return (
                f"the gradient of `{name}` is {at[worst]:.9g} at {place}, "
                f"central differences give {numeric.values[worst]:.9g}: relative error {error[worst] / scale:.1e}"
            )
    return None


def gradient_types(subject: Subject) -> str:
    """A gradient has its input's shape and element type, in float32 as in float64, for an empty batch too."""

    def examine(example: Example) -> str | None:
        op = differentiated(example)
        if op is None:
            return None
        for name, array in op.run(example.inputs).items():
            wanted = example.inputs[name]
            if array.shape != wanted.shape or array.dtype != wanted.dtype:
                return f"the gradient of `{name}` is {type_of(array)}, `{name}` is {type_of(wanted)}"
        return None

    examples = [*subject.variants(np.float32), *subject.variants(np.float64)]
    if not any(wants_gradient(example) for example in examples):
        raise Skip("the op has no gradient")
    return f"{subject.go_over(examples, examine)}, float32 and float64"
