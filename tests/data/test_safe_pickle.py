"""A pickle is a program: nothing but arrays, containers and plain values may come out of one."""

import os
import pickle

import numpy as np
import pytest

from flownet.data.formats.safe_pickle import read_pickle


class Calls:
    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize("protocol", range(6))
def test_code_is_refused_before_it_runs(tmp_path, refused, protocol):
    witness = tmp_path / "was-run"
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps({"data": Calls(os.mkdir, str(witness))}, protocol))
    with refused("data-forbidden-pickle", path, "mkdir", "nothing of this one was run"):
        read_pickle(path)
    assert not witness.exists()


@pytest.mark.parametrize(
    "function",
    [eval, exec, getattr, __import__, np.load, np.fromfile, np.memmap, os.system, print],
    ids=lambda f: f.__name__,
)
def test_builtins_and_other_functions_of_numpy_are_refused(tmp_path, refused, function):
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps(Calls(function, "1")))
    with refused("data-forbidden-pickle", function.__name__):
        read_pickle(path)


def test_objects_inside_an_array_are_refused_too(tmp_path, refused):
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps(np.array([Calls(os.getcwd)], dtype=object)))
    with refused("data-forbidden-pickle", "getcwd"):
        read_pickle(path)


def test_a_codec_that_is_not_latin_1_is_refused(tmp_path, refused):
    path = tmp_path / "evil"
    path.write_bytes(b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.")
    with refused("data-unreadable", "rot13"):
        read_pickle(path)


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(tmp_path, protocol, order):
    array = np.asarray(np.arange(6, dtype=np.int16).reshape(2, 3), order=order)
    path = tmp_path / "good"
    path.write_bytes(pickle.dumps({"a": array, "b": [1, "x", b"y", None, 2.5]}, protocol))
    found = read_pickle(path)
    found = {key.decode() if isinstance(key, bytes) else key: value for key, value in found.items()}
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    assert found["a"].dtype == np.int16
    assert found["b"] == [1, "x", b"y", None, 2.5]


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x05", pickle.dumps(np.zeros(100))[:60], b"\x80\x02K\x01K\x02u."]
)
def test_damaged_pickles(tmp_path, refused, content):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with refused("data-unreadable", path):
        read_pickle(path)
