"""Checks with odd inputs: strided, empty, of size 1, repeated, of a wrong kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from flownet.errors import FlownetError
from flownet.testing.comparison import difference
from flownet.testing.example import Example, Rejected, completed, resized, type_of, without_optional
from flownet.testing.gradient_checks import wrong_gradient
from flownet.testing.reference import differentiated, evaluate, forward, run_op
from flownet.testing.subject import Skip, Subject, counted, said
from flownet.testing.value_checks import wrong_types

__all__ = ["determinism", "empty", "no_memory", "optional", "refused", "size_one", "strided", "unmodified"]

Arrays = Mapping[str, np.ndarray]
_REPETITIONS = 4


def determinism(subject: Subject) -> str:
    """The same inputs give the same bits, whatever the state of the global random generators."""

    def examine(example: Example) -> str | None:
        op = differentiated(example)
        first: dict[str, bytes] = {}
        for repetition in range(_REPETITIONS):
            random.seed(repetition)
            np.random.seed(repetition)
            results = {f"`{name}`": a for name, a in forward(example.op, example.inputs).items()}
            results |= {f"the gradient of `{name}`": a for name, a in (op.run(example.inputs).items() if op else ())}
            for name, array in results.items():
                if first.setdefault(name, np.asarray(array).tobytes()) != np.asarray(array).tobytes():
                    return f"{name} differs from one run to the next"
        return None

    before, global_before = random.getstate(), np.random.get_state()
    try:
        return f"{subject.go_over(subject.examples(), examine)}, {_REPETITIONS} runs each"
    finally:
        random.setstate(before)
        np.random.set_state(global_before)


def no_memory(subject: Subject) -> str:
    """What was run before, or between forward and backward, changes nothing."""

    def examine(example: Example) -> str | None:
        other = {n: (a * a.dtype.type(0.5) if a.dtype.kind == "f" else a).copy() for n, a in example.inputs.items()}
        first = forward(example.op, example.inputs)
        first = {name: np.array(array) for name, array in first.items()}
        forward(example.op, other)
        found = difference(forward(example.op, example.inputs), first, relative=0, absolute=0, of="after another run, ")
        op = differentiated(example)
        if found or op is None:
            return found
        straight = {name: np.array(array) for name, array in op.run(example.inputs).items()}
        between = op.run(example.inputs, before_gradients=lambda: forward(example.op, other))
        return difference(
            between,
            straight,
            relative=0,
            absolute=0,
            of="with another run between forward and backward, the gradient of ",
        )

    return subject.go_over(subject.examples(), examine)


def unmodified(subject: Subject) -> str:
    """Neither forward nor backward changes an input, nor `backward` the gradient that arrives."""

    def examine(example: Example) -> str | None:
        arrays = {name: array.copy() for name, array in example.inputs.items()}
        run_op(example.op, arrays)
        found = difference(arrays, example.inputs, relative=0, absolute=0, of="after `forward`, the input ")
        op = differentiated(example)
        if found or op is None:
            return found
        feeds = {name: array.copy() for name, array in (*example.inputs.items(), *op.seeds.items())}
        names = list(op.outputs.values())
        forwarded = {name: array.copy() for name, array in evaluate(op.graph, feeds, names).items()}
        known = evaluate(op.graph, feeds, [*names, *op.gradients.values()])
        after = {name: known[name] for name in (*example.inputs, *op.seeds)}
        expected = {**example.inputs, **op.seeds}
        found = difference(after, expected, relative=0, absolute=0, of="after `backward`, the value ")
        kept = {name: known[name] for name in names}
        return found or difference(
            kept, {n: forwarded[n] for n in names}, relative=0, absolute=0, of="after `backward`, the output "
        )

    return subject.go_over(subject.variants(), examine)


def strided(subject: Subject) -> str:
    """Inputs that do not lie in one piece give the same as those that do, and nothing is read beside them."""

    def examine(example: Example) -> str | None:
        expected = forward(example.op, example.inputs)
        op = differentiated(example)
        gradients = op.run(example.inputs) if op else {}
        for layout, make in _LAYOUTS.items():
            arrays = {name: make(array) for name, array in example.inputs.items()}
            of = f"with inputs {layout}, "
            # the order of sums may follow the layout: some units in the last place of float32
            found = difference(run_op(example.op, arrays), expected, relative=1e-5, absolute=1e-6, of=of)
            if found:
                return found
            if op:
                feeds = {**arrays, **{name: make(seed) for name, seed in op.seeds.items()}}
                known = evaluate(op.graph, feeds, op.gradients.values())
                got = {name: known[value] for name, value in op.gradients.items()}
                found = difference(got, gradients, relative=1e-5, absolute=1e-6, of=f"{of}the gradient of ")
                if found:
                    return found
        return None

    return f"{subject.go_over(subject.variants(), examine)} in {len(_LAYOUTS)} layouts"


def _filled(shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
    """Memory full of what must not be read: NaN, or the largest whole number."""
    if like.dtype.kind == "f":
        return np.full(shape, np.nan, like.dtype)
    return np.full(shape, True if like.dtype.kind == "b" else np.iinfo(like.dtype).max, like.dtype)


def _with_gaps(array: np.ndarray) -> np.ndarray:
    if not array.ndim:
        return array.copy()
    wide = _filled(tuple(2 * size + 1 for size in array.shape), array)
    view = wide[tuple(slice(1, 1 + 2 * size, 2) for size in array.shape)]
    view[...] = array
    return view


def _reversed(array: np.ndarray) -> np.ndarray:
    if not array.ndim:
        return array.copy()
    index = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[index])[index]


def _among_nan(array: np.ndarray) -> np.ndarray:
    room = _filled((array.size + 128,), array)
    view = room[64 : 64 + array.size].reshape(array.shape)
    np.copyto(view, array)
    return view


_LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "with gaps": _with_gaps,
    "that run backwards": _reversed,
    "in column order": np.asfortranarray,
    "amid NaN": _among_nan,
}


def empty(subject: Subject) -> str:
    """A batch of no rows gives outputs and gradients of no rows, or a FlownetError."""
    generator = np.random.default_rng(3)
    examples = [found for example in subject.examples() for found in resized(example, 0, generator)]
    if not examples:
        raise Skip("the op refuses an empty batch")

    def examine(example: Example) -> str | None:
        try:
            found = wrong_types(example)
        except FlownetError:
            return None
        op = differentiated(example)
        if found or op is None:
            return found
        for name, array in op.run(example.inputs).items():
            if array.shape != example.inputs[name].shape:
                return f"the gradient of `{name}` is {type_of(array)}, not {type_of(example.inputs[name])}"
            if name in example.declared and np.isnan(array).any():
                return f"the gradient of the parameter `{name}` is NaN"
        return None

    return subject.go_over(examples, examine)


def size_one(subject: Subject) -> str:
    """One row, and size 1 along every axis: types and gradients are right there too."""
    generator = np.random.default_rng(4)
    examples: list[Example] = []
    for example in subject.examples(np.float64):
        examples += resized(example, 1, generator)
        data = {name: array[(slice(0, 1),) * array.ndim] for name, array in example.data.items()}
        try:
            found = example.with_data(data)
            found.infer()
        except Rejected:
            continue
        examples.append(found)
    if not examples:
        raise Skip("the op refuses size 1")

    def examine(example: Example) -> str | None:
        return wrong_types(example) or (wrong_gradient(example) if example.smooth else None)

    return subject.go_over(examples, examine)


def optional(subject: Subject) -> str:
    """The op runs without each of its optional inputs, or says by a FlownetError that it needs it."""
    examples = [found for example in subject.examples(np.float64) for found in without_optional(example)]
    if not examples:
        raise Skip("no sample has an optional input that can be left out")

    def examine(example: Example) -> str | None:
        return wrong_types(example) or (wrong_gradient(example) if example.smooth else None)

    return subject.go_over(examples, examine)


def refused(subject: Subject) -> str:
    """Inputs of another rank or element type: right types, or a FlownetError, never another exception."""
    count = 0

    def examine(example: Example) -> str | None:
        nonlocal count
        for name, what, array in _odd(example):
            if problem := _mistaken(example, name, array):
                return f"`{name}` {what}: {problem}"
            count += 1
        return None

    subject.go_over(subject.examples(), examine, most_tries=40)
    return f"{counted(count, 'wrong input')}"


def _mistaken(example: Example, name: str, array: np.ndarray) -> str | None:
    """What goes wrong where the op should refuse `array`, or take it."""
    try:
        odd = completed(example.op, {**example.data, name: array})
        odd.infer()
    except Rejected:
        return None
    except Exception as error:
        return said(error)
    try:
        return wrong_types(odd)
    except FlownetError:
        return None
    except Exception as error:
        return f"`infer` takes it, `forward` does not: {said(error)}"


def _odd(example: Example) -> Iterator[tuple[str, str, np.ndarray]]:
    for name, array in example.data.items():
        if array.ndim:
            yield name, "without axes", array.reshape(-1)[:1].reshape(())
            yield name, "with an axis less", array[:1].reshape(array.shape[1:]) if array.shape[0] else array
        yield name, "with an axis more", array[..., None]
        if array.dtype.kind == "f":
            yield name, "as int32", np.ones(array.shape, np.int32)
            yield name, "as bool", np.ones(array.shape, bool)
            yield name, "as float64 beside float32", array.astype(np.float64)
        elif array.dtype.kind in "iu":
            yield name, "as float32", array.astype(np.float32)
