"""scikit-learn's own checks, and what they do not know of: graphs, shapes, devices."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from flownet_sklearn import FlownetClassifier, FlownetRegressor
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_linnerud
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import flownet


@parametrize_with_checks([FlownetClassifier(random_state=0), FlownetRegressor(random_state=0)])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


def test_iris_is_learnt() -> None:
    x, y = load_iris(return_X_y=True)
    assert cross_val_score(FlownetClassifier(random_state=0), x, y, cv=5).mean() > 0.93


def test_diabetes_is_learnt_as_well_as_by_least_squares() -> None:
    x, y = load_diabetes(return_X_y=True)
    scores = cross_val_score(FlownetRegressor(random_state=0, epochs=15, weight_decay=1e-3), x, y, cv=5)
    assert scores.mean() > 0.40  # LinearRegression: 0.48, a mean: 0


IMAGES = {
    "flownet": 1,
    "vars": {"outputs": 2},
    "inputs": {"image": "float32[N, 1, 8, 8]"},
    "nodes": [
        {"conv2d": {"channels": 8, "kernel": 3}},
        "relu",
        "flatten",
        {"dense": {"units": "$outputs", "name": "logits"}},
        {"softmax": {"name": "probabilities"}},
    ],
    "outputs": ["probabilities"],
}


def test_images_and_a_graph_that_ends_in_a_softmax() -> None:
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    model = FlownetClassifier(IMAGES, epochs=8, random_state=0, dtype="float32").fit(x_train, y_train)
    assert model.score(x_test, y_test) > 0.95
    probabilities = model.predict_proba(x_test)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    scores = model.decision_function(x_test).astype(np.float64)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)


def test_a_graph_file(tmp_path: Path) -> None:
    path = tmp_path / "linear.yaml"
    path.write_text(
        "flownet: 1\nvars: {features: 1, outputs: 1}\ninputs: {x: 'float32[N, ${features}]'}\nnodes:\n  - dense: {units: $outputs}\n"
    )
    x = np.random.default_rng(0).normal(size=(80, 3))
    y = x @ [[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]] + [10.0, -5.0]
    model = FlownetRegressor(path, epochs=200, random_state=0).fit(x, y)
    assert r2_score(y, model.predict(x)) > 0.9999


def test_several_targets() -> None:
    x, y = load_linnerud(return_X_y=True)
    assert FlownetRegressor(epochs=3, random_state=0).fit(x, y).predict(x).shape == (20, 3)


def test_two_classes_have_one_score_and_names() -> None:
    x, y = load_iris(return_X_y=True)
    names = np.array(["no", "yes"])[(y > 0).astype(int)]
    model = FlownetClassifier(epochs=10, random_state=0).fit(x, names)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.decision_function(x).shape == (150,)
    assert ((model.decision_function(x) > 0) == (model.predict(x) == "yes")).all()


def test_it_survives_pickling_with_equal_results() -> None:
    x, y = load_iris(return_X_y=True)
    model = FlownetClassifier(epochs=2, random_state=3).fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))


def test_the_loss_falls_and_seeds_repeat() -> None:
    x, y = load_iris(return_X_y=True)
    one, two = (FlownetClassifier(epochs=5, random_state=7).fit(x, y) for _ in range(2))
    assert one.loss_curve_[-1] < one.loss_curve_[0]
    assert one.loss_curve_ == two.loss_curve_
    assert one.n_iter_ == 5


def test_pipelines_and_grid_searches() -> None:
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), FlownetClassifier(epochs=5, random_state=0, standardise=False))
    search = GridSearchCV(pipeline, {"flownetclassifier__learning_rate": [1e-6, 0.05]}, cv=2).fit(x, y)
    assert search.best_params_ == {"flownetclassifier__learning_rate": 0.05}


@pytest.mark.parametrize(
    ("graph", "code"),
    [
        ({**IMAGES, "vars": {"outputs": 2}}, "input-mismatch"),
        ({"flownet": 1, "inputs": {"x": "float32[N, 4]"}, "nodes": [{"dense": {"units": 5}}]}, "output-mismatch"),
        (
            {
                "flownet": 1,
                "inputs": {"a": "float32[N, 4]", "b": "float32[N, 4]"},
                "nodes": [{"add": {"in": ["a", "b"]}}],
            },
            "input-mismatch",
        ),
        ({"flownet": 1, "inputs": {"x": "float32[N, 4]"}, "nodes": ["sofmax"]}, "unknown-op"),
    ],
)
def test_graphs_that_do_not_fit(graph: dict, code: str) -> None:
    x, y = load_iris(return_X_y=True)
    with pytest.raises(flownet.FlownetError) as caught:
        FlownetClassifier(graph).fit(x, y)
    assert caught.value.diagnostics[0].code == code
