"""`flownet run`: a graph on the user's own files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import device, fallback, graph, graph_options, no_pass, seed
from flownet.cli.output import duration
from flownet.errors import FlownetError, near_names

if TYPE_CHECKING:
    import numpy as np

    from flownet.network import Network

__all__ = ["command"]


@click.command("run")
@graph
@click.option("--weights", metavar="FILE", help="The trained weights; without them the parameters are as they start.")
@click.option(
    "--input", "-i", "inputs", metavar="[NAME=]FILE", multiple=True, required=True,
    help="A value for an input: .npy, .npz (or .npz:key), .json, or pictures. Several pictures make a batch.",
)  # fmt: skip
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="Where the outputs go: .npz, .npy (one output) or .json; a table unless given.",
)
@click.option(
    "--fetch",
    metavar="NAME",
    multiple=True,
    help="A value to return instead of the outputs: any node, `node.output`, a parameter.",
)
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Run at most so many examples at once.")
@click.option("--resize", is_flag=True, help="Scale pictures to the size that the graph takes.")
@device
@fallback
@seed
@no_pass
@graph_options
@invocation
def command(
    state: Invocation, graph: str, weights: str | None, inputs: tuple[str, ...], output: str | None,
    fetch: tuple[str, ...], batch: int | None, resize: bool, device: str, fallback: str, seed: int | None, without: tuple[str, ...],
) -> None:  # fmt: skip
    """Run a graph on files, and write its outputs.

    Pictures become float32[n, channels, height, width] from 0 to 1, grey or colour as the graph takes them. Nothing is
    cut, scaled or converted silently: a size that does not fit is an error, unless --resize is given.

    \b
    flownet run graphs/lenet5.yaml --weights runs/lenet5/weights.safetensors --input image=seven.png --resize
    flownet run graphs/digits.yaml --weights w.safetensors -i image=batch.npy -o out.npz
    flownet run graphs/xor.yaml -i 'x=[[0, 1], [1, 1]]' --json
    """
    from flownet.network import compile

    document = state.load(graph)
    network = compile(
        document, device=device, seed=seed, weights=weights, registry=state.registry, without=without, fallback=fallback,
    )  # fmt: skip
    if weights is None and network.weights:
        state.out.warn("untrained", "no `--weights`: the parameters are as they start, untrained")
    arrays = _arrays(network, inputs, resize)
    started = time.monotonic()
    outputs = _in_batches(network, arrays, fetch, batch)
    seconds = time.monotonic() - started
    if output:
        from flownet.cli.tensors import write_arrays

        write_arrays(output, outputs)
        state.out.say(
            f"wrote {output}: "
            + ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in outputs.items())
        )
    if state.out.json:
        plain: dict = {"outputs": outputs, "device": network.session.device.description, "seconds": round(seconds, 6)}
        if output:
            plain["outputs"] = {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in outputs.items()}
            plain["file"] = output
        state.out.document(plain)
    elif not output:
        _tell(state, document, outputs, seconds)


def _arrays(network: Network, texts: tuple[str, ...], resize: bool) -> dict[str, np.ndarray]:
    """The inputs' arrays; a file without a name is for the only input, or an .npz of all of them."""
    from flownet.cli.tensors import read_inputs

    types = {value.name: value.type for value in network.inference.inputs}
    files: dict[str, list[str]] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or not name.isidentifier():
            name, file = "", text
        if name and name not in types:
            help = near_names(name, types) or f"its inputs are {', '.join(types)}"
            raise FlownetError.of("unknown-input", f"the graph has no input `{name}`", help=help)
        if not name and len(types) > 1 and not file.endswith(".npz"):
            help = f"write `--input NAME={file}`; its inputs are {', '.join(types)}"
            raise FlownetError.of("missing-input", f"`{file}` does not say which input it is for", help=help)
        files.setdefault(name or (next(iter(types)) if len(types) == 1 else ""), []).append(file)
    return read_inputs(types, files, resize=resize)


def _in_batches(
    network: Network, arrays: dict[str, np.ndarray], fetch: tuple[str, ...], batch: int | None
) -> dict[str, np.ndarray]:
    import numpy as np

    count = max((len(array) for array in arrays.values() if array.ndim), default=0)
    if batch is None or count <= batch:
        return network.run(arrays, fetch=fetch)
    parts = []
    for first in range(0, count, batch):
        cut = {n: a[first : first + batch] if a.ndim and len(a) == count else a for n, a in arrays.items()}
        parts.append(network.run(cut, fetch=fetch))
    for name, array in parts[0].items():
        if not array.ndim or len(array) != batch:
            raise FlownetError.of(
                "not-batched",
                f"`{name}` is {array.dtype}{list(array.shape)}: its batches cannot be put together",
                help="run without `--batch`",
            )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _tell(state: Invocation, document: object, outputs: dict[str, np.ndarray], seconds: float) -> None:
    """Outputs as a table: a row an example; long rows by their largest elements."""
    import numpy as np

    for name, array in outputs.items():
        state.out.say(f"{name}: {array.dtype}{list(array.shape)}", style="bold")
        if array.ndim != 2 or array.shape[1] < 2:
            state.out.say(np.array2string(array, precision=4, threshold=60, suppress_small=True))
            continue
        best = np.argsort(-array, axis=1, kind="stable")[:, :3]
        rows = [(i, *(f"{k}: {array[i, k]:.4g}" for k in best[i])) for i in range(min(len(array), 20))]
        state.out.table(("example", "largest", "second", "third")[: 1 + best.shape[1]], rows)
        if len(array) > 20:
            state.out.say(f"… and {len(array) - 20} more; `--output out.npz` writes all")
    state.out.say(f"in {duration(seconds) if seconds > 1 else f'{seconds * 1000:.1f} ms'}")
