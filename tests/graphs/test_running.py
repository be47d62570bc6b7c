"""Every graph file runs: forward, and a training step that changes what it should."""

from __future__ import annotations

import re
from itertools import takewhile

import numpy as np
import pytest

import flownet
from flownet.devices.choose import choose_device
from flownet.executor import Session
from flownet.training.training_graph import LEARNING_RATE, STEP, training_graph
from tests.graphs.zoo import GRAPHS, NAMES, document, random_inputs

# what makes the large ones small enough for NumPy, the structure being the same
SMALLER = {
    "resnet18": ["vars.size=64", "vars.classes=10"],
    "resnet50": ["vars.size=64", "vars.classes=10"],
    "resnet152": ["vars.size=32", "vars.classes=10"],
    "resnet1202": ["vars.n=2"],
    "resnet56": ["vars.n=2"],
    "resnet110": ["vars.n=2"],
    "plain110": ["vars.n=2"],
    "vgg16": ["vars.size=32", "vars.classes=10"],
    "vgg19": ["vars.size=32", "vars.classes=10"],
    "deconvnet_vgg16": ["vars.size=64", "vars.width=4"],
    "deconvnet_camvid": ["vars.width=4", "vars.size=[36, 48]"],
    "unet_small": ["vars.width=4", "vars.size=[36, 48]"],
    "squeezenet": ["vars.size=64", "vars.classes=10"],
    "mobilenet_v2": ["vars.size=64", "vars.classes=10"],
}  # fmt: skip
TRAINED = [name for name in NAMES if document(name).train]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_opens_with_what_it_is_its_source_and_the_results(name):
    lines = (GRAPHS / f"{name}.yaml").read_text().splitlines()
    opening = list(takewhile(lambda line: line.startswith("#"), lines))
    assert 2 <= len(opening) <= 8
    assert re.search(r"\b(19|20)\d\d\b", " ".join(opening)) or name == "linear_regression"  # a source has its year
    assert "Ours" in " ".join(opening) or "docs/benchmarks.md" in " ".join(opening)


@pytest.mark.parametrize("name", NAMES)
def test_forward_gives_finite_outputs_of_the_declared_types(name):
    net = flownet.load(GRAPHS / f"{name}.yaml", overrides=SMALLER.get(name, []), device="cpu", seed=0)
    outputs = net.run(random_inputs(net.graph, batch=2))
    assert outputs.keys() == net.graph.outputs.keys()
    for output, array in outputs.items():
        declared = net.graph.values[net.graph.outputs[output]].type.bind({"N": 2})
        assert array.shape == declared.shape
        assert np.isfinite(array).all()
        if output == "probabilities":
            axis = 1
            np.testing.assert_allclose(array.sum(axis), 1, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_training_steps_lower_the_loss_of_their_batch_and_reach_every_parameter(name):
    section = document(name, *SMALLER.get(name, ())).train
    graph = training_graph(section)
    session = Session(choose_device("cpu"), seed=0)
    session.initialise(graph)
    before = session.read()
    batch = random_inputs(graph, batch=4)
    rate = section.optimizer.learning_rate / 10  # small enough for a step to go down in nets of any depth
    losses = []
    for step in range(1, 7):
        arrays = {**batch, LEARNING_RATE: np.float32(rate), STEP: np.float32(step)}
        losses.append(float(session.run(graph, arrays)["loss"]))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    after = session.read()
    still = [
        value.name
        for value in graph.parameters
        if value.trainable and np.array_equal(before[value.name], after[value.name])
    ]
    assert still == []


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(TRAINED)))
def test_gradients_reach_the_first_and_the_last_parameter_of_nets_that_are_not_trained_here(name):
    net = flownet.load(GRAPHS / f"{name}.yaml", overrides=[*SMALLER[name], "outputs=[logits]"], device="cpu", seed=0)
    trainable = [value.name for value in net.graph.parameters if value.trainable]
    wrt = [trainable[0], trainable[-1]]
    gradients = net.gradients(net.graph.outputs["logits"], wrt, random_inputs(net.graph, batch=2))
    for parameter in wrt:
        assert np.isfinite(gradients[parameter]).all()
        assert np.abs(gradients[parameter]).max() > 0
