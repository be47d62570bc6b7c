"""Schedules against literal rates and beside PyTorch's."""

from __future__ import annotations

import pytest

from flownet import FlownetError
from flownet.training.schedules import Constant, Cosine, OneCycle, Polynomial, Step, WarmUp

TOTAL, PER_EPOCH, BASE = 40, 10, 0.2


def _rates(schedule, steps=range(TOTAL)):
    return [schedule.rate(step, TOTAL, PER_EPOCH, BASE) for step in steps]


def test_literal_rates():
    assert _rates(Constant(), [0, 39]) == [0.2, 0.2]
    assert _rates(Step((1, 3)), [9, 10, 29, 30]) == pytest.approx([0.2, 0.02, 0.02, 0.002])
    assert _rates(Step(every=2, gamma=0.5), [19, 20]) == pytest.approx([0.2, 0.1])
    assert _rates(Cosine(), [0, 10, 20]) == pytest.approx([0.2, 0.2 * (1 + 0.5**0.5) / 2, 0.1])
    assert _rates(Cosine(final=0.5), [20]) == pytest.approx([0.15])
    assert _rates(Polynomial(), [0, 10, 30]) == pytest.approx([0.2, 0.15, 0.05])
    assert _rates(Polynomial(power=2.0), [20]) == pytest.approx([0.05])
    assert _rates(WarmUp(10, 0.1), [0, 5, 10, 39]) == pytest.approx([0.02, 0.11, 0.2, 0.2])
    assert _rates(WarmUp(5, then=Step((2,))), [0, 5, 20]) == pytest.approx([0.0, 0.2, 0.02])


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (Step((1, 3)), lambda s, o: s.MultiStepLR(o, [PER_EPOCH, 3 * PER_EPOCH])),
        (Cosine(), lambda s, o: s.CosineAnnealingLR(o, TOTAL)),
        (Polynomial(1.5), lambda s, o: s.PolynomialLR(o, TOTAL, 1.5)),
        (OneCycle(), lambda s, o: s.OneCycleLR(o, BASE, TOTAL, cycle_momentum=False)),
    ],
)
def test_pytorchs_schedulers_give_the_same_rates(schedule, make):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    for rate in _rates(schedule):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", [Step(), Step((1,), every=2), Step(every=0), WarmUp(0)])
def test_impossible_schedules(schedule):
    with pytest.raises(FlownetError) as caught:
        schedule.checked()
    assert caught.value.diagnostics[0].code == "bad-attribute"
