"""Learning-rate schedules: the rate of a step, as a function of where the step stands in the whole run.

Numbers that scale a rate (`start`, `end`, `gamma`) are fractions of the optimiser's `learning_rate`, the base, so that
`--set train.optimizer.sgd.learning_rate=…` scales the whole schedule.
"""

from flownet.training.schedules.constant import Constant
from flownet.training.schedules.cosine import Cosine
from flownet.training.schedules.one_cycle import OneCycle
from flownet.training.schedules.polynomial import Linear, Polynomial
from flownet.training.schedules.schedule import Schedule
from flownet.training.schedules.step import Step
from flownet.training.schedules.warm_up import WarmUp

__all__ = ["BUILTIN", "Schedule"]

BUILTIN: dict[str, type[Schedule]] = {
    cls.name: cls for cls in (Constant, Step, Cosine, Linear, Polynomial, WarmUp, OneCycle)
}
