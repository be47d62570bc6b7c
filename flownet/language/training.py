"""`train:` — data, loss, metrics, optimiser and the settings of a run -> `TrainSection`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flownet.errors import FlownetError, near_names
from flownet.graph import Value
from flownet.language.assembly import Assembly
from flownet.language.components import Components
from flownet.language.document import TrainSection
from flownet.language.expansion import Expansion
from flownet.language.expressions import resolve
from flownet.language.objective import WeightedSum
from flownet.language.report import Report
from flownet.language.scopes import FIRST, FlatNode, GraphInput, Instance, Output, Ref, Scope, Target
from flownet.language.training_data import DataReader, FedData, batch_dim, batch_type
from flownet.language.tree import Mapping as TreeMapping
from flownet.language.tree import Scalar, Sequence, Tree, written
from flownet.types import DType, TensorType

__all__ = ["KEYS", "SETTINGS", "read_training"]

KEYS = (
    "data",
    "loss",
    "optimizer",
    "metrics",
    "schedule",
    "batch",
    "epochs",
    "seed",
    "clip",
    "regularise",
    "early_stopping",
)

SETTINGS: dict[str, dict[str, tuple[Any, Any]]] = {
    # key -> its own keys: the type, and the default (None: may be left out, `...`: required)
    "clip": {"norm": (float, None), "value": (float, None)},
    "regularise": {"l2": (float, None), "l1": (float, None)},
    "early_stopping": {"patience": (int, ...), "monitor": (str, "loss"), "min_delta": (float, 0.0)},
}
_WITH_NODES = ("optimizer", "clip", "regularise")
"""The keys whose values become nodes of the training graph."""
_ABOVE_ZERO = ("clip",)
"""The settings whose numbers are not 0: a limit of 0 would stop all learning."""

_COUNTS = {"batch": (1, 32), "epochs": (0, 10), "seed": (0, 0)}
"""The whole numbers among the keys: the least value, and the default."""


class _Training:
    """Reads the section. Its parts are read whatever happened to the others, so that all mistakes are found."""

    def __init__(
        self,
        tree: TreeMapping,
        assembly: Assembly,
        expansion: Expansion,
        scope: Scope,
        components: Components,
        report: Report,
    ) -> None:
        self.tree, self.scope, self.components, self.report = tree, scope, components, report
        self.expansion, self.inference = expansion, assembly

    def read(self, data_root: Any, folder: Path | None, whole: bool) -> TrainSection | None:
        tree, report = self.tree, self.report
        for name, (key, _) in tree.pairs.items():
            if name not in KEYS:
                help = near_names(name, KEYS) or f"its keys are {', '.join(f'`{k}`' for k in KEYS)}"
                report.error("unknown-key", f"`train` has no key `{name}`", key, help=help)
        counts = {key: self._count(key, *limits) for key, limits in _COUNTS.items()}
        settings = {key: self._settings(key) for key in SETTINGS}
        optimizer = self._component("op", "optimizer")
        schedule = self._component("schedule", "schedule")
        if tree.get("optimizer") is None and not self._misspelt("optimizer"):
            help = "add `optimizer: {sgd: {learning_rate: 0.1}}`"
            report.error("missing-key", "`train` needs an `optimizer`", self.tree, help=help)
        before = len(report.errors)
        reader = DataReader(self.components, report)
        data = reader.read(tree.get("data"), data_root, folder)
        self.graph = reader.fed_graph(self.inference.graph, data) if whole else self.inference.graph.copy()
        self.assembly = Assembly(self.graph, self.expansion, self.components, report)
        self.assembly.declarations = dict(self.inference.declarations)
        self.targets: dict[str, GraphInput] = {}
        self.places: dict[str, Tree] = {}
        self.counts: dict[str, dict[str, int]] = {}
        losses = self._losses()
        before_metrics = len(report.errors)
        metrics = self._metrics(losses)
        if len(report.errors) == before_metrics:  # else a name may be missing for a reason that is told already
            self._check_monitor(settings["early_stopping"], [name for name, _ in metrics])
        nodes = [node for _, node in (*losses, *metrics)]
        self._check_targets(data, nodes)
        if len(report.errors) > before or not whole:  # a wrong setting hides no wrong node
            return None
        self._declare_targets(data, nodes)
        reader.check_feed(data, [value.name for value in self.inference.graph.inputs], set(self.targets))
        own = [node for _, node in (*losses, *metrics) if node.name not in self.graph.nodes]
        self.assembly.add(own)
        reader.check_classes(self.graph, data, {node.name: self.places.get(node.name, node.at) for node in nodes})
        loss = self._total(losses)
        if report.failed or loss is None:
            return None
        declared = self.assembly.declarations
        feed = {name: field for name, field in data.feed.items() if name in self.graph.values} if data else {}
        places = {key: entry.span for key in _WITH_NODES if (entry := tree.get(key)) and entry.span}
        if data and data.at.span:
            places["data"] = data.at.span
        return TrainSection(
            self.graph,
            loss,
            {name: node.name for name, node in metrics},
            optimizer,
            schedule,
            data.dataset if data else None,
            feed,
            batch=counts["batch"],
            epochs=counts["epochs"],
            seed=counts["seed"],
            clip=settings["clip"],
            regularise=settings["regularise"],
            early_stopping=settings["early_stopping"],
            objective=tuple(declared[node.name] for _, node in losses if node.name in declared),
            weights=tuple(weight for weight, _ in losses),
            measures=tuple((name, declared[node.name]) for name, node in metrics if node.name in declared),
            places=places,
        )

    def _misspelt(self, key: str) -> bool:
        return any(name not in KEYS and near_names(name, [key]) for name in self.tree.pairs)

    # -- settings ------------------------------------------------------------------------------------------------------

    def _count(self, key: str, least: int, default: int) -> int:
        tree = self.tree.get(key)
        if tree is None or (isinstance(tree, Scalar) and tree.failed):
            return default
        if (
            isinstance(tree, Scalar)
            and isinstance(tree.value, int)
            and not isinstance(tree.value, bool)
            and tree.value >= least
        ):
            return tree.value
        self.report.error("bad-setting", f"`{key}` takes a whole number of {least} or more, got {written(tree)}", tree)
        return default

    def _settings(self, key: str) -> dict[str, Any] | None:
        tree, known = self.tree.get(key), SETTINGS[key]
        if tree is None or (isinstance(tree, Scalar) and (tree.value is None or tree.failed)):
            return None
        example = f"{key}: {{{', '.join(f'{name}: …' for name in known)}}}"
        if not isinstance(tree, TreeMapping):
            self.report.error(
                "bad-setting", f"`{key}` is a mapping, got {written(tree)}", tree, help=f"write `{example}`"
            )
            return None
        found: dict[str, Any] = {}
        for name, (name_key, value) in tree.pairs.items():
            if name not in known:
                help = near_names(name, known) or f"its keys are {', '.join(f'`{k}`' for k in known)}"
                self.report.error("unknown-key", f"`{key}` has no key `{name}`", name_key, help=help)
                continue
            if isinstance(value, Scalar) and value.failed:
                continue
            wanted = known[name][0]
            number: Any = value.value if isinstance(value, Scalar) else None
            fits = (
                isinstance(number, str)
                if wanted is str
                else _is_number(number)
                and (wanted is float or isinstance(number, int))
                and (number > 0 if key in _ABOVE_ZERO else number >= 0)
            )
            if not fits:
                least = "above 0" if key in _ABOVE_ZERO else "of 0 or more"
                word = {
                    int: f"a whole number {least}",
                    float: f"a number {least}",
                    str: "`loss` or the name of a metric",
                }[wanted]
                help = f"leave `{key}` out to switch it off" if number == 0 else ""
                self.report.error(
                    "bad-setting", f"`{name}` of `{key}` takes {word}, got {written(value)}", value, help=help
                )
                continue
            found[name] = float(number) if wanted is float else number
        for name, (_, default) in known.items():
            if default is ... and name not in tree.pairs:
                self.report.error(
                    "missing-key", f"`{key}` needs `{name}`", self.tree.key(key), help=f"write `{example}`"
                )
            elif default is not ... and default is not None:
                found.setdefault(name, default)
        return found

    def _component(self, kind: str, key: str) -> Any:
        tree = self.tree.get(key)
        if tree is None or (isinstance(tree, Scalar) and (tree.failed or tree.value is None)):
            return None
        return self.components.one(kind, tree, category="optimizer" if kind == "op" else None)

    def _check_monitor(self, rule: Mapping[str, Any] | None, metrics: list[str]) -> None:
        if rule and rule.get("monitor") not in ("loss", *metrics):
            tree = self.tree.get("early_stopping")
            at = tree.get("monitor") if isinstance(tree, TreeMapping) else tree
            known = ["loss", *metrics]
            help = near_names(str(rule["monitor"]), known) or f"it can watch {', '.join(f'`{k}`' for k in known)}"
            self.report.error("unknown-metric", f"there is no metric `{rule['monitor']}`", at, help=help)

    # -- loss and metrics ----------------------------------------------------------------------------------------------

    def _losses(self) -> list[tuple[float, FlatNode]]:
        tree = self.tree.get("loss")
        if (
            tree is None
            or (isinstance(tree, Scalar) and tree.value is None and not tree.failed)
            or (isinstance(tree, Sequence) and not tree.items)
        ):
            help = "add `loss: {cross_entropy: {in: [logits, label]}}`"
            if not self._misspelt("loss"):
                self.report.error("missing-key", "`train` needs a `loss`", tree or self.tree, help=help)
            return []
        found = []
        for item in tree.items if isinstance(tree, Sequence) else (tree,):
            if isinstance(item, Scalar) and item.failed:
                continue
            weight, item = self._weight(item)
            node = self._node(item, "loss", "loss")
            if node is not None:
                found.append((weight, node))
        return found

    def _weight(self, item: Tree) -> tuple[float, Tree]:
        """The weight of a loss, and the node without it."""
        options, rebuilt = item, None
        if isinstance(item, TreeMapping) and "op" not in item.pairs and "in" not in item.pairs and len(item.pairs) == 1:
            ((key, options),) = item.pairs.values()
            rebuilt = key
        weight = options.get("weight") if isinstance(options, TreeMapping) else None
        if weight is None:
            return 1.0, item
        weight = resolve(weight, self.scope.names, self.report)
        assert isinstance(options, TreeMapping)
        without = options.without("weight")
        node: Tree
        if rebuilt is None and list(without.pairs) == ["in"]:  # `{in: mse, weight: 2}`: a value of the graph
            node = without.pairs["in"][1]
        else:
            node = (
                TreeMapping(item.file, item.place, {rebuilt.text: (rebuilt, without)})
                if rebuilt is not None
                else without
            )
        if isinstance(weight, Scalar) and _is_number(weight.value):
            return float(weight.value), node
        if not (isinstance(weight, Scalar) and weight.failed):
            self.report.error("bad-setting", f"the `weight` of a loss is a number, got {written(weight)}", weight)
        return 1.0, node

    def _node(
        self, item: Tree, chapter: str, folder: str, default: list[tuple[str | None, Target | None, Tree]] | None = None
    ) -> FlatNode | None:
        """The node of a loss or a metric; or one of the file's own, when its name is given."""
        if isinstance(item, Scalar) and isinstance(item.value, str) and item.value in self.scope.entities:
            source = self.expansion.resolve(Ref(self.scope, item.value, item))
            if isinstance(source, Output):
                self.places[source.node.name] = item
            return source.node if isinstance(source, Output) else None
        before = len(self.expansion.nodes)
        scope = Scope(
            folder,
            self.scope.names,
            {},
            around=self.scope,
            targets=self.targets,
            counts=self.counts.setdefault(folder, {}),
        )
        entity = self.expansion.node(item, scope, None, False)
        if not isinstance(entity, FlatNode):
            if isinstance(entity, Instance) and not entity.failed:
                self.report.error(f"bad-{chapter}", f"a {chapter} is one op, `{entity.name}` is a block", item)
            return None
        del self.expansion.nodes[before:]
        if entity.op is None:
            return None
        category = getattr(entity.op, "category", "")
        if category != chapter and chapter == "metric":
            known = [n for n, cls in self.components.registry.items("op") if getattr(cls, "category", "") == "metric"]
            help = near_names(entity.op.name, known) or f"the metrics are {', '.join(f'`{k}`' for k in known)}"
            self.report.error("bad-metric", f"`{entity.op.name}` is no metric", entity.at, help=help)
            return None
        if entity.chained:
            if default is None:
                names = list(entity.op.signature_inputs)
                self.report.error(
                    "missing-input",
                    f"the {chapter} `{entity.op.name}` does not say what it takes",
                    entity.at,
                    help=f"write `{entity.op.name}: {{in: [{', '.join(names)}]}}` "
                    "with the network's value and the data's field",
                )
                return None
            count = len(entity.op.signature_inputs) or len(default)
            entity.inputs, entity.chained = default[:count], False
        return entity

    def _metrics(self, losses: list[tuple[float, FlatNode]]) -> list[tuple[str, FlatNode]]:
        tree = self.tree.get("metrics")
        if tree is None or (isinstance(tree, Scalar) and (tree.value is None or tree.failed)):
            return []
        default = _in_order(losses[0][1]) if losses else None
        items: list[tuple[str | None, Tree]]
        if isinstance(tree, Sequence):
            items = [(None, item) for item in tree.items]
        elif isinstance(tree, Scalar):
            items = [(None, tree)]
        else:
            assert isinstance(tree, TreeMapping)
            items = [(name, value) for name, (_, value) in tree.pairs.items()]
        found: list[tuple[str, FlatNode]] = []
        for name, item in items:
            if isinstance(item, Scalar) and item.failed:
                continue
            if default is None and not losses:
                node = None if self.report.failed else self._node(item, "metric", "metrics")
            else:
                node = self._node(item, "metric", "metrics", default)
            if node is None:
                continue
            called = name or self._metric_name(node, [n for n, _ in found])
            found.append((called, node))
        return found

    def _metric_name(self, node: FlatNode, taken: list[str]) -> str:
        base = node.name.rsplit("/", 1)[-1]
        if base.startswith(f"{node.op.name}_") and base[len(node.op.name) + 1 :].isdigit():
            base = node.op.name  # an automatic name
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        return name

    # -- targets -------------------------------------------------------------------------------------------------------

    def _targets(self, nodes: list[FlatNode]) -> Iterator[tuple[FlatNode, GraphInput, Tree]]:
        """What the loss and the metrics name that the graph has not: fields of the data, each with its node and place."""
        for node in nodes:
            for _, target, at in _given(node):
                source = self.expansion.resolve(target)
                if isinstance(source, GraphInput) and source.name not in self.graph.values:
                    yield node, source, at

    def _check_targets(self, data: FedData | None, nodes: list[FlatNode]) -> None:
        """Say which targets the data have not; each name once."""
        if data is None or data.fields is None:
            return
        told: set[str] = set()
        declared = {value.name for value in self.inference.graph.inputs}
        for _, source, at in self._targets(nodes):
            if data.feed.get(source.name, source.name) in data.fields or source.name in told | declared:
                continue
            told.add(source.name)
            known = [*self.scope.entities, *(v.name for v in self.graph.inputs), *data.fields]
            fields = ", ".join(f"`{f}`" for f in data.fields)
            self.report.error(
                "unknown-target", f"`{source.name}` is neither a value of the graph nor a field of dataset `{data.name}`", at,
                help=near_names(source.name, known) or f"its fields are {fields}",
            )  # fmt: skip

    def _declare_targets(self, data: FedData | None, nodes: list[FlatNode]) -> None:
        """Add the fields that the loss and the metrics name as inputs."""
        batch = batch_dim(self.graph)
        for node, source, at in self._targets(nodes):
            if data is not None and data.fields is not None:
                type_ = batch_type(data.fields[data.feed.get(source.name, source.name)], batch)
            else:
                found = self._guess(node, source.name)
                if found is None:
                    self.report.error(
                        "unknown-target",
                        f"`{source.name}` is no value of the graph, and there are no data that could have it",
                        at,
                        help=near_names(source.name, list(self.scope.entities))
                        or "name a `dataset` that can be opened, or declare it in `inputs:`",
                    )
                    return
                type_ = found
            self.assembly.builder.input(source.name, type_)

    def _guess(self, node: FlatNode, name: str) -> TensorType | None:
        """A type for a target that the op accepts: class indices, else what the first input is."""
        types: dict[str, TensorType] = {}
        unknown = None
        names = node.op.signature_inputs
        for position, (argument, target, _) in enumerate(_given(node)):
            key = argument or (names[position] if position < len(names) else "")
            source = self.expansion.resolve(target)
            if isinstance(source, GraphInput) and source.name == name:
                unknown = key
                continue
            value = self.assembly.value(source)
            if value is None:
                return None
            types[key] = value.type
        if unknown is None or not types:
            return None
        first = next(iter(types.values()))
        classes = TensorType(DType.int32, (first.shape[0], *first.shape[2:])) if first.rank >= 2 else None
        for candidate in (classes, first, TensorType(DType.int64, classes.shape) if classes else None):
            if candidate is None:
                continue
            try:
                node.op.result_types({**types, unknown: candidate})
                return candidate
            except FlownetError:
                continue
            except Exception:
                return None
        return None

    # -- the loss as one scalar ----------------------------------------------------------------------------------------

    def _total(self, losses: list[tuple[float, FlatNode]]) -> str | None:
        values: list[tuple[float, Value]] = []
        for weight, node in losses:
            built = self.graph.nodes.get(node.name)
            if built is None:
                return None
            value = self.graph.values[built.outputs[0]]
            if value.type.shape != () or not value.type.dtype.is_float:
                self.report.error(
                    "loss-no-scalar", f"a loss is one number, `{node.name}` is {value.type}",
                    self.places.get(node.name, node.at),
                    help="take a loss op, or put `mean` or `sum` behind it",
                )  # fmt: skip
                return None
            values.append((weight, value))
        if not values:
            return None
        weight, total = values[0]
        if weight != 1:
            total = self.assembly.builder.add(WeightedSum(weight, 0.0), total, total, name="loss/scaled")
        for number, (weight, value) in enumerate(values[1:], 1):
            total = self.assembly.builder.add(WeightedSum(1.0, weight), total, value, name=f"loss/sum_{number}")
        return total.name


def _given(node: FlatNode) -> list[tuple[str | None, Target | None, Tree]]:
    """The inputs that `in` names: a loss and a metric have no node above them."""
    return [entry for entry in node.inputs if entry[0] != FIRST]


def _in_order(loss: FlatNode) -> list[tuple[str | None, Target | None, Tree]]:
    """The inputs of a loss by position, whichever way they were written: what metrics without `in` take."""
    names = loss.op.signature_inputs
    order = {name: position for position, name in enumerate(names)}
    entries = [
        (order.get(argument, 0) if argument else position, (target, at))
        for position, (argument, target, at) in enumerate(_given(loss))
    ]
    return [(None, target, at) for _, (target, at) in sorted(entries, key=lambda entry: entry[0])]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_training(
    tree: Tree,
    assembly: Assembly,
    expansion: Expansion,
    scope: Scope,
    components: Components,
    report: Report,
    *,
    data_root: Any,
    folder: Path | None,
    whole: bool,
) -> TrainSection | None:
    """The section, or None after reports.

    whole: whether the graph is complete; if not, only what does not depend on it is checked
    """
    if isinstance(tree, Scalar) and (tree.failed or tree.value is None):
        return None
    if not isinstance(tree, TreeMapping):
        report.error(
            "bad-form",
            f"`train` is a mapping, got {written(tree)}",
            tree,
            help="write `train: {data: …, loss: …, optimizer: …}`",
        )
        return None
    return _Training(tree, assembly, expansion, scope, components, report).read(data_root, folder, whole)
