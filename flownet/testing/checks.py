"""The checks in the order in which they run: what a reader wants to know first comes first."""

from __future__ import annotations

from collections.abc import Callable

from flownet.testing import attribute_checks, gradient_checks, input_checks, kernel_checks, range_checks, value_checks
from flownet.testing.subject import Subject

__all__ = ["CHECKS"]

#: name -> check. A check returns what it looked at, and raises Failure or Skip.
CHECKS: dict[str, Callable[[Subject], str]] = {
    "documentation": attribute_checks.documentation,
    "samples": attribute_checks.samples,
    "inference": value_checks.inference,
    "symbols": value_checks.symbols,
    "forward": value_checks.forward_expected,
    "oracle": value_checks.oracle,
    "output array": value_checks.output_array,
    "gradient": gradient_checks.gradient,
    "gradient range": range_checks.gradient_range,
    "gradient types": gradient_checks.gradient_types,
    "large values": value_checks.large_values,
    "determinism": input_checks.determinism,
    "no memory": input_checks.no_memory,
    "inputs unmodified": input_checks.unmodified,
    "strided inputs": input_checks.strided,
    "empty inputs": input_checks.empty,
    "size 1": input_checks.size_one,
    "optional inputs": input_checks.optional,
    "refused inputs": input_checks.refused,
    "attributes": attribute_checks.bad_values,
    "serialisation": attribute_checks.serialisation,
    "cost": attribute_checks.cost,
    "kernel memory": kernel_checks.kernel_memory,  # before `device`: what writes out of bounds is not run unguarded
    "device": value_checks.device,
}
