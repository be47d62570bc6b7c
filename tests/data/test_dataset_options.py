"""From what a graph file says to a dataset: every mistake, in one go, at its place."""

from dataclasses import dataclass

import numpy as np
import pytest

from flownet.data import ArraySplit, Dataset, Field, builtin_augmentations, builtin_datasets, make_dataset
from flownet.data.augmentations import Flip, Shift
from flownet.data.catalogue import options_of
from flownet.data.datasets import CsvFile, ImageFolder, Mnist
from flownet.data.preparation import Moments
from flownet.errors import FlownetError
from flownet.source import SourceFile, Span
from flownet.types import DType


def make(options, **more):
    return make_dataset(options, builtin_datasets(), builtin_augmentations(), **more)


def test_options_become_fields():
    assert make({"dataset": "mnist"}) == Mnist()
    assert make({"dataset": "csv", "path": "i.csv", "target": "species", "validation": 0.1}) == CsvFile(
        path="i.csv", target="species", validation=0.1
    )
    assert make({"dataset": "image_folder", "path": "p", "size": [64, 32], "augment": ["flip", {"shift": 2}]}) == (
        ImageFolder(path="p", size=(64, 32), augment=(Flip(), Shift(pixels=2)))
    )
    standardised = make({"dataset": "mnist", "standardise": {"mean": [0.13], "std": [0.3]}, "validation": 5000})
    assert standardised == Mnist(standardise=Moments((0.13,), (0.3,)), validation=5000)


@pytest.mark.parametrize(
    ("options", "code", "texts"),
    [
        ({}, "missing-option", ["`dataset`", "`digits`"]),
        ({"dataset": "mnits"}, "unknown-dataset", ["`mnits`", "did you mean `mnist`"]),
        ({"dataset": "zzz"}, "unknown-dataset", ["installed are", "`xor`"]),
        ({"dataset": ["mnist"]}, "unknown-dataset", []),
        ({"dataset": "csv"}, "missing-option", ["dataset `csv` needs the option `path`"]),
        ({"dataset": "csv", "path": 3}, "bad-option", ["`path` of dataset `csv` takes a text, got `3`"]),
        ({"dataset": "csv", "path": "a", "taget": 1}, "unknown-option", ["no option `taget`", "did you mean `target`"]),
        ({"dataset": "mnist", "limit": True}, "bad-option", ["a whole number or null, got `true`"]),
        ({"dataset": "mnist", "limit": 1.5}, "bad-option", ["`1.5`"]),
        ({"dataset": "mnist", "standardise": "yes"}, "bad-option", ["`none` or `per_channel`", "the text `yes`"]),
        ({"dataset": "mnist", "standardise": {"mean": [1]}}, "missing-option", ["`std`"]),
        ({"dataset": "image_folder", "path": "p", "size": [1]}, "bad-option", ["a list of 2", "a list of 1"]),
        ({"dataset": "image_folder", "path": "p", "channels": 4}, "bad-option", ["`1` or `3`"]),
        ({"dataset": "csv", "path": "p", "delimiter": "::"}, "bad-option", ["one character"]),
        ({"dataset": "csv", "path": "p", "test": 0.1, "test_path": "q"}, "bad-option", ["not both"]),
        ({"dataset": "orl_faces", "test_faces": 10}, "bad-option", ["expected 0 to 9"]),
        ({"dataset": "idx", "images": "a", "labels": "b", "test_images": "c"}, "missing-option", ["`test_labels`"]),
    ],
)
def test_mistakes(refused, options, code, texts):
    with refused(code, *texts):
        make(options)


def test_all_mistakes_at_once_each_at_its_place():
    file = SourceFile("g.yaml", "data: …\n" * 20)
    places = {("colour",): 3, ("limit",): 4, ("augment", 1): 7}
    options = {"dataset": "csv", "colour": 1, "limit": "x", "augment": ["flip", "flop"]}

    def locate(path):
        return Span(file, places.get(path, 1), 1, 1, 2)

    with pytest.raises(FlownetError) as caught:
        make(options, locate=locate)
    assert sorted((d.code, d.span.line) for d in caught.value.diagnostics) == [
        ("bad-option", 4),
        ("missing-option", 1),
        ("unknown-augmentation", 7),
        ("unknown-option", 3),
    ]


def test_a_dataset_of_somebody_else():
    @dataclass(frozen=True, kw_only=True)
    class Squares(Dataset):
        """The squares."""

        name = "squares"
        examples: int = 5

        def read(self, root):
            x = np.arange(self.examples, dtype=np.float32)[:, None]
            fields = {"x": Field(DType.float32, (1,)), "y": Field(DType.float32, (1,))}
            return {"train": ArraySplit({"x": x, "y": x**2}, fields)}

    dataset = make_dataset({"dataset": "squares", "examples": 8, "validation": 2}, {"squares": Squares}, {})
    splits = dataset.open()
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "validation": 2}
    assert options_of(Squares)[0].name == "examples"


def test_an_augmentation_that_does_not_fit_is_said_when_the_data_open(refused):
    with refused("data-field", "`flip` needs an image", "`x`"):
        make({"dataset": "iris", "augment": ["flip"]}).open()


@pytest.mark.parametrize("cls", builtin_datasets().values(), ids=lambda cls: cls.name)
def test_every_dataset_states_what_it_is(cls):
    assert cls.summary
    assert cls.licence
    assert cls.source
    assert cls.__doc__
    for option in options_of(cls):
        assert any(
            f"{option.name}:" in c.__doc__ or f"{option.name}, " in c.__doc__ or f", {option.name}:" in c.__doc__
            for c in cls.__mro__
            if issubclass(c, Dataset)
        ), f"{option.name} is not documented"
