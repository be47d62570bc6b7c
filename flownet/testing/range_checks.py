"""The check of gradients far from the samples: near zero, at large numbers, of both signs.

Samples are numbers that people can work out: an op that is right for them may be wrong below −20, or above 100. Here the
floating-point inputs range over magnitudes from 1e-4 to 1e4. Where an op is not defined (its output is not finite), where
it has a kink, or where rounding leaves nothing of a difference, differences for several steps disagree, and nothing is
said about the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from flownet.errors import FlownetError
from flownet.testing.differences import steady_differences
from flownet.testing.example import Example, Rejected
from flownet.testing.reference import differentiated, forward, wants_gradient
from flownet.testing.subject import Failure, Skip, Subject, counted

__all__ = ["TOLERANCE", "gradient_range"]

TOLERANCE = 1e-4  # relative: what is wrong by less, is so near the samples too, where it is found to 1e-6
_POINTS = 288  # of an elementwise op
_LEAST = 1e-10  # a derivative of less is none: 1 + erf(x) is 1e-13 at −7, and half of its digits are rounding
_PLACES = 6  # of an input of another op
_MOST_OPS = 4  # with different attributes
_EXPONENTS = (-4.0, 4.0)

Arrays = Mapping[str, np.ndarray]


def gradient_range(subject: Subject) -> str:
    """`backward` against central differences at magnitudes from 1e-4 to 1e4 and of both signs, where the op is defined."""
    generator = np.random.default_rng(23)
    examples = [e for e in subject.examples(np.float64) if e.smooth and wants_gradient(e)]
    if not examples:
        raise Skip("the op has no gradient")
    judged = 0
    for example in _once_each_op(examples):
        for spread in (
            _points(example, generator) if hasattr(example.op, "expressions") else _spread(example, generator)
        ):
            try:
                found, trusted = _wrong(spread)
            except (Rejected, FlownetError):  # outside of what it is defined for
                continue
            judged += trusted
            if found:
                raise Failure(found[0], found[1])
    if not judged:
        raise Skip("differences say nothing there")
    return f"{counted(judged, 'derivative')} from 1e-4 to 1e4, relative error below {TOLERANCE:g}"


def _once_each_op(examples: list[Example]) -> list[Example]:
    once = {(str(example.op), tuple(example.data)): example for example in examples}
    return list(once.values())[:_MOST_OPS]


# -- inputs ------------------------------------------------------------------------------------------------------------


def _points(example: Example, generator: np.random.Generator) -> Iterator[Example]:
    """Of an elementwise op: one long axis, every element a point of its own; first all above 0, then of any sign."""
    for signs in ((1.0,), (-1.0, 1.0)):
        inputs = {}
        for name, array in example.inputs.items():
            if array.dtype.kind == "f" and name not in example.states:
                inputs[name] = _magnitudes(_POINTS, generator) * generator.choice(signs, _POINTS)
            else:
                inputs[name] = np.resize(array, _POINTS)
        yield example.with_inputs(inputs)


def _spread(example: Example, generator: np.random.Generator) -> Iterator[Example]:
    """The sample's shapes, with data of magnitudes drawn anew: all inputs and each alone, of the sample's signs and of any."""
    floats = [name for name, array in example.data.items() if array.dtype.kind == "f"]
    drawn = [(floats, low, high) for low, high in ((-4.0, -1.0), (0.5, 2.0), (2.0, 4.0), _EXPONENTS)]
    if len(floats) > 1:
        drawn += [([name], *_EXPONENTS) for name in floats]
    for names, low, high in drawn:
        for keep in (True, False):
            data = dict(example.inputs)
            for name in names:
                shape = data[name].shape
                signs = np.where(data[name] < 0, -1.0, 1.0) if keep else generator.choice((-1.0, 1.0), shape)
                data[name] = _magnitudes(shape, generator, low, high) * signs
            yield example.with_inputs(data)


def _magnitudes(
    shape: int | tuple[int, ...],
    generator: np.random.Generator,
    low: float = _EXPONENTS[0],
    high: float = _EXPONENTS[1],
) -> np.ndarray:
    """Numbers whose logarithms are spread evenly; of four digits, so that a failure reads well, and the last one a 7, so that
    none is where ops have kinks: 1, 0.5."""
    exponents = generator.uniform(low, high, shape)
    digits = 10.0 ** (2 - np.floor(exponents))
    return np.asarray((np.round(10**exponents * digits) + 0.7) / digits)


# -- judgement ---------------------------------------------------------------------------------------------------------


def _wrong(example: Example) -> tuple[tuple[str, Example] | None, int]:
    """What is wrong with the gradients, and the example that shows it; and how many derivatives were judged."""
    op = differentiated(example)
    if op is None:
        return None, 0
    found = op.run({name: array.copy() for name, array in example.inputs.items()})
    seeds = {name.removeprefix("seed/"): seed for name, seed in op.seeds.items()}
    apart = hasattr(example.op, "expressions")  # each element depends on its own place alone
    judged = 0
    for name in wants_gradient(example):
        x, analytic = example.inputs[name], np.asarray(found[name])
        if analytic.shape != x.shape or not x.size:
            continue  # `gradient` says so
        places = [slice(None)] if apart else _places(x.size)
        for place in places:

            def outputs(shift: np.ndarray, name: str = name, place: slice = place) -> np.ndarray:
                moved = np.array(example.inputs[name])
                moved.reshape(-1)[place] += shift
                made = forward(example.op, {**example.inputs, name: moved})
                each = [np.asarray(made[output], np.float64) * seed for output, seed in seeds.items()]
                return sum(each) if apart else np.array([sum(array.sum() for array in each)])  # type: ignore[return-value]

            numeric = steady_differences(outputs, np.abs(x.reshape(-1)[place]))
            at = analytic.reshape(-1)[place]
            scale = np.maximum(np.abs(at), np.abs(numeric.values))
            off = ~(np.abs(at - numeric.values) <= TOLERANCE * scale + 10 * numeric.noise + _LEAST)
            off &= numeric.smooth
            judged += int(numeric.smooth.sum())
            if off.any():
                worst = int(np.argmax(off))
                shown = (
                    example.with_inputs({n: a[worst : worst + 1] for n, a in example.inputs.items()})
                    if apart
                    else example
                )
                index = "" if apart else f" at {[int(i) for i in np.unravel_index(place.start, x.shape)]}"
                return (
                    f"the gradient of `{name}` is {at[worst]:.6g}{index}, central differences give {numeric.values[worst]:.6g}",
                    shown,
                ), judged  # fmt: skip
    return None, judged


def _places(size: int) -> list[slice]:
    places = range(size) if size <= _PLACES else np.unique(np.linspace(0, size - 1, _PLACES).astype(int)).tolist()
    return [slice(place, place + 1) for place in places]
