"""Schedules: literal rates, and PyTorch's schedulers beside them over a whole run."""

from __future__ import annotations

import pytest

from flownet.errors import FlownetError
from flownet.registry import Registry
from flownet.training.schedules import BUILTIN
from flownet.training.schedules.constant import Constant
from flownet.training.schedules.cosine import Cosine
from flownet.training.schedules.one_cycle import OneCycle
from flownet.training.schedules.polynomial import Linear, Polynomial
from flownet.training.schedules.step import Step
from flownet.training.schedules.warm_up import WarmUp

EPOCHS, EPOCH, BASE = 6, 5, 0.4
STEPS = EPOCHS * EPOCH


def rates(schedule, steps=STEPS):
    return [schedule.rate(step, steps, EPOCH, BASE) for step in range(steps)]


def torch_rates(make, every=1):
    """The rates of PyTorch's scheduler, stepped after every batch, or after every `every` batches."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], BASE)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    found = []
    for step in range(1, STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % every == 0 and step < STEPS:
            scheduler.step()
    return found


def chained(lr, optimizer):
    return lr.ChainedScheduler(
        [lr.LinearLR(optimizer, 0.1, 1.0, 8), lr.CosineAnnealingLR(optimizer, STEPS)], optimizer=optimizer
    )


@pytest.mark.parametrize(
    ("schedule", "make", "every"),
    [
        (Step(milestones=(2, 4), gamma=0.5), lambda lr, o: lr.MultiStepLR(o, [2, 4], 0.5), EPOCH),
        (Step(every=2), lambda lr, o: lr.StepLR(o, 2, 0.1), EPOCH),
        (Cosine(), lambda lr, o: lr.CosineAnnealingLR(o, STEPS), 1),
        (Cosine(end=0.25), lambda lr, o: lr.CosineAnnealingLR(o, STEPS, 0.25 * BASE), 1),
        (Linear(end=0.5), lambda lr, o: lr.LinearLR(o, 1.0, 0.5, STEPS), 1),
        (Polynomial(power=2.0), lambda lr, o: lr.PolynomialLR(o, STEPS, 2.0), 1),
        (OneCycle(), lambda lr, o: lr.OneCycleLR(o, BASE, STEPS), 1),
        (
            OneCycle(peak=0.5, start=0.1, end=0.01),
            lambda lr, o: lr.OneCycleLR(o, BASE, STEPS, pct_start=0.5, div_factor=10, final_div_factor=10),
            1,
        ),
        (WarmUp(steps=8, start=0.1, then=Cosine()), chained, 1),
    ],
)
def test_beside_torch(schedule, make, every):
    # PyTorch multiplies from step to step, which rounds a little each time
    assert rates(schedule) == pytest.approx(torch_rates(make, every), rel=1e-9, abs=1e-12)


def test_constant():
    assert rates(Constant()) == [BASE] * STEPS


def test_step_changes_at_the_start_of_an_epoch():
    assert rates(Step(milestones=(1,), gamma=0.5))[4:6] == [0.4, 0.2]


def test_warm_up_leaves_milestones_where_they_are():
    """He et al. 2015: a tenth of the rate at first, and milestones counted from the start of training."""
    found = rates(WarmUp(steps=7, start=0.1, then=Step(milestones=(2,), gamma=0.1)))
    assert found[0] == pytest.approx(0.04)
    assert found[7:10] == [0.4, 0.4, 0.4]
    assert found[10] == pytest.approx(0.04)


def test_warm_up_over_epochs():
    assert rates(WarmUp(epochs=0.8)) == pytest.approx([0.0, 0.1, 0.2, 0.3] + [0.4] * (STEPS - 4))


@pytest.mark.parametrize("name", sorted(set(BUILTIN) - {"step", "warm_up"}))
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_few_steps(name, steps):
    assert all(0 <= rate <= BASE for rate in rates(BUILTIN[name](), steps))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Step(), "`milestones` of `step` must be given, unless `every` is"),
        (Step(milestones=(-1,)), r"`milestones` of `step` must be epochs from 0 on, got \[-1\]"),
        (Step(milestones=(2,), every=3), r"`milestones` of `step` must be absent beside `every`, got \[2\]"),
        (Step(every=0), "`every` of `step` must be at least 1, got 0"),
        (Cosine(end=float("nan")), "`end` of `cosine` must be at least 0, got nan"),
        (OneCycle(peak=1.5), "`peak` of `one_cycle` must be from 0 to 1, got 1.5"),
        (WarmUp(), "`steps` of `warm_up` must be given and above 0, or `epochs`, and not both, got 0"),
        (WarmUp(steps=3, epochs=1), "`steps` of `warm_up` must be given"),
    ],
)
def test_options_out_of_range(schedule, message):
    with pytest.raises(FlownetError, match=message):
        schedule.checked()


def test_they_come_through_the_hook():
    assert dict(Registry(entry_points=False).items("schedule")) == BUILTIN
