"""`flownet diff`: the first node in which two devices differ, and the smallest graph file that still shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import graph, graph_options, seed, sizes

if TYPE_CHECKING:
    from flownet.inspect.compare import Comparison
    from flownet.language import Document

__all__ = ["command"]


@click.command("diff")
@graph
@click.option("--a", "first", default="cpu", show_default=True, metavar="DEVICE", help="The device that is believed.")
@click.option(
    "--b", "second", default="opencl", show_default=True, metavar="DEVICE", help="The device that is doubted."
)
@click.option("--inputs", "inputs_file", metavar="FILE.npz", help="Feed these arrays instead of random numbers.")
@click.option(
    "--weights", "weights_file", metavar="FILE", help="Use these weights (safetensors) instead of fresh ones."
)
@click.option(
    "--batch", type=click.IntRange(1), default=4, show_default=True, help="Examples in a batch of random numbers."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Relative to a value's magnitude.",
)
@click.option("--forward-only", is_flag=True, help="Do not compare gradients.")
@click.option(
    "--no-pass",
    "without",
    metavar="PASS",
    multiple=True,
    help="Switch a pass of the compiler off on the device that is doubted.",
)
@click.option(
    "--out", metavar="FILE.yaml", help="Where the smallest graph file goes; <graph>.smallest.yaml unless given."
)
@sizes
@seed
@graph_options
@invocation
def command(
    state: Invocation,
    graph: str,
    first: str,
    second: str,
    inputs_file: str | None,
    weights_file: str | None,
    batch: int,
    tolerance: float,
    forward_only: bool,
    without: tuple[str, ...],
    out: str | None,
    sizes: dict[str, int],
    seed: int | None,
) -> int:
    """Run a graph on two devices, forward and backward, and name the first node whose values differ.

    The smallest graph that still shows the difference is written as a graph file, what to feed it beside it as .npz.
    Exit status 1 if there is a difference.

    \b
    flownet diff graphs/lenet5.yaml --a cpu --b opencl
    flownet diff graphs/lenet5.smallest.yaml --inputs graphs/lenet5.smallest.npz
    """
    from flownet.devices.choose import choose_device
    from flownet.inspect.compare import Side, compare, made_up_inputs
    from flownet.network import pipeline_of
    from flownet.plugin_record import local_from
    from flownet.training.checkpoint import read_tensors

    document = state.load(graph)
    number = seed if seed is not None else document.train.seed if document.train else 0
    sides = []
    for name, left_out in ((first, ()), (second, without)):
        device = choose_device(name, state.registry)
        sides.append(Side(name, device, pipeline_of(device, state.registry), left_out))
    inputs = _arrays(inputs_file, document) if inputs_file else made_up_inputs(document.graph, batch, number, sizes)
    path = Path(out) if out else Path(graph).with_suffix("").with_suffix(".smallest.yaml")
    found = compare(
        document,
        sides[0],
        sides[1],
        inputs,
        weights=read_tensors(weights_file).tensors if weights_file else None,
        tolerance=tolerance,
        backward=not forward_only,
        seed=number,
        registry=state.registry,
        plugins=local_from(path.parent, state.registry, document),
    )
    files = _write(found, path) if found.first else None
    _tell(state, found, first, second, files, weights_file)
    return int(found.first is not None)


def _arrays(path: str, document: Document) -> dict[str, np.ndarray]:
    from flownet.errors import FlownetError

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise FlownetError.of("unreadable-file", f"`{path}` cannot be read as .npz: {error}") from None
    types = {value.name: value.type for value in document.graph.inputs}
    return {name: array.astype(types[name].dtype.numpy) if name in types else array for name, array in arrays.items()}


def _write(found: Comparison, path: Path) -> tuple[Path, Path]:
    from flownet.errors import MachineError

    arrays = path.with_suffix(".npz")
    try:
        path.write_text(f"# {_headline(found)}\n{found.smallest}", encoding="utf-8")
        np.savez(arrays, **found.inputs)  # type: ignore[arg-type]
    except OSError as error:
        raise MachineError.of(
            "cannot-write",
            f"`{path}` cannot be written: {error.strerror or error}",
            help="name another file by `--out`",
        ) from None
    return path, arrays


def _headline(found: Comparison) -> str:
    first = found.first
    assert first is not None
    at = f" at [{', '.join(map(str, first.place))}]" if first.place else ""
    what = "a gradient of" if first.backward else "the result of"
    return f"{what} `{first.node}` ({first.op}) differs{at}: {first.a:.6g} and {first.b:.6g}"


def _tell(
    state: Invocation, found: Comparison, a: str, b: str, files: tuple[Path, Path] | None, weights_file: str | None
) -> None:
    first = found.first
    if state.out.json:
        difference = None
        if first is not None and files is not None:
            difference = {
                "node": first.node,
                "op": first.op,
                "direction": first.direction,
                "value": first.value,
                "place": list(first.place),
                "a": first.a,
                "b": first.b,
                "error": first.error,
                "elements": list(first.elements),
                "fused": first.fused,
                "smallest": str(files[0]),
                "inputs": str(files[1]),
                "smallest_nodes": found.nodes,
            }
        state.out.document(
            {
                "compared": found.compared,
                "whole": found.whole,
                "is_noise": found.is_noise,
                "worst": {"error": found.worst[0], "value": found.worst[1]},
                "first": difference,
            }
        )
        return
    if first is None or files is None:
        state.out.say(f"{a} and {b} agree in {found.compared} values, node by node", style="green")
        if found.worst[1]:
            state.out.say(f"  the largest relative difference of a node is {found.worst[0]:.2g}, at `{found.worst[1]}`")
        state.out.say(f"  outputs and gradients of the whole differ by {found.whole:.2g}")
        if found.is_noise:
            state.out.say("  which is rounding: inputs that differ in the fifth digit move them as far")
        return
    wrong, total = first.elements
    state.out.say(_headline(found), style="bold red")
    state.out.say(
        f"  {a} has {first.a:.9g}, {b} has {first.b:.9g}; {wrong} of {total} elements differ, "
        f"by up to {first.error:.2g} of the value's magnitude"
    )
    state.out.say(
        f"  the value is `{first.value}`, computed {first.direction}"
        + ("; it shows only in a fused kernel" if first.fused else "")
    )
    nodes = f"{found.nodes} node{'s' * (found.nodes != 1)}"
    state.out.say(f"the smallest graph that shows it ({nodes}): {files[0]}, fed with {files[1]}")
    folders = "".join(f" --plugin-dir {folder}" for folder in state.plugin_dirs)
    weights = f" --weights {weights_file}" if weights_file else ""
    trust = " --trust-plugins" if state.trust_plugins else ""
    state.out.say(f"  flownet diff {files[0]} --inputs {files[1]} --a {a} --b {b}{weights}{folders}{trust}")
