"""`train: data:` — the dataset, what its examples hold, and how that fits the inputs of the graph."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flownet.data.dataset import Dataset
from flownet.errors import FlownetError, near_names
from flownet.graph import Graph, Value
from flownet.language.components import Components, fields_of
from flownet.language.report import Report
from flownet.language.tree import Mapping as TreeMapping
from flownet.language.tree import Scalar, Tree, written
from flownet.types import Symbolic, TensorType

__all__ = ["DataReader", "FedData", "batch_dim", "batch_type"]


@dataclass
class FedData:
    """What is known of the data: the types of its fields for one batch, None where they could not be had."""

    dataset: Any
    feed: dict[str, str]
    feed_keys: Mapping[str, tuple[Scalar, Tree]]
    fields: Mapping[str, Any] | None
    at: Tree
    name: str = ""


class DataReader:
    """Reads the section, and feeds a graph with what it names."""

    def __init__(self, components: Components, report: Report) -> None:
        self.components, self.report = components, report

    def read(self, tree: Tree | None, data_root: Any, folder: Path | None) -> FedData | None:
        if tree is None or (isinstance(tree, Scalar) and (tree.failed or tree.value is None)):
            return None
        if isinstance(tree, Scalar) and isinstance(tree.value, str):
            name, options = tree, TreeMapping(tree.file, tree.place, {})
        elif isinstance(tree, TreeMapping) and isinstance(found := tree.get("dataset"), Scalar):
            name, options = found, tree
        else:
            known = ", ".join(f"`{n}`" for n in self.components.registry.names("dataset"))
            message = (
                "`data` does not say which `dataset`"
                if isinstance(tree, TreeMapping)
                else f"`data` is a mapping, got {written(tree)}"
            )
            keys = [key for key, _ in tree.pairs.values()] if isinstance(tree, TreeMapping) else []
            if misspelt := next((key for key in keys if near_names(key.text, ["dataset"])), None):
                help = near_names(misspelt.text, ["dataset"])
                self.report.error("unknown-option", f"`data` has no option `{misspelt.text}`", misspelt, help=help)
                return None
            self.report.error("missing-option", message, tree, help=f"write `data: {{dataset: …}}`, one of {known}")
            return None
        if name.failed:
            return None
        feed = self._feed(options.get("feed"))
        cls = self.components.find("dataset", name)
        if cls is None:  # what all datasets have is checked all the same
            common = {key: pair for key, pair in options.pairs.items() if key in fields_of(Dataset)}
            shared = TreeMapping(options.file, options.place, common)
            self.components.build(Dataset, shared, name, f"dataset `{name.value}`")
            return None
        dataset = self.components.build(cls, options, name, f"dataset `{name.value}`", skip=("dataset", "feed"))
        if dataset is None:
            return None
        at = options.get("path") or name  # what cannot be opened
        fields = self._fields(dataset, at, data_root, folder)
        given = options.get("feed")
        pairs = given.pairs if isinstance(given, TreeMapping) else {}
        return FedData(dataset, feed, pairs, fields, at, str(name.value))

    def _feed(self, tree: Tree | None) -> dict[str, str]:
        """Input -> field of the data."""
        feed: dict[str, str] = {}
        if isinstance(tree, TreeMapping):
            for input_name, (_, value) in tree.pairs.items():
                if isinstance(value, Scalar) and isinstance(value.value, str):
                    feed[input_name] = value.value
                else:
                    message = f"`feed` maps inputs to fields of the data, got {written(value)}"
                    self.report.error("bad-option", message, value)
        elif tree is not None:
            message = f"`feed` maps inputs to fields of the data, got {written(tree)}"
            self.report.error("bad-option", message, tree, help="write `feed: {x: image}`")
        return feed

    def _fields(self, dataset: Any, at: Tree, data_root: Any, folder: Path | None) -> Mapping[str, Any] | None:
        """The fields of an example after augmentation; None after a warning when the data cannot be opened here."""
        try:
            if hasattr(dataset, "declared_fields"):
                fields = dataset.declared_fields()
            else:
                cheap = _without(dataset, {"standardise": "none", "validation": 0, "limit": None})
                beside = {"beside": folder} if "beside" in inspect.signature(cheap.open).parameters else {}
                fields = cheap.open(data_root, **beside)["train"].fields
            for augmentation in getattr(dataset, "augment", ()):
                fields = augmentation.fields_after(fields)
            return fields
        except FlownetError as error:
            missing = [d for d in error.diagnostics if d.code == "data-missing"]
            if not missing:
                self.report.failure(error, at)
                return None
            for d in missing:
                self.report.warning(
                    d.code, d.message, at, *d.notes, "the targets' types are taken from the loss", help=d.help
                )
        except Exception as error:  # a plugin's dataset may fail in any way
            self.report.error(
                "data-failed", f"the dataset `{dataset.name}` cannot be opened: {type(error).__name__}: {error}", at
            )
        return None

    def check_feed(self, data: FedData | None, inputs: Sequence[str], targets: Collection[str]) -> None:
        """Report what `feed` maps to no input of the graph and to nothing that a loss or a metric names."""
        for name, (key, _) in data.feed_keys.items() if data else ():
            if name not in inputs and name not in targets:
                known = [*inputs, *targets]
                help = near_names(name, known) or f"its inputs are {', '.join(f'`{n}`' for n in inputs)}"
                self.report.error("unknown-input", f"`feed` maps to `{name}`, which is no input", key, help=help)

    def check_classes(self, graph: Graph, data: FedData | None, places: Mapping[str, Tree]) -> None:
        """Report the nodes at `places` that take scores of fewer classes than the data say that their labels are of."""
        if data is None or data.fields is None:
            return
        for name, at in places.items():
            if name not in graph.nodes:
                continue
            node = graph.nodes[name]
            for numbers, scores in node.op.class_numbers.items():
                target, source = node.inputs[numbers], graph.values[node.inputs[scores]]
                field_name = data.feed.get(target, target)
                field = data.fields.get(field_name) if graph.values[target] in graph.inputs else None
                if field is None or field.dtype.is_float or not field.classes:
                    continue
                ignored, there = getattr(node.op, "ignore_index", None), source.type.shape[1]
                needed = max((i + 1 for i in range(len(field.classes)) if i != ignored), default=0)
                if isinstance(there, int) and there < needed:
                    self.report.error(
                        "label-range",
                        f"`{node.op.name}` takes scores of {there} classes, the field `{field_name}` of dataset "
                        f"`{data.name}` has {needed}",
                        at, f"the scores come from `{source.name}`: {source.type}",
                        help=f"make the layer that they come from larger: {needed} instead of {there}",
                    )  # fmt: skip

    def fed_graph(self, graph: Graph, data: FedData | None) -> Graph:
        """The graph with the data's sizes put in for the symbols of its inputs."""
        if data is None or data.fields is None:
            return graph.copy()
        sizes: dict[str, tuple[int, str]] = {}
        for name, (_, tree) in data.feed_keys.items():
            if name in data.feed and data.feed[name] not in data.fields:
                self._no_field(data, data.feed[name], tree)
        batch = batch_dim(graph)
        for value in graph.inputs:
            field_name = data.feed.get(value.name, value.name)
            field = data.fields.get(field_name)
            if field is None:
                if value.name not in data.feed:
                    self._no_field(data, field_name, value.origin.span, value.name)
                continue
            self._match(value, batch_type(field, batch), field_name, data, sizes)
        bound = {name: size for name, (size, _) in sizes.items()}
        return graph.bind(bound) if bound else graph.copy()

    def _no_field(self, data: FedData, name: str, at: Any, input_name: str = "") -> None:
        assert data.fields is not None
        fields = ", ".join(f"`{f}`" for f in data.fields)
        if input_name:
            message = f"the input `{input_name}` gets no value: dataset `{data.name}` has no field of that name"
            one = next(iter(data.fields))
            help = (
                near_names(name, data.fields)
                or f"its fields are {fields}; write `data: {{…, feed: {{{input_name}: {one}}}}}` to map one"
            )
        else:
            message = f"dataset `{data.name}` has no field `{name}`"
            help = near_names(name, data.fields) or f"its fields are {fields}"
        self.report.error("unknown-field", message, at, help=help)

    def _match(
        self, value: Value, found: TensorType, field: str, data: FedData, sizes: dict[str, tuple[int, str]]
    ) -> None:
        wanted = value.type
        what = f"the input `{value.name}` is {wanted}, the field `{field}` of dataset `{data.name}` is {found}"
        if wanted.dtype is not found.dtype:
            self.report.error(
                "data-mismatch", what, value.origin.span, "the element types differ", help=f"declare it as `{found}`"
            )
            return
        if wanted.rank != found.rank:
            self.report.error(
                "data-mismatch",
                what,
                value.origin.span,
                "the numbers of dimensions differ",
                help=f"declare it as `{found}`",
            )
            return
        for axis, (want, have) in enumerate(zip(wanted.shape, found.shape, strict=True)):
            if want == have or not isinstance(have, int):
                continue
            if (
                isinstance(want, Symbolic)
                and len(want.terms) == 1
                and want.terms[0][1] == 1
                and len(want.terms[0][0]) == 1
            ):
                symbol = str(want)
                known = sizes.setdefault(symbol, (have, f"`{value.name}`"))
                if known[0] != have:
                    note = f"{known[0]} comes from {known[1]}, {have} from dimension {axis} of `{value.name}`"
                    self.report.error(
                        "symbol-two-sizes",
                        f"the symbol `{symbol}` would be {known[0]} and {have}: {what}",
                        value.origin.span,
                        note,
                        help="a symbol means one size everywhere: use another symbol, or crop the data",
                    )
                    return
                continue
            bound = want.bind({s: size for s, (size, _) in sizes.items()}) if isinstance(want, Symbolic) else want
            if bound != have:
                self.report.error(
                    "data-mismatch",
                    what,
                    value.origin.span,
                    f"dimension {axis} is {bound} here and {have} in the data",
                    help=f"declare it as `{found}`, or change the data with `augment`",
                )
                return


def _without(dataset: Any, neutral: Mapping[str, Any]) -> Any:
    fields = {f: v for f, v in neutral.items() if hasattr(dataset, f)}
    return replace(dataset, **fields) if fields else dataset


def batch_dim(graph: Graph) -> Any:
    """The size of a batch as the graph's inputs call it: their first dimension."""
    for value in graph.inputs:
        if value.type.rank:
            return value.type.shape[0]
    return Symbolic.symbol("N")


def batch_type(field: Any, batch: Any) -> TensorType:
    return TensorType(field.dtype, (batch, *field.shape))
