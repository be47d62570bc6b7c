"""The op under test: its examples, and how a check runs over them and shows its failures."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flownet.errors import FlownetError, MachineError
from flownet.op import Op
from flownet.testing.example import Example, Rejected, example_of, resized
from flownet.testing.on_device import RunOn
from flownet.testing.shrink import smallest

__all__ = ["Failure", "Skip", "Subject", "counted", "problem_of", "said"]

_NEVER_THE_INPUTS = ("kernel-build", "bad-lowering", "no-kernel", "device-failed", "op-failed")

Examine = Callable[[Example], str | None]


class Failure(Exception):
    """The op breaks its contract; `example` shows it."""

    def __init__(self, detail: str, example: Example | None = None) -> None:
        super().__init__(detail)
        self.example = example


class Skip(Exception):
    """There is nothing to check, and why."""


@dataclass(frozen=True)
class Subject:
    """An op class, the device that it is checked on, and what is known besides."""

    op_class: type[Op]
    device: str
    registry: Any
    oracle: Callable[[Op, Mapping[str, np.ndarray]], Any] | None
    run_on: RunOn

    @cached_property
    def samples(self) -> list[Any]:
        return list(self.op_class.samples())

    def examples(self, dtype: type = np.float32) -> list[Example]:
        """The samples with all inputs. Raises Skip when there are none, Failure when the op refuses one."""
        if self._broken:
            raise Skip("the samples cannot be used")
        return [example_of(sample, dtype) for sample in self.samples]

    @cached_property
    def _broken(self) -> bool:
        try:
            for sample in self.samples:
                example_of(sample).infer()
        except Exception:
            return True
        return not self.samples

    def variants(self, dtype: type = np.float32) -> list[Example]:
        """The samples, each also with one row, and with one more row than it has."""
        generator = np.random.default_rng(11)
        found = []
        for example in self.examples(dtype):
            found.append(example)
            first = next((array for array in example.data.values() if array.ndim), None)
            if first is not None:
                for rows in sorted({1, first.shape[0] + 1} - {first.shape[0]}):
                    found += resized(example, rows, generator)
        return found

    def go_over(self, examples: Iterable[Example], examine: Examine, most_tries: int = 150) -> str:
        """Examine each; how many they were, in words. Raises Failure with the smallest example that shows a problem.

        most_tries: how many smaller ones are examined; fewer where each has kernels to compile
        """
        count = 0
        for example in examples:
            problem = problem_of(examine, example)
            if problem is not None:
                shown = smallest(example, lambda candidate: _still_fails(examine, candidate), most_tries)
                raise Failure(problem_of(examine, shown) or problem, shown)
            count += 1
        return counted(count, "input")


def counted(number: int, noun: str) -> str:
    """`1 sample`, `2 samples`"""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def problem_of(examine: Examine, example: Example) -> str | None:
    """What is wrong with the example, an exception included."""
    try:
        return examine(example)
    except Rejected as reason:
        return f"the op refuses the input: {reason}"
    except (Skip, Failure):
        raise
    except FlownetError as error:
        first = error.diagnostics[0]
        if not example.given and not isinstance(error, MachineError) and first.code not in _NEVER_THE_INPUTS:
            return None  # an index that is no longer there, say: the op says so, as it should
        notes = first.notes if first.code == "kernel-build" else ()  # the compiler's words, and the lines of the kernel
        return "\n".join([f"{first.code}: {first.message}", *(line for note in notes for line in note.splitlines())])
    except Exception as error:
        return said(error)


def said(error: Exception) -> str:
    """An exception in one line, with where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    at = (
        f", raised in `{frames[-1].name}` of {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}"
        if frames
        else ""
    )
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{at}"


def _still_fails(examine: Examine, candidate: Example) -> bool:
    try:
        candidate.infer()
    except Exception:
        return False
    return problem_of(examine, candidate) is not None
