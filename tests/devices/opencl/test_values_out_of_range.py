"""Targets, indices and places that an op refuses: what is fed is refused on every device, and no kernel writes beyond its memory."""

from __future__ import annotations

import numpy as np
import pytest

from flownet.errors import FlownetError
from flownet.executor import Session
from flownet.graph import Builder, Graph
from flownet.types import DType, TensorType
from tests.devices.opencl.opencl_devices import device_ids_and_gpu, opened
from tests.passes.small_networks import op

pytestmark = [pytest.mark.opencl, pytest.mark.parametrize("device", ["cpu", *device_ids_and_gpu()])]

X = np.ones((1, 3, 2, 2), np.float32)
#: op, its inputs when all is well, the one that is changed, what it is not to be, the error
CASES = [
    (op("binary_cross_entropy"), {"logits": X, "target": X / 2}, "target", [1.5, -0.1, np.nan], "label-range"),
    (op("binary_cross_entropy"), {"logits": X, "target": X.astype(np.int32)}, "target", [2, -1], "label-range"),
    (op("embedding", rows=5, units=4), {"indices": np.full((2, 3), 4, np.int32)}, "indices", [5, -1], "index-out-of-range"),
    (op("max_unpool"), {"x": X, "indices": np.full(X.shape, 15, np.int32)}, "indices", [16, -1, 10**8], "index-out-of-range"),
]  # fmt: skip


def session_of(device):
    from flownet.devices.cpu.device import CPU

    return Session(CPU() if device == "cpu" else opened(device))


@pytest.mark.parametrize(("made", "arrays", "changed", "wrong", "code"), CASES, ids=lambda x: getattr(x, "name", ""))
def test_what_is_fed_is_refused(device, made, arrays, changed, wrong, code):
    session, g = session_of(device), Builder(Graph())
    y = g.add(made, **{name: g.input(name, TensorType(DType.of(a.dtype), a.shape)) for name, a in arrays.items()})
    g.graph.output(y.name)
    assert np.isfinite(session.run(g.graph, arrays)[y.name]).all()
    for number in wrong:
        array = arrays[changed].copy()
        array[0, ..., -1] = number
        with pytest.raises(FlownetError) as caught:
            session.run(g.graph, {**arrays, changed: array})
        assert caught.value.diagnostics[0].code == code


def test_places_of_a_larger_image_give_nan_and_touch_nothing_else(device):
    """Pooling leaves a rest of the image, which nobody told the unpooling: NumPy refuses the places, kernels cannot."""
    session, g = session_of(device), Builder(Graph())
    x = g.input("x", TensorType(DType.float32, (2, 3, 9, 9)))
    y, places = g.add(op("max_pool", kernel=2), x)
    g.graph.output(g.add(op("max_unpool"), y, places, name="z").name)
    array = np.zeros((2, 3, 9, 9), np.float32)
    array[:, :, ::2, ::2] = 1.0  # the first of each window: the last one at row 6, of 8 that the output has
    array[1, 1, 7, 7] = 2.0  # place 70 of 81
    if device == "cpu":
        with pytest.raises(FlownetError):
            session.run(g.graph, {"x": array})
        return
    z = session.run(g.graph, {"x": array})["z"]
    assert np.isnan(z[1, 1, 0, 0]) and np.isnan(z).sum() == 1
