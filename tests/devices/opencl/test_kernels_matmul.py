"""Matrix products against NumPy in float64: every transpose, odd sizes, size 1."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flownet.devices.opencl.kernels import gpu
from flownet.devices.opencl.kernels.epilogue import Epilogue, Operand
from flownet.devices.opencl.kernels.matmul import Matmul, MatmulTile, candidates, matmul, pack, reduce_splits
from flownet.devices.opencl.target import Target
from tests.devices.opencl.run_kernel import Runner

pytestmark = pytest.mark.opencl

SIZES = [
    (64, 256, 784, 1),
    (64, 10, 128, 1),
    (1, 40, 512, 1),
    (1, 1, 1, 1),
    (7, 33, 5, 3),
    (13, 48, 17, 1),
    (1, 64, 16, 2),
    (30, 64, 1024, 1),
]


@pytest.fixture(scope="module")
def run():
    return Runner()


@pytest.fixture(scope="module", params=["device", "eight floats"])
def target(request, run):
    own = Target.of(run.device)
    if own.kind == "gpu":
        pytest.skip("kernels of whole vectors are for CPUs: a GPU's compiler does not know them")
    return own if request.param == "device" else Target()


def operands(p):
    random = np.random.default_rng(0)
    a = random.standard_normal((p.batch, p.m, p.k)).astype(np.float32)
    b = random.standard_normal((p.batch, p.k, p.n)).astype(np.float32)
    stored_a = a.swapaxes(1, 2) if p.transposed_a else a
    stored_b = b.swapaxes(1, 2) if p.transposed_b else b
    # 2e-6 of the sum over absolute values: float32 rounding of sums of up to 1024 terms stays well below
    return stored_a, stored_b, a.astype(np.float64) @ b, 2e-6 * (abs(a).astype(np.float64) @ abs(b)) + 1e-6


@pytest.mark.parametrize("ta", [False, True], ids=["a", "at"])
@pytest.mark.parametrize("tb", [False, True], ids=["b", "bt"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_transpose_with_an_epilogue(size, ta, tb, run, target):
    p = Matmul(*size[:3], ta, tb, size[3])
    a, b, expected, bound = operands(p)
    random = np.random.default_rng(1)
    bias, skip = (random.standard_normal(s).astype(np.float32) for s in (p.n, expected.shape))
    epilogue = Epilogue(
        (Operand("bias", "channel"), Operand("skip", "element")),
        (("sum", "acc + bias + skip"), ("y", "sum > 0.0f ? sum : (vec)(0.0f)")),
        (("C", "sum"), ("Z", "y")),
    )
    tile = dataclasses.replace(candidates(p, target)[0], splits=1)
    out = run(matmul(p, target, epilogue, tile), A=a, B=b, bias=bias, skip=skip)
    expected = expected + bias + skip
    assert (abs(out["C"].reshape(expected.shape) - expected) <= bound + 1e-6).all()
    assert (abs(out["Z"].reshape(expected.shape) - np.maximum(expected, 0)) <= bound + 1e-6).all()


@pytest.mark.parametrize("tb", [False, True], ids=["b", "bt"])
@pytest.mark.parametrize("size", SIZES[:6], ids=str)
def test_packed_weights(size, tb, run, target):
    p = Matmul(*size[:3], False, tb, size[3])
    a, b, expected, bound = operands(p)
    tile = dataclasses.replace(candidates(p, target, packed=True)[0], splits=1)
    out = run((pack(p, tile, target), matmul(p, target, tile=tile)), A=a, B=b)
    assert (abs(out["C"].reshape(expected.shape) - expected) <= bound).all()


@pytest.mark.parametrize("source", ["panel", "packed"])
@pytest.mark.parametrize("tb", [False, True], ids=["b", "bt"])
@pytest.mark.parametrize("columns", [2, 3, 4])
@pytest.mark.parametrize("m", [1, 7, 24])
def test_whole_vectors_that_make_no_whole_panels(source, tb, columns, m, run, target):
    """The last panel has fewer vectors: neither products nor sums may come from behind the last column."""
    p = Matmul(m, 5 * target.vector, 19, False, tb, 2)
    a, b, expected, bound = operands(p)
    bias = np.random.default_rng(1).standard_normal(p.n).astype(np.float32)
    epilogue = Epilogue((Operand("bias", "channel"),), (("y", "acc + bias"),), (("C", "y"),), sums=("y",))
    tile = MatmulTile(3 if m > 3 else 1, columns, 2, 2, source)
    kernel = matmul(p, target, epilogue, tile)
    out = run((pack(p, tile, target), kernel) if source == "packed" else kernel, A=a, B=b, bias=bias)
    expected = expected + bias
    assert (abs(out["C"].reshape(expected.shape) - expected) <= bound + 1e-6).all()
    rows, _, lanes = epilogue.partials_shape(kernel.arguments, p.n, columns * target.vector)
    sums = out["partials"].reshape(rows, lanes)[:, : p.n].sum(0)
    np.testing.assert_allclose(sums, expected.sum((0, 1)), atol=bound.sum() + 1e-4)


@pytest.mark.parametrize("size", [(16, 32, 300, 1), (7, 33, 50, 2)], ids=str)
def test_splits_of_k_are_added_before_the_epilogue(size, run, target):
    p = Matmul(*size[:3], True, False, size[3])
    a, b, expected, bound = operands(p)
    tile = dataclasses.replace(candidates(p, target)[0], splits=3)
    parts = run(matmul(p, target, tile=tile), A=a, B=b)["C"]
    epilogue = Epilogue((), (("y", "acc * 2.0f"),), (("C", "y"),))
    out = run(reduce_splits(p, 3, target, epilogue), P=parts)["C"]
    assert (abs(out.reshape(expected.shape) - 2 * expected) <= 2 * bound).all()


def test_one_b_for_the_whole_batch(run, target):
    p = Matmul(5, 32, 9, batch=3, shared_b=True)
    random = np.random.default_rng(0)
    a, b = random.standard_normal((3, 5, 9)).astype(np.float32), random.standard_normal((9, 32)).astype(np.float32)
    np.testing.assert_allclose(run(matmul(p, target), A=a, B=b)["C"].reshape(3, 5, 32), a @ b, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 256, 100, 1), (7, 33, 5, 3), (1, 1, 1, 1)], ids=str)
def test_local_memory_kernel(size, run):
    p = Matmul(*size[:3], True, True, size[3])
    a, b, expected, bound = operands(p)
    out = run(gpu.matmul(p, Target(kind="gpu")), A=a, B=b)["C"]
    assert (abs(out.reshape(expected.shape) - expected) <= bound).all()
