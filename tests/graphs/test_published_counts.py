"""Parameters, layers and multiply-adds of the zoo against what papers and others' implementations of them say."""

from __future__ import annotations

import pytest

from flownet.inspect.summary import summarise
from flownet.language import load
from tests.graphs.zoo import document, layers

# parameters and multiply-adds as torchvision's documentation states them for its own models
# (https://docs.pytorch.org/vision/stable/models.html, "GFLOPS", which there are multiply-adds)
TORCHVISION = {
    "resnet18": (11_689_512, 1.81e9),
    "resnet50": (25_557_032, 4.09e9),
    "resnet152": (60_192_808, 11.51e9),
    "vgg16": (138_357_544, 15.47e9),
    "vgg19": (143_667_240, 19.63e9),
    "squeezenet": (1_248_424, 0.82e9),
    "mobilenet_v2": (3_504_872, 0.30e9),
}

# layers -> millions of parameters: He et al. 2015, table 6
CIFAR_RESNETS = {20: 0.27, 56: 0.85, 110: 1.7, 1202: 19.4}


def parameters(graph) -> int:
    return sum(int(value.type.size) for value in graph.parameters)


def cifar_resnet_parameters(n: int) -> int:
    """Counted by hand: 3×3 convolutions without bias, two numbers a channel of batch norm, shortcuts without parameters."""
    convolution = lambda before, after: 9 * before * after + 2 * after  # noqa: E731
    stem = convolution(3, 16)
    stages = sum(
        convolution(before, after) + (2 * n - 1) * convolution(after, after)
        for before, after in ((16, 16), (16, 32), (32, 64))
    )
    return stem + stages + 64 * 10 + 10


@pytest.mark.parametrize("name", TORCHVISION)
def test_imagenet_nets_have_the_published_parameters_and_cost(name):
    summary = summarise(document(name))
    published_parameters, published_multiply_adds = TORCHVISION[name]
    assert summary.parameters == published_parameters
    # published to two digits behind the point
    assert summary.multiply_adds == pytest.approx(published_multiply_adds, abs=0.01e9)


def test_the_papers_of_resnets_and_ours_agree_on_what_the_place_of_the_stride_leaves_alone():
    # table 1 of He et al. 2015: 1.8, 3.8, 11.3 billion multiply-adds; the stride on the 3×3 costs 0.2 to 0.3 more
    assert summarise(document("resnet18")).multiply_adds == pytest.approx(1.8e9, rel=0.02)
    assert 3.8e9 <= summarise(document("resnet50")).multiply_adds <= 4.1e9
    assert 11.3e9 <= summarise(document("resnet152")).multiply_adds <= 11.6e9


@pytest.mark.parametrize("depth", CIFAR_RESNETS)
def test_cifar_resnets_have_6n_plus_2_layers_and_the_published_parameters(depth):
    graph = document(f"resnet{depth}").graph
    assert layers(graph) == depth
    assert summarise(document(f"resnet{depth}")).parameters == cifar_resnet_parameters((depth - 2) // 6)
    assert round(parameters(graph) / 1e6, 2 if depth < 100 else 1) == CIFAR_RESNETS[depth]


def test_resnet20_costs_what_its_convolutions_do():
    # each stage: 32², 16², 8² pixels of 9·c·c multiply-adds; the first convolution of a stage sees half the channels
    n = 3
    stem = 32 * 32 * 9 * 3 * 16
    stages = sum(
        pixels * 9 * after * (before + (2 * n - 1) * after)
        for pixels, before, after in ((1024, 16, 16), (256, 16, 32), (64, 32, 64))
    )
    assert summarise(document("resnet20")).multiply_adds == stem + stages + 640


def test_the_plain_net_of_110_layers_is_the_residual_one_without_shortcuts():
    plain, residual = document("plain110").graph, document("resnet110").graph
    assert layers(plain) == 110
    shapes = lambda graph: [value.type.shape for value in graph.parameters]  # noqa: E731
    assert shapes(plain) == shapes(residual)
    ops = lambda graph: {node.op.name for node in graph.nodes.values()}  # noqa: E731
    assert ops(residual) - ops(plain) == {"shortcut", "add"}


def test_deconvnet_is_vgg16_and_its_mirror():
    graph = document("deconvnet_vgg16").graph
    # table 2 of Noh, Hong, Han 2015: channels of every convolution, the fully connected ones being 7×7 and 1×1
    down = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096]
    up = [512, 512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 64]
    found = [(node.op.name, node.op.channels) for node in graph.nodes.values() if hasattr(node.op, "channels")]
    assert found == [("conv2d", c) for c in down] + [("conv_transpose2d", c) for c in up] + [("conv2d", 21)]
    weights = lambda before, after, kernel: before * after * kernel**2 + 2 * after  # noqa: E731
    kernels = [3] * 13 + [7, 1] + [7] + [3] * 13
    channels = [3, *down, *up]
    by_hand = sum(weights(a, b, k) for a, b, k in zip(channels, channels[1:], kernels, strict=False)) + 64 * 21 + 21
    assert parameters(graph) == by_hand
    assert by_hand / 1e6 == pytest.approx(252, abs=0.5)


def test_activation_memory_is_what_the_liveness_of_a_chain_says():
    # for inference a VGG never holds more than the input and the output of one of its first convolutions:
    # two tensors of 64 channels of 224×224 float32, 12.25 MiB each
    assert summarise(document("vgg16")).inference_bytes == 2 * 64 * 224 * 224 * 4


def test_activation_memory_for_training_grows_by_what_backward_needs_of_an_image():
    # counted by hand: behind each of ResNet-20's 19 convolutions what batch norm's backward needs, its input, and what the next
    # convolution's and relu's need, the output of relu; seven convolutions of 16×32×32, six of 32×16×16, six of 64×8×8
    kept = 2 * 4 * (7 * 16 * 32 * 32 + 6 * 32 * 16 * 16 + 6 * 64 * 8 * 8)
    less, more = (summarise(document("resnet20"), batch=n).training_bytes for n in (32, 64))
    # at the peak, besides, no more than two gradients under way
    assert kept <= (more - less) / 32 <= kept + 2 * 4 * 16 * 32 * 32


def test_the_parameters_gradients_are_no_activations():
    # a layer of 500×2000 numbers for one example: its activations are 2,500 numbers, its gradient is a million
    nodes = [{"dense": {"name": "logits", "units": 2000, "bias": False}}, {"softmax": {}}]
    train = {"loss": {"cross_entropy": {"in": ["logits", "label"]}}, "optimizer": "sgd", "batch": 1}
    graph = {"inputs": {"x": "float32[N, 500]"}, "nodes": nodes, "outputs": ["softmax_1"], "train": train}
    for clip in ({}, {"clip": {"value": 1.0}}):
        found = summarise(load({**graph, "train": {**train, **clip}}))
        # logits, their softmax and their gradient are 2,000 numbers each; the loss, and what alignment adds
        assert found.training_bytes < 4 * 4 * 2000
        # clipping makes a second tensor of the first
        assert found.gradient_bytes == (1 + len(clip)) * 4 * 500 * 2000
    # without a train section all gradients are there at the end
    without = {key: value for key, value in graph.items() if key != "train"}
    assert summarise(load(without)).gradient_bytes == 4 * 500 * 2000


def test_updates_free_gradients_one_after_the_other():
    # three layers of a million numbers each: while one's gradient is made, those of the layers above are gone
    nodes = [{"dense": {"units": 1000, "bias": False}} for _ in range(3)]
    train = {"loss": {"squared_error": {"in": ["dense_3", "y"]}}, "optimizer": "sgd", "batch": 1}
    graph = {"inputs": {"x": "float32[N, 1000]"}, "nodes": nodes, "outputs": ["dense_3"], "train": train}
    assert summarise(load(graph)).gradient_bytes == 4 * 1000 * 1000
