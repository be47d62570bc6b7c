"""Convolution kernels against sums in float64 over taps, written from the definition."""

from __future__ import annotations

import re
import resource
from dataclasses import replace

import numpy as np
import pytest

from flownet.devices.opencl.kernels import gpu
from flownet.devices.opencl.kernels.convolution import Choice, candidates, transposed
from flownet.devices.opencl.kernels.direct import Tile
from flownet.devices.opencl.kernels.epilogue import Epilogue, Operand, Prologue
from flownet.devices.opencl.kernels.geometry import Convolution, TapConvolution
from flownet.devices.opencl.target import Target
from tests.devices.opencl.kernel_layouts import from_blocked, to_blocked
from tests.devices.opencl.run_kernel import Runner

pytestmark = pytest.mark.opencl


@pytest.fixture(scope="module")
def run():
    return Runner()


@pytest.fixture(scope="module", params=["device", "eight floats"])
def target(request, run):
    """The device's own target, and the one of a processor without AVX-512."""
    own = Target.of(run.device)
    if own.kind == "gpu":
        pytest.skip("kernels of whole vectors are for CPUs: a GPU's compiler does not know them")
    return own if request.param == "device" else Target()


def images(p, seed=0):
    """x, w, dy of a problem."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((p.batch, p.channels, p.height, p.width))
    w = random.standard_normal((p.filters, p.channels // p.groups, *p.kernel))
    dy = random.standard_normal((p.batch, p.filters, *p.output))
    return tuple(a.astype(np.float32) for a in (x, w, dy))


def by_definition(p, x, w, dy):
    """y, dx, dw in float64: for each group, filter tap by filter tap."""
    (sh, sw), (dh, dw_), (high, wide) = p.stride, p.dilation, p.output
    (top, bottom), (left, right) = p.padding
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    y, dx, dw = np.zeros(dy.shape), np.zeros_like(padded), np.zeros(w.shape)
    ins, outs = p.channels // p.groups, p.filters // p.groups
    for g in range(p.groups):
        c, k = slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)
        for r in range(p.kernel[0]):
            for s in range(p.kernel[1]):
                rows = slice(r * dh, r * dh + (high - 1) * sh + 1, sh)
                columns = slice(s * dw_, s * dw_ + (wide - 1) * sw + 1, sw)
                window = padded[:, c, rows, columns]
                y[:, k] += np.einsum("nchw,kc->nkhw", window, w[k, :, r, s])
                dx[:, c, rows, columns] += np.einsum("nkhw,kc->nchw", dy[:, k], w[k, :, r, s])
                dw[k, :, r, s] = np.einsum("nkhw,nchw->kc", dy[:, k], window)
    return y, dx[:, :, top : top + p.height, left : left + p.width], dw


def tolerance(choice):
    """Error in units of the same sum over absolute values. Direct sums round once a term: far below 2e-6. Winograd's
    transforms multiply by up to 8 and divide by 24, which costs digits: F(2x2) one, F(4x4) two (Lavin and Gray 2016,
    table 8)."""
    if choice.family != "winograd":
        return 2e-6
    return 4e-5 if choice.shape.m == 4 else 5e-6


def random_problems(count=8):
    """Odd sizes, sizes of 1, strides, dilations and paddings that fit, from one seed."""
    random = np.random.default_rng(7)
    pick = lambda *values: int(random.choice(values))  # noqa: E731
    out = []
    while len(out) < count:
        kernel, dilation = (pick(1, 2, 3, 5), pick(1, 3, 4)), (pick(1, 1, 2), pick(1, 1, 3))
        p = Convolution(
            pick(1, 2, 3),
            pick(1, 3, 5, 16, 24, 33),
            pick(1, 4, 7, 9, 13),
            pick(1, 3, 8, 11, 17),
            pick(1, 6, 16, 20, 48),
            kernel,
            (pick(1, 2, 3), pick(1, 1, 2)),
            ((pick(0, 1, 2), pick(0, 1)), (pick(0, 1), pick(0, 1, 2))),
            dilation,
        )
        if min(p.output) > 0:
            out.append(p)
    return out


SAME = ((1, 1), (1, 1))
PROBLEMS = [
    Convolution(2, 16, 8, 8, 16, padding=SAME),
    Convolution(1, 32, 7, 7, 64, padding=SAME),
    Convolution(2, 20, 9, 11, 40, padding=((0, 1), (2, 1))),
    Convolution(3, 16, 14, 14, 32, stride=(2, 2), padding=SAME),
    Convolution(1, 32, 5, 5, 64, (1, 1)),
    Convolution(1, 32, 7, 7, 16, (1, 1), (2, 2)),
    Convolution(2, 6, 14, 14, 16, (5, 5)),
    Convolution(2, 32, 9, 11, 32, stride=(2, 1), padding=SAME, dilation=(2, 1), groups=2),
    Convolution(2, 12, 9, 11, 24, groups=4),
    Convolution(2, 18, 9, 11, 18, stride=(2, 1), padding=SAME, groups=18),
    *random_problems(),
]
PLANAR = [
    Convolution(2, 3, 13, 13, 32, padding=SAME, planar=True),
    Convolution(2, 1, 12, 12, 6, (5, 5), padding=((2, 2), (2, 2)), planar=True),
    Convolution(1, 3, 30, 30, 64, (7, 7), (2, 2), ((3, 3), (3, 3)), planar=True),
]


def best_of_each(p, direction, target):
    """The first candidate of every family and tile size; with eight floats, which the same text serves, of the first
    family alone."""
    out = {}
    for choice in candidates(p, direction, target):
        out.setdefault((choice.family, getattr(choice.shape, "m", 0)), choice)
    return list(out.values()) if target.vector == 16 else list(out.values())[:1]


def close(choice, found, expected, scale):
    error = (abs(found - expected) / np.maximum(scale, 1e-3)).max()
    assert error < tolerance(choice), f"{choice.shape}: {error:.1e}"


@pytest.mark.parametrize("p", PROBLEMS + PLANAR, ids=lambda p: p.label("p"))
def test_forward(p, run, target):
    x, w, dy = images(p)
    (y, _, _), (scale, _, _) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    found = x if p.planar else to_blocked(x, target.vector)
    for choice in best_of_each(p, "forward", target):
        out = run((choice.prepare(), choice.compute()), X=found, W=w)["Y"]
        close(choice, from_blocked(out, y.shape, target.vector), y, scale)


MANY_WEIGHTS = [  # some of them are asked for ahead of their use
    Convolution(1, 160, 7, 7, 464, (1, 1)),
    Convolution(2, 144, 9, 9, 512, (1, 1), (2, 2)),
    Convolution(1, 96, 7, 5, 96, padding=SAME),
    Convolution(2, 48, 14, 14, 192, padding=SAME),
]


@pytest.mark.parametrize("p", MANY_WEIGHTS, ids=lambda p: p.label("p"))
def test_every_candidate_for_few_pixels_and_many_weights(p, run, target):
    x, w, dy = images(p)
    (y, _, _), (scale, _, _) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    choices = candidates(p, "forward", target)
    assert any("PREFETCH(" in line for choice in choices for line in choice.compute().body)
    for choice in choices:
        out = run((choice.prepare(), choice.compute()), X=to_blocked(x, target.vector), W=w)["Y"]
        close(choice, from_blocked(out, y.shape, target.vector), y, scale)


@pytest.mark.parametrize("rows", [2, 4, 6, 8])
@pytest.mark.parametrize("p", [MANY_WEIGHTS[0], MANY_WEIGHTS[2]], ids=lambda p: p.label("p"))
def test_a_last_tile_of_rows_is_moved_back(p, rows, run, target):
    """Tiles of two lines of an image of seven, in work-groups that end inside of it and behind it; the sums over all
    elements show that what is computed twice counts once."""
    x, w, dy = images(p)
    (y, _, _), (scale, _, _) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    tile = Tile(2 * p.output[1], 1, rows, 5, lines=2)
    choice = Choice(p, "forward", target, "direct", tile, 0.0)
    kernel = choice.compute(Epilogue(sums=("acc",)))
    out = run((choice.prepare(), kernel), X=to_blocked(x, target.vector), W=w)
    close(choice, from_blocked(out["Y"], y.shape, target.vector), y, scale)
    channels = p.filters
    sums = out["partials"].reshape(-1, -(-channels // target.vector) * target.vector)[:, :channels].sum(0)
    close(choice, sums, y.sum((0, 2, 3)), scale.sum((0, 2, 3)))


@pytest.mark.parametrize("stack", [1 << 20, 4 << 20])
def test_no_work_group_takes_more_private_memory_than_a_thread_has(stack):
    target = replace(Target(vector=16, registers=32), private_bytes=stack)
    for channels, size, kernel in (
        (512, 28, 3),
        (256, 112, 1),
        (1024, 14, 3),
        (64, 224, 3),
        (2048, 7, 1),
        (256, 56, 5),
    ):
        p = Convolution(2, channels, size, size, 256, (kernel, kernel), padding=((kernel // 2,) * 2,) * 2)
        for direction in ("forward", "input_gradient"):
            for choice in candidates(p, direction, target):
                text = "\n".join(choice.compute(prologue=Prologue("x * a", ("a",))).body)
                floats = sum(int(size) for size in re.findall(r"float \w+\[(\d+)\] __attribute__", text))
                assert 0 < 4 * floats <= stack, (p, choice.shape)


def test_threads_without_a_limit_of_stack_have_two_megabytes(run, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert Target.of(run.device).private_bytes == 1 << 20
    monkeypatch.setattr("resource.getrlimit", lambda which: (8 << 20, resource.RLIM_INFINITY))
    assert Target.of(run.device).private_bytes == 4 << 20


@pytest.mark.parametrize("p", PROBLEMS, ids=lambda p: p.label("p"))
def test_the_input_gradient(p, run, target):
    x, w, dy = images(p)
    (_, dx, _), (_, scale, _) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    for choice in best_of_each(p, "input_gradient", target):
        out = run((choice.prepare(), choice.compute()), X=to_blocked(dy, target.vector), W=w)["Y"]
        close(choice, from_blocked(out, x.shape, target.vector), dx, scale)


STEPPED_OVER = [  # images so small that strides step over some of the taps, the last among them, or over all
    Convolution(3, 16, 6, 1, 18, (2, 2), (2, 2), ((2, 2), (2, 2))),
    Convolution(1, 24, 1, 2, 16, (4, 4), (4, 4), ((4, 4), (4, 4))),
    Convolution(2, 12, 5, 1, 24, (3, 3), (3, 3), SAME, groups=2),
    Convolution(2, 18, 5, 1, 18, (3, 3), (3, 3), SAME, groups=18),
    Convolution(2, 18, 1, 1, 18, (1, 1), (2, 2), SAME, groups=18),
    Convolution(2, 16, 1, 1, 16, (1, 1), (2, 2), SAME),
]


@pytest.mark.parametrize("p", STEPPED_OVER, ids=lambda p: p.label("p"))
def test_the_gradients_of_images_that_strides_step_over(p, run, target):
    x, w, dy = images(p)
    (_, dx, dw), (_, scale, w_scale) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    for choice in candidates(p, "input_gradient", target):
        out = run((choice.prepare(), choice.compute()), X=to_blocked(dy, target.vector), W=w)["Y"]
        close(choice, from_blocked(out, x.shape, target.vector), dx, scale)
    for choice in candidates(p, "weight_gradient", target):
        out = run(choice.gradient(), X=to_blocked(x, target.vector), dY=to_blocked(dy, target.vector))["dW"]
        close(choice, out.reshape(w.shape), dw, w_scale)


@pytest.mark.parametrize("p", PROBLEMS + PLANAR, ids=lambda p: p.label("p"))
def test_the_weight_gradient(p, run, target):
    x, w, dy = images(p)
    (_, _, dw), (_, _, scale) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    found = x if p.planar else to_blocked(x, target.vector)
    for choice in best_of_each(p, "weight_gradient", target):
        out = run(choice.gradient(), X=found, dY=to_blocked(dy, target.vector))["dW"]
        close(choice, out.reshape(w.shape), dw, scale)


@pytest.mark.parametrize("family", ["direct", "winograd"])
def test_an_epilogue_adds_activates_stores_twice_and_sums(family, run, target):
    p = Convolution(2, 16, 9, 10, 24, padding=SAME)  # 24: the last vector of 16 lanes is half empty
    x, w, dy = images(p)
    y = by_definition(p, x, w, dy)[0]
    random = np.random.default_rng(1)
    bias = random.standard_normal(24).astype(np.float32)
    skip = random.standard_normal(y.shape).astype(np.float32)
    epilogue = Epilogue(
        operands=(Operand("bias", "channel"), Operand("skip", "element"), Operand("gain", "scalar")),
        steps=(
            ("before", "acc * gain + bias + skip"),
            ("after", "before > 0.0f ? before : (vec)(0.0f)"),
            ("square", "before * before"),
        ),
        outputs=(("Y", "after"), ("Z", "before")),
        sums=("before", "square"),
    )
    choice = next(c for c in candidates(p, "forward", target) if c.family == family)
    v = target.vector
    out = run(
        (choice.prepare(), choice.compute(epilogue)),
        X=to_blocked(x, v),
        W=w,
        bias=bias,
        skip=to_blocked(skip, v),
        gain=[0.5],
    )
    before = y * 0.5 + bias[:, None, None] + skip
    np.testing.assert_allclose(from_blocked(out["Z"], y.shape, v), before, atol=1e-3)
    np.testing.assert_allclose(from_blocked(out["Y"], y.shape, v), np.maximum(before, 0), atol=1e-3)
    shape = epilogue.partials_shape(choice.compute(epilogue).arguments, 24, v)
    sums = out["partials"].reshape(shape).sum(0)[:, :24]
    np.testing.assert_allclose(sums[0], before.sum((0, 2, 3)), atol=2e-2)
    np.testing.assert_allclose(sums[1], (before**2).sum((0, 2, 3)), rtol=1e-3)


def test_an_epilogue_calls_built_in_functions(run, target):
    p = Convolution(1, 16, 6, 6, 20, padding=SAME)
    x, w, dy = images(p)
    choice = candidates(p, "forward", target)[0]
    epilogue = Epilogue(
        operands=(Operand("bias", "channel"),), steps=(("y", "tanh(0.1f * acc + bias)"),), outputs=(("Y", "y"),)
    )
    bias = np.linspace(-1, 1, 20, dtype=np.float32)
    out = run((choice.prepare(), choice.compute(epilogue)), X=to_blocked(x, target.vector), W=w, bias=bias)["Y"]
    expected = np.tanh(0.1 * by_definition(p, x, w, dy)[0] + bias[:, None, None])
    np.testing.assert_allclose(from_blocked(out, expected.shape, target.vector), expected, atol=2e-5)


@pytest.mark.parametrize("family", ["direct", "winograd"])
def test_prologues_normalise_images_but_not_their_padding(family, run, target):
    p = Convolution(2, 16, 7, 7, 16, padding=SAME)
    x, w, dy = images(p)
    z = images(p, 1)[0]
    scale, shift = np.linspace(0.5, 2, 16, dtype=np.float32), np.linspace(-1, 1, 16, dtype=np.float32)
    wide_scale, wide_shift = scale[:, None, None], shift[:, None, None]
    y, _, dw = by_definition(p, np.maximum(x * wide_scale + wide_shift, 0), w, dy * wide_shift + z)
    prologue = Prologue("x * scale + shift > 0.0f ? x * scale + shift : (vec)(0.0f)", ("scale", "shift"))
    v = target.vector
    choice = next(c for c in candidates(p, "forward", target) if c.family == family)
    kernels = (choice.prepare(), choice.compute(prologue=prologue))
    out = run(kernels, X=to_blocked(x, v), W=w, scale=scale, shift=shift)["Y"]
    np.testing.assert_allclose(from_blocked(out, y.shape, v), y, atol=2e-3)
    choice = next(c for c in candidates(p, "weight_gradient", target) if c.family == family)
    steps = choice.gradient(prologue, Prologue("x * slope + z", ("slope",), ("z",)))
    blocked = {"X": to_blocked(x, v), "dY": to_blocked(dy, v), "z": to_blocked(z, v)}
    out = run(steps, **blocked, scale=scale, shift=shift, slope=shift)["dW"]
    np.testing.assert_allclose(out.reshape(dw.shape), dw, atol=2e-3)


@pytest.mark.parametrize("p", [PROBLEMS[2], PROBLEMS[7], *random_problems(3)], ids=lambda p: p.label("p"))
def test_local_memory_kernels(p, run):
    target = Target(kind="gpu")
    x, w, dy = images(p)
    (y, dx, dw), (sy, sx, sw) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    epilogue = Epilogue(operands=(Operand("bias", "channel"),), steps=(("y", "acc + bias"),), outputs=(("Y", "y"),))
    choice = candidates(p, "forward", target)[0]
    bias = np.arange(p.filters, dtype=np.float32)
    out = run(choice.compute(epilogue), X=x, W=w, bias=bias)["Y"].reshape(y.shape)
    close(choice, out, y + bias[:, None, None], sy + bias[:, None, None])
    choice = candidates(p, "input_gradient", target)[0]
    close(choice, run(choice.compute(), X=dy, W=w)["Y"].reshape(x.shape), dx, sx)
    choice = candidates(p, "weight_gradient", target)[0]
    close(choice, run(choice.gradient(), X=x, dY=dy)["dW"].reshape(w.shape), dw, sw)


def test_a_gpus_weight_gradient_is_summed_in_parts(run):
    p = Convolution(4, 5, 20, 20, 7, padding=SAME)
    x, w, dy = images(p)
    (_, _, dw), (_, _, scale) = by_definition(p, x, w, dy), by_definition(p, abs(x), abs(w), abs(dy))
    choice = candidates(p, "weight_gradient", Target(kind="gpu", units=132))[0]
    assert "parts" in choice.gradient().kernels[1].variant
    close(choice, run(choice.gradient(), X=x, dY=dy)["dW"].reshape(w.shape), dw, scale)


def test_a_transposed_convolution_scatters_its_image(run, target):
    x = np.random.default_rng(0).standard_normal((2, 20, 5, 4)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((20, 6, 3, 3)).astype(np.float32)
    whole = np.zeros((2, 6, 12, 10))
    for h in range(5):
        for c in range(4):
            whole[:, :, 2 * h : 2 * h + 3, 2 * c : 2 * c + 3] += np.einsum("nc,ckrs->nkrs", x[:, :, h, c], w)
    expected = whole[
        :, :, 1:11, 1:9
    ]  # padding 1 takes a border away, output padding 1 gives a last row and column back
    p = transposed(2, 20, 5, 4, 6, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    choice = candidates(p, "input_gradient", target)[0]
    out = run((choice.prepare(), choice.compute()), X=to_blocked(x, target.vector), W=w)["Y"]
    np.testing.assert_allclose(from_blocked(out, (2, 6, 10, 8), target.vector), expected, atol=1e-4)


def test_winograd_comes_first_where_it_was_measured_to_win():
    target = Target(vector=16, registers=32)
    for channels, size in ((16, 32), (32, 16), (64, 8), (64, 56), (256, 56)):
        p = Convolution(8, channels, size, size, channels, padding=SAME)
        for direction in ("forward", "input_gradient", "weight_gradient"):
            best = candidates(p, direction, target)[0]
            assert (best.family, best.shape.m) == ("winograd", 4), (channels, direction)
    strided = Convolution(8, 16, 32, 32, 32, stride=(2, 2), padding=SAME)
    assert {c.family for c in candidates(strided, "forward", target)} == {"direct"}


def test_an_input_gradient_of_a_stride_multiplies_no_inserted_zero():
    p = TapConvolution.input_gradient(Convolution(1, 1, 8, 8, 1, (3, 3), (2, 2), SAME))
    assert sorted(len(cls.taps) for cls in p.classes) == [1, 2, 2, 4]


def test_gpu_matmul_is_exported():
    assert "barrier" in "\n".join(gpu.convolution(PROBLEMS[0], Target(kind="gpu")).body)
