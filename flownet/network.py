"""A network in Python: load a graph, bind weights, run it on arrays, differentiate it, train it.

net = flownet.load("graphs/digits.yaml")
result = flownet.train(net, epochs=3)
net.run(image=images)["probabilities"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flownet.devices.choose import choose_device
from flownet.devices.device import Device
from flownet.errors import FlownetError, near_names
from flownet.executor import Buffers, Session
from flownet.executor.session import Plan, as_input, sizes_of
from flownet.graph import Graph, Kind
from flownet.language import Document
from flownet.language import load as load_document
from flownet.passes.differentiate import differentiate
from flownet.passes.opencl_pipeline import opencl_pipeline
from flownet.passes.pipeline import Pass, insert_passes
from flownet.passes.specialise_inference import specialise_inference
from flownet.plugin_record import check_record, plugins_needed, requirements
from flownet.registry import Registry, default_registry
from flownet.training.checkpoint import read_tensors, write_tensors
from flownet.training.given_arrays import with_arrays
from flownet.training.resuming import graph_hash
from flownet.training.run import Result, Run, network_state, new_folder
from flownet.training.trainer import Evaluation, Progress, evaluate_split
from flownet.training.training_graph import evaluation_graph, with_dtype
from flownet.types import DType

__all__ = ["Network", "compile", "evaluate", "load", "train"]


class Network:
    """A graph with weights on a device.

    document: what the graph file says; `graph` of it is the network as declared
    session:  its parameters and states on the device
    """

    def __init__(self, document: Document, session: Session, registry: Registry) -> None:
        self.document, self.session, self.registry = document, session, registry
        self.inference = specialise_inference(document.graph)
        self._derived: dict[tuple, Graph] = {}
        session.initialise(document.graph)

    @property
    def graph(self) -> Graph:
        """The network as declared, typed."""
        return self.document.graph

    # -- running -----------------------------------------------------------------------------------------------------------

    def run(
        self, inputs: Mapping[str, Any] | None = None, /, *, fetch: Sequence[str] = (), **named: Any
    ) -> dict[str, np.ndarray]:
        """The outputs by name, as outside of training, for inputs by name (any batch size).

        fetch: values to return instead of the graph's outputs: any node's or block's name, `node.output`, or a parameter
        """
        graph = self._fetching(tuple(fetch)) if fetch else self.inference
        return self.session.run(graph, self._arrays({**(inputs or {}), **named}))

    __call__ = run

    def gradients(
        self, of: str, wrt: Iterable[str], inputs: Mapping[str, Any] | None = None, /, **named: Any
    ) -> dict[str, np.ndarray]:
        """The gradients of the sum of value `of` with respect to the values `wrt` (inputs, parameters, results)."""
        wrt = tuple(wrt)
        arrays = self._arrays({**(inputs or {}), **named})
        sizes = sizes_of(self.inference, arrays)
        key = ("gradients", of, wrt, tuple(sorted(sizes.items())))
        if key not in self._derived:
            declared = self._with_outputs((of, *wrt))
            sources = {
                n: value for n, value in declared.outputs.items() if declared.values[value].kind is not Kind.RESULT
            }
            declared.outputs = {name: value for name, value in declared.outputs.items() if name not in sources}
            graph = specialise_inference(declared.bind(sizes))
            real = {**sources, **graph.outputs}  # passes may have replaced results, not what they are made from
            graph, found = differentiate(graph, real[of], [real[name] for name in wrt])
            graph.outputs = {name: found[real[name]] for name in wrt}
            graph.updates = {}
            self._derived[key] = graph
        return self.session.run(self._derived[key], arrays)

    def plan(self, **sizes: int) -> Plan:
        """The inference plan for these sizes of the symbols."""
        return self.session.plan(self.inference, sizes)

    def buffers(self, **sizes: int) -> Buffers:
        """The network for inputs of fixed sizes, in arrays that are filled and read in place: `net.buffers(N=64)`.

        For many calls that take microseconds each, of which checks and copies would be a good part.
        """
        return self.session.buffers(self.inference, sizes)

    # -- weights -----------------------------------------------------------------------------------------------------------

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The parameters and running statistics, copied from the device."""
        return network_state(self.graph, self.session)

    def bind(self, weights: Mapping[str, Any] | Path | str) -> Network:
        """Take weights from a mapping or a safetensors file. Raises FlownetError (`weights-mismatch`), changing nothing."""
        if not isinstance(weights, Mapping):
            saved = read_tensors(weights)
            check_record(saved.metadata.get("plugins", {}), self.registry, f"`{weights}`")
            weights = saved.tensors
        own = self.weights
        given = {
            name: np.asarray(array) for name, array in weights.items() if name in own or not _optimizer_state(name)
        }
        self.session.write(given, whole=own)
        return self

    def save(self, path: Path | str) -> None:
        """Write the weights as a safetensors file, atomically."""
        write_tensors(
            Path(path), self.weights, {"graph": graph_hash(self.graph), **saved_with(self.registry, self.document)}
        )

    # -- inside ------------------------------------------------------------------------------------------------------------

    def _arrays(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        types = {value.name: value.type for value in self.inference.inputs}
        return {name: as_input(name, array, types.get(name)) for name, array in inputs.items()}

    def _fetching(self, names: tuple[str, ...]) -> Graph:
        if names not in self._derived:
            self._derived[names] = specialise_inference(self._with_outputs(names))
        return self._derived[names]

    def _with_outputs(self, names: Iterable[str]) -> Graph:
        """The graph as declared with `names` as its outputs: of values, of the file's outputs, or of uses of blocks."""
        graph = self.graph.copy()
        known = {**self.document.names, **graph.outputs, **{name: name for name in graph.values}}
        for name in names:
            if name not in known:
                help = near_names(name, known) or "`flownet describe` lists them"
                raise FlownetError.of("unknown-value", f"the graph has no value `{name}`", help=help)
        graph.outputs = {name: known[name] for name in names}
        return graph


def load(
    source: Path | str | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    device: str = "auto",
    seed: int | None = None,
    dtype: str = "float32",
    weights: Mapping[str, Any] | Path | str | None = None,
    registry: Registry | None = None,
    data_root: Path | str | None = None,
    trust_plugins: bool = False,
    fallback: str = "warn",
    memory_limit: int | None = None,
) -> Network:
    """The network that a graph file (YAML or JSON) or a dict describes, with its parameters started from `seed`.

    overrides: as `--set` takes them (`vars.width=12`)
    device:    `auto`, `cpu`, `opencl`, `opencl:0`, `opencl:nvidia`, or a plugin's
    dtype:     "float64" computes everything in double precision
    weights:   a safetensors file or a mapping to start from
    trust_plugins: whether Python files that `plugins:` names may be run; they can do anything that you can
    fallback:  what happens to ops without OpenCL kernels: NumPy computes them, with a warning ("warn") or without ("cpu"), or "error"
    memory_limit: bytes that a step's values should not exceed where computing cheap ones again avoids it, on OpenCL

    Raises FlownetError with every mistake in the file.
    """
    registry = registry or default_registry()
    document = load_document(
        source, overrides=overrides, registry=registry, data_root=data_root, trust_plugins=trust_plugins
    )
    placed = {"device": device, "fallback": fallback, "memory_limit": memory_limit}
    return compile(document, seed=seed, dtype=dtype, weights=weights, registry=registry, **placed)  # type: ignore[arg-type]


def compile(
    document: Document,
    *,
    device: str = "auto",
    seed: int | None = None,
    dtype: str = "float32",
    weights: Mapping[str, Any] | Path | str | None = None,
    registry: Registry | None = None,
    without: Sequence[str] = (),
    check: bool = False,
    fallback: str = "warn",
    memory_limit: int | None = None,
) -> Network:
    """A network on a device, made of a document that is loaded already."""
    registry = registry or default_registry()
    if not DType.of(dtype).is_float:
        raise FlownetError.of(
            "bad-value",
            f"networks are computed in floating-point numbers, not in {dtype}",
            help='"float32" or "float64"',
        )
    if dtype != "float32":
        section = document.train
        section = replace(section, graph=with_dtype(section.graph, DType.of(dtype))) if section else None
        document = replace(document, graph=with_dtype(document.graph, DType.of(dtype)), train=section)
    if seed is None:
        seed = document.train.seed if document.train else 0
    elif document.train:
        document = replace(document, train=replace(document.train, seed=seed))
    chosen = choose_device(device, registry, fallback=fallback, memory_limit=memory_limit)
    session = Session(chosen, seed=seed, without=without, check=check, passes=pipeline_of(chosen, registry))
    network = Network(document, session, registry)
    return network.bind(weights) if weights is not None else network


def train(
    network: Network,
    *,
    folder: Path | str | None = None,
    epochs: int | None = None,
    callback: Callable[[Progress], Any] | None = None,
    resume: bool = False,
    checkpoint_every: int | None = None,
    data_root: Path | str | None = None,
    on_start: Callable[[Run], Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Result:
    """Train a network as its `train` section says; the weights stay in it, and lie in the run's folder.

    folder:   where log, checkpoints, weights and curve go; a new one below `runs/` unless given
    callback: called with a `Progress` after every step and epoch; training ends when it returns False
    resume:   go on from the checkpoint in `folder`
    on_start: called with the `Run` before the first step
    data:     arrays by the names of inputs and targets, `{"image": X, "label": y}`, in place of the section's `data`; or such
              mappings by split, `{"train": …, "validation": …, "test": …}`. They are taken as they are, as `Network.run` does

    Raises FlownetError: `no-train-section`, `no-data`, and what data and training raise.
    """
    from flownet.language import expand

    document = _with_data(network.document, data, "train")
    splits = _splits(document, data_root, ["train"])
    section = document.train
    assert section is not None
    if epochs is not None:
        section = replace(section, epochs=epochs)
        document = replace(document, train=section)
    plugins, files = requirements(network.registry, document)
    # no file can hold arrays: the run's graph file names no data then
    kept = section if data is None else replace(section, data=None)
    run = Run(
        document,
        network.session,
        splits,
        Path(folder) if folder is not None else new_folder(Path("runs"), document.graph.name),
        text=expand(replace(document, plugins=plugins, train=kept)),
        files=files,
        checkpoint_every=checkpoint_every,
        hooks=network.registry.hooks,
        callback=callback,
        metadata=saved_with(network.registry, document),
    )
    if resume:
        run.resume()
    if on_start is not None:
        on_start(run)
    return run.train()


def evaluate(
    network: Network,
    splits: Sequence[str] = ("test",),
    *,
    data_root: Path | str | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Evaluation]:
    """Loss and metrics over splits of the data that the `train` section names, each example once.

    data: arrays in their place, as `train` takes them; `{"image": X, "label": y}` is the split `test`

    Raises FlownetError: `no-train-section`, `no-data`, `unknown-split`, and what data raise.
    """
    document = _with_data(network.document, data, "test")
    there = _splits(document, data_root, splits)
    section = document.train
    assert section is not None
    graph = evaluation_graph(section)
    return {name: evaluate_split(network.session, section, graph, there[name]) for name in splits}


def _with_data(document: Document, data: Mapping[str, Any] | None, alone: str) -> Document:
    """The document with the arrays given for its data, where there are any."""
    if document.train is None:
        raise FlownetError.of(
            "no-train-section", "the graph file says nothing of training", help="add a `train:` section"
        )
    return document if data is None else replace(document, train=with_arrays(document.train, data, alone))


def _splits(document: Document, data_root: Path | str | None, wanted: Iterable[str]) -> Mapping[str, Any]:
    """All splits of the data, among which have to be those `wanted`."""
    section = document.train
    assert section is not None
    if section.data is None:
        raise FlownetError.of(
            "no-data",
            "the `train` section names no data",
            help="add `data: {dataset: digits}`, or another of `flownet data list`",
        )
    try:
        there = section.data.open(data_root, beside=document.folder)
    except FlownetError as error:
        raise error.placed([section.places["data"]] if "data" in section.places else []) from None
    for name in wanted:
        if name not in there:
            help = near_names(name, there) or f"it has {', '.join(there)}"
            raise FlownetError.of("unknown-split", f"the data have no split `{name}`", help=help)
    return there


def saved_with(registry: Registry, document: Document) -> dict[str, Any]:
    """What a saved model needs: plugin -> version, for the plugins that anything in it comes from."""
    return {"plugins": plugins_needed(registry, document)}


def pipeline_of(device: Device, registry: Registry) -> tuple[Pass, ...]:
    """The passes that graphs go through on a device: its own, and those of plugins behind the ones that they name."""
    others = [getattr(other, "passes", ()) for _, other in registry.items("device")]
    elsewhere = {step.name for pipeline in (*others, opencl_pipeline(kernels={})) for step in pipeline}
    return insert_passes(device.passes, [step for _, step in registry.items("pass")], elsewhere)


def _optimizer_state(name: str) -> bool:
    return name.startswith("optimizer/") or name == "rng"
