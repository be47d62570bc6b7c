"""A dataset says how many classes it has: a net of fewer is told before it runs, at the node that would fail."""

from __future__ import annotations

import pytest

from flownet.errors import Diagnostic
from flownet.language import check

NET = """\
inputs: {{image: "float32[N, 1, 8, 8]"}}
nodes:
  - flatten
  - dense: {{name: scores, units: {units}}}
train:
  data: {{dataset: digits}}
  loss: {loss}
  optimizer: sgd
  metrics: {metrics}
"""
LOSS = "{cross_entropy: {in: [scores, label]}}"


def told(units: int, loss: str = LOSS, metrics: str = "[]") -> list[Diagnostic]:
    return check(NET.format(units=units, loss=loss, metrics=metrics))[1]


def test_fewer_scores_than_the_data_have_classes() -> None:
    (diagnostic,) = told(9)
    assert diagnostic.code == "label-range"
    assert (
        diagnostic.message == "`cross_entropy` takes scores of 9 classes, the field `label` of dataset `digits` has 10"
    )
    assert diagnostic.span is not None
    assert (diagnostic.span.line, diagnostic.span.column) == (7, 10)
    assert diagnostic.help == "make the layer that they come from larger: 10 instead of 9"


@pytest.mark.parametrize(
    ("units", "loss"),
    [
        (10, LOSS),
        (11, LOSS),  # a class that never comes is no mistake
        (9, "{cross_entropy: {in: [scores, label], ignore_index: 9}}"),
    ],
)
def test_enough_scores(units: int, loss: str) -> None:
    assert told(units, loss) == []


def test_an_ignored_class_in_the_middle_does_not_make_room() -> None:
    assert [d.code for d in told(9, "{cross_entropy: {in: [scores, label], ignore_index: 3}}")] == ["label-range"]


def test_metrics_that_count_by_class_are_told_too_and_a_metric_that_does_not_is_not() -> None:
    found = told(9, metrics="[confusion_matrix, mean_iou, accuracy]")
    assert [d.message.split()[0] for d in found] == ["`cross_entropy`", "`confusion_matrix`", "`mean_iou`"]


def test_more_guesses_than_classes() -> None:
    (diagnostic,) = told(10, metrics="[{top_k_accuracy: {k: 11}}]")
    assert diagnostic.message == "`k` of `top_k_accuracy` must be at most 10, the number of classes, got 11"
    assert diagnostic.span is not None
    assert told(10, metrics="[{top_k_accuracy: {k: 10}}]") == []


def test_a_wrong_setting_hides_nothing_of_it() -> None:
    found = check(NET.format(units=9, loss=LOSS, metrics="[{top_k_accuracy: {k: 11}}]") + "  clip: {norm: 0}\n")[1]
    assert [d.code for d in found] == ["label-range", "bad-attribute", "bad-setting"]
