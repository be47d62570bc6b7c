"""Binaries are built once: a second start finds them, another source, driver or option does not."""

from __future__ import annotations

import warnings

import pytest

from flownet.devices.opencl.kernels.convolution import Convolution, candidates
from flownet.devices.opencl.platforms import find
from flownet.devices.opencl.runtime import Runtime
from flownet.devices.opencl.trial import Trial
from flownet.devices.opencl.tuning import Tuning
from flownet.errors import DiagnosticWarning
from tests.devices.opencl.opencl_devices import device_ids

pytestmark = pytest.mark.opencl
SOURCE = "__kernel void add(__global float* x) { x[get_global_id(0)] += %d; }"


@pytest.fixture(params=device_ids())
def runtime(request, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path))
    runtime = Runtime(find(request.param))
    runtime.builds.of_its_own = False  # as with a driver that has no cache of its own
    runtime.builds.compiled = 0
    return runtime


@pytest.fixture(params=["the driver's own kind", "a kind that nothing is known of"])
def keeping(request, runtime):
    """A driver whose binaries are kept as they are, too."""
    if request.param != "the driver's own kind":
        runtime.builds.pocl = False
    return runtime


def test_the_second_start_builds_none(keeping):
    keeping.build(SOURCE % 1, "a test")
    assert keeping.builds.compiled == 1
    keeping.build(SOURCE % 1, "a test")
    assert keeping.builds.compiled == 1
    keeping.build(SOURCE % 2, "a test")
    keeping.build(SOURCE % 1, "a test", "-cl-std=CL1.2")
    assert keeping.builds.compiled == 3


@pytest.mark.parametrize("damaged", [lambda whole: b"not a binary", lambda whole: whole[:-100], lambda whole: b""])
def test_a_damaged_binary_is_built_anew(keeping, tmp_path, damaged):
    folder = tmp_path / "opencl"
    before = set(folder.iterdir()) if folder.exists() else set()  # the device's own self-tests
    keeping.build(SOURCE % 1, "a test")
    (file,) = set(folder.iterdir()) - before
    file.write_bytes(damaged(file.read_bytes()))
    keeping.build(SOURCE % 1, "a test")
    assert keeping.builds.compiled == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(keeping, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path / "file" / "below"))
    keeping.build(SOURCE % 1, "a test")
    keeping.build(SOURCE % 1, "a test")
    assert keeping.builds.compiled == 2


def test_tuning_is_kept_for_the_device(runtime):
    problem = Convolution(2, 16, 8, 8, 16, padding=((1, 1), (1, 1)))
    tuning = Tuning(runtime)
    results = tuning.tune(problem, "forward")
    assert len(results) == len(candidates(problem, "forward", runtime.target))
    tuning.save()
    again = Tuning(runtime)
    fastest = min((r for r in results if not r[2]), key=lambda r: r[1])[0]
    choice = again.choose(problem, "forward")
    assert f"{choice.family} {choice.shape}" == fastest
    (tuning.path).write_text("{broken")
    assert Tuning(runtime).chosen == {}


def test_a_candidate_that_is_wrong_is_named_and_set_aside(runtime, monkeypatch):
    """Even one that stands first, against which the others once were compared."""
    problem = Convolution(2, 16, 8, 8, 16, padding=((1, 1), (1, 1)))
    first, *others = candidates(problem, "forward", runtime.target)
    honest = Trial.run

    def lying(self, choice, *arguments):
        seconds, error = honest(self, choice, *arguments)
        return (0.0, 0.5) if choice == first else (seconds, error)

    monkeypatch.setattr(Trial, "run", lying)
    tuning = Tuning(runtime)
    results = tuning.tune(problem, "forward")
    assert [note for _, _, note in results] == [
        "set aside: is wrong by 5.0e-01 of the largest element",
        *[""] * len(others),
    ]
    tuning.save()
    again = Tuning(runtime)
    other = Convolution(1, 16, 8, 8, 16, padding=((1, 1), (1, 1)))  # not tuned: the model decides
    for asked in (problem, other):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert again.choose(asked, "forward").shape != first.shape
        if asked is problem:
            (found,) = (warning.message.diagnostic for warning in caught)
            assert found.code == "kernel-set-aside" and str(first.shape) in found.message
            assert "is taken" in found.message and "is wrong by 5.0e-01" in found.notes[0]


PLAIN = Convolution(2, 16, 8, 8, 16, padding=((1, 1), (1, 1)))
FIRST_LAYER = Convolution(1, 3, 9, 7, 20, planar=True)  # nobody asks for the gradient of the picture that is fed


@pytest.mark.parametrize(
    ("problem", "direction"),
    [
        (PLAIN, "forward"),
        (PLAIN, "input_gradient"),
        (PLAIN, "weight_gradient"),
        (FIRST_LAYER, "forward"),
        (FIRST_LAYER, "weight_gradient"),
    ],
)
def test_all_candidates_agree_with_numpy(runtime, problem, direction):
    assert Tuning(runtime).check(problem, direction) == []


def test_what_two_processes_find_is_kept_side_by_side(runtime):
    first, second = Tuning(runtime), Tuning(runtime)
    first.chosen["a"], first.failures["pooling"] = "direct", "wrong"
    second.chosen["b"], second.set_aside["winograd"] = "winograd", "crashes"
    assert first.save() and second.save()
    assert (
        first.chosen | {"b": "winograd"} == second.chosen == Tuning(runtime).chosen == {"a": "direct", "b": "winograd"}
    )
    first.failures = {}  # it passes the self-test by now
    first.save()
    later = Tuning(runtime)
    assert (later.failures, later.set_aside) == ({}, {"winograd": "crashes"})


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"chosen": 5}', '{"chosen": {"a": 5}, "set_aside": [1]}', "\x00\x01"]
)
def test_a_damaged_file_of_choices_is_none(runtime, text):
    tuning = Tuning(runtime)
    tuning.path.parent.mkdir(parents=True)
    tuning.path.write_text(text)
    damaged = Tuning(runtime)
    assert damaged.failures == damaged.set_aside == {}
    damaged.chosen["a"] = "direct"
    assert damaged.save() and Tuning(runtime).chosen["a"] == "direct"


def test_a_folder_that_cannot_be_written_to_is_told_of_once(runtime, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLOWNET_CACHE_DIR", str(tmp_path / "file"))
    tuning = Tuning(runtime)
    tuning.chosen["a"] = "direct"
    with pytest.warns(DiagnosticWarning) as caught:
        assert not tuning.save() and not tuning.save()
    (told,) = (warning.message.diagnostic for warning in caught)
    assert told.code == "not-kept" and "FLOWNET_CACHE_DIR" in told.help
