"""flownet's networks as scikit-learn estimators, and scikit-learn's datasets as datasets of flownet."""

from __future__ import annotations

from flownet import hookimpl
from flownet_sklearn.dataset import Sklearn
from flownet_sklearn.estimators import FlownetClassifier, FlownetRegressor

__all__ = ["FlownetClassifier", "FlownetRegressor", "Sklearn"]

flownet_api = 1


@hookimpl
def flownet_datasets() -> list[type]:
    return [Sklearn]
