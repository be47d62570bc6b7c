"""Lack of memory is told at the node that wants too much."""

from __future__ import annotations

import pytest

import flownet
from flownet.errors import MachineError

DEVICES = ["cpu", pytest.param("opencl", marks=pytest.mark.opencl)]
WIDE = "inputs: {x: 'float32[N, 64]'}\nnodes:\n  - dense: {units: 1000000000000}\n"
LARGE = "inputs: {x: 'float32[N, 1, 8, 8]'}\nnodes:\n  - relu\n  - upsample: {factor: 1000000}\n  - relu\n"


@pytest.mark.parametrize("device", DEVICES)
def test_a_parameter_that_has_no_place(device: str) -> None:
    with pytest.raises(MachineError) as error:
        flownet.load(WIDE, device=device)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "out-of-memory"
    # 64e12 numbers of 4 bytes
    assert "`dense_1.weight`: float32[1000000000000, 64], 238,418.6 GiB" in diagnostic.message
    assert diagnostic.span is not None
    assert diagnostic.span.line == 3


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_that_has_no_place(device: str) -> None:
    with pytest.raises(MachineError, match=r"no memory for|at most") as error:
        flownet.load(LARGE, device=device).plan(N=1)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.span is not None
    assert diagnostic.span.line == 4
    assert any("upsample_1" in note for note in diagnostic.notes)
    assert "smaller batch" in diagnostic.help
