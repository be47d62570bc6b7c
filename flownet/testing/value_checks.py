"""Checks of what an op computes: types, expectations, devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from flownet.errors import FlownetError
from flownet.op.contract import wanted
from flownet.testing.comparison import array_difference, difference
from flownet.testing.example import Example, type_of, without_optional
from flownet.testing.larger import larger_of_all
from flownet.testing.other_attributes import with_other_attributes
from flownet.testing.reference import as_graph, differentiated, forward
from flownet.testing.subject import Failure, Skip, Subject, counted, problem_of
from flownet.types import Symbolic, TensorType

__all__ = [
    "device",
    "forward_expected",
    "inference",
    "large_values",
    "oracle",
    "output_array",
    "symbols",
    "wrong_types",
]


def inference(subject: Subject) -> str:
    """The inferred types are those of the real outputs, in float32 and float64."""
    examples = [*subject.variants(np.float32), *subject.variants(np.float64)]
    examples += larger_of_all(subject.examples(), 8)
    return f"{subject.go_over(examples, wrong_types)}, float32 and float64"


def wrong_types(example: Example) -> str | None:
    """Where the types of the outputs are not the inferred ones."""
    types = example.infer()
    outputs = forward(example.op, example.inputs)
    if len(types) != len(example.op.outputs):
        return f"`infer` gives {len(types)} types for the outputs {', '.join(example.op.outputs)}"
    for (name, array), type_ in zip(outputs.items(), types, strict=True):
        if not isinstance(type_, TensorType):
            return f"`infer` gives {type_!r} for `{name}`, which is no TensorType"
        if not isinstance(array, (np.ndarray, np.generic)):
            return f"`forward` gives a {type(array).__name__} for `{name}`, not an array"
        if type_of(np.asarray(array)) != type_:
            return f"`{name}` is {type_of(np.asarray(array))}, `infer` says {type_}"
    return None


def symbols(subject: Subject) -> str:
    """With a symbol for the batch, `infer` gives the type that it gives for the number."""
    count = 0
    for example in subject.examples():
        data = example.data
        first = next((array for array in data.values() if array.ndim), None)
        if first is None:
            continue
        size = first.shape[0]
        symbol = Symbolic.symbol("N")
        types = {
            name: t.with_shape(symbol, *t.shape[1:]) if name in data and t.rank and t.shape[0] == size else t
            for name, t in example.types.items()
        }
        try:
            inferred = example.op.result_types(types)
        except FlownetError:
            continue
        except Exception as error:
            raise Failure(
                f"`infer` of {', '.join(map(str, types.values()))}: {type(error).__name__}: {error}", example
            ) from None
        bound = tuple(type_.bind({"N": size}) for type_ in inferred)
        if bound != example.infer():
            texts = " and ".join(", ".join(map(str, t)) for t in (inferred, example.infer()))
            raise Failure(f"`infer` gives for N and for N = {size}: {texts}", example)
        count += 1
    if not count:
        raise Skip("no sample takes a symbol along its first axis")
    return f"{counted(count, 'sample')} with a batch of N"


def forward_expected(subject: Subject) -> str:
    """Outputs against the literal expectations of the samples."""
    count = 0
    for dtype in (np.float32, np.float64):
        for example in subject.examples(dtype):
            if not example.expected:
                continue
            found = problem_of(_unexpected, example)
            if found:
                raise Failure(found, example)  # of the sample's own size: expectations cannot be cut down
            count += 1
    if not count:
        raise Failure("no sample has an expectation: give `outputs` that were worked out without the op")
    return f"{counted(count // 2, 'expectation')}"


def _unexpected(example: Example) -> str | None:
    got = forward(example.op, example.inputs)
    # expectations are written with some six digits or more
    found = difference(got, example.expected, relative=1e-5, absolute=1e-6)
    return found and f"{found}, as the sample expects"


def oracle(subject: Subject) -> str:
    """Outputs against an independent implementation."""
    if subject.oracle is None:
        raise Skip("none was given")
    written = subject.oracle

    def examine(example: Example) -> str | None:
        expected = written(example.op, example.inputs)
        if not isinstance(expected, Mapping):
            several = expected if isinstance(expected, tuple) else (expected,)
            expected = dict(zip(example.op.outputs, several, strict=False))
        return difference(forward(example.op, example.inputs), expected, relative=1e-9, absolute=1e-9)

    return subject.go_over(subject.variants(np.float64), examine)


def output_array(subject: Subject) -> str:
    """An op that takes `out` writes all of its result there."""
    examples = subject.variants()
    if examples[0].op.is_composite or not examples[0].op.takes_out:
        raise Skip("`forward` takes no `out`")

    def examine(example: Example) -> str | None:
        expected = forward(example.op, example.inputs)
        # memory is used again and again: what is there before is no zero
        given = {
            name: np.full_like(array, np.nan if array.dtype.kind == "f" else 77) for name, array in expected.items()
        }
        out = tuple(given.values()) if len(given) > 1 else next(iter(given.values()))
        with np.errstate(all="ignore"):
            example.op.forward(*wanted(example.op.forward, example.inputs), out=out)  # type: ignore[call-arg]
        return difference(given, expected, relative=1e-6, absolute=1e-7, of="written into `out`, ")

    return subject.go_over(examples, examine)


def large_values(subject: Subject) -> str:
    """No NaN from inputs up to ±1e4, where moderate inputs of both signs give none."""
    count = 0

    def examine(example: Example) -> str | None:
        with np.errstate(all="ignore"):
            for name, array in forward(example.op, example.inputs).items():
                if array.dtype.kind == "f" and np.isnan(array).any():
                    return f"`{name}` is NaN"
            gradients = differentiated(example)
            for name, array in gradients.run(example.inputs).items() if gradients else ():
                if np.isnan(array).any():
                    return f"the gradient of `{name}` is NaN"
        return None

    for example in subject.examples():
        for name, array in example.data.items():
            if array.dtype.kind != "f" or not array.size or not np.abs(array).max() > 0:
                continue
            unit = array / np.abs(array).max()
            moderate = [
                example.with_inputs({**example.inputs, name: (sign * unit).astype(array.dtype)}) for sign in (1, -1)
            ]
            if any(problem_of(examine, m) for m in moderate):
                continue  # the op is not defined everywhere: a logarithm, a root
            large = [example.with_inputs({**example.inputs, name: (f * unit).astype(array.dtype)}) for f in (1e4, -1e4)]
            subject.go_over(large, examine)
            count += len(large)
    if not count:
        raise Skip("the op is not defined for all numbers")
    return f"{counted(count, 'input')} up to ±1e4"


def device(subject: Subject) -> str:
    """The device's outputs and gradients against those of NumPy alone, in float32."""

    def examine(example: Example) -> str | None:
        graph, feeds, expected = as_graph(example)
        got = subject.run_on(subject.device, graph, feeds)
        for name, wanted_ in expected.items():
            # float32 sums in another order: relative to the largest element, 1e-5 and some for the length of the sums.
            # Where all is nearly 0 it is so because numbers near 1 cancel, whose last place is 1.2e-7: 1 - tanh(x)²
            largest = (
                float(np.abs(wanted_[np.isfinite(wanted_)]).max(initial=0.0)) if wanted_.dtype.kind == "f" else 0.0
            )
            found = array_difference(np.asarray(got[name]), wanted_, relative=1e-4, absolute=2e-5 * max(largest, 1e-2))
            if found:
                return f"on {subject.device} {name} {found}"
        return None

    def differs_again(example: Example) -> str | None:
        graph, feeds, _ = as_graph(example)
        once = {name: np.array(array) for name, array in subject.run_on(subject.device, graph, feeds).items()}
        again = subject.run_on(subject.device, graph, feeds)
        return difference(again, once, relative=0, absolute=0, of=f"run twice on {subject.device}, ")

    def overflows(example: Example) -> str | None:
        graph, feeds, expected = as_graph(example)
        got = subject.run_on(subject.device, graph, feeds)
        for name, wanted_ in expected.items():
            lost = np.isfinite(wanted_) & ~np.isfinite(np.asarray(got[name]))
            if lost.any():
                place = np.unravel_index(int(np.argmax(lost)), lost.shape)
                return f"on {subject.device} {name} is {got[name][place]}{_at(place)}, not {wanted_[place]:.6g}"
        return None

    given = subject.examples()
    subject.go_over(given[:1], differs_again)
    # values in the hundreds are compared for being finite alone: built-in functions are inexact there, each in its way
    subject.go_over((large for example in given for large in _hundredfold(example)), overflows, most_tries=60)
    optional = [found for example in given for found in without_optional(example)]
    examples = [*subject.variants(), *optional, *with_other_attributes(given), *larger_of_all(given, 8)]
    return f"{subject.go_over(examples, examine, most_tries=60)} on {subject.device}, forward and backward"


def _hundredfold(example: Example) -> Iterator[Example]:
    """All floating-point data a hundred times as large, where that is not refused."""
    data = {n: a * a.dtype.type(100) if a.dtype.kind == "f" else a for n, a in example.data.items()}
    large = example.with_inputs({**example.inputs, **data})
    try:
        forward(large.op, large.inputs)
    except FlownetError:
        return
    yield large


def _at(place: tuple[np.intp, ...]) -> str:
    return f" at [{', '.join(str(int(i)) for i in place)}]" if place else ""
