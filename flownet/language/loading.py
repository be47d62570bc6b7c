"""From a file to a `Document`, in the order in which its parts depend on each other, collecting all that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flownet.collector import paused_collector
from flownet.errors import Diagnostic, FlownetError, near_names
from flownet.graph import Builder, Graph, Origin
from flownet.language.assembly import Assembly
from flownet.language.components import Components
from flownet.language.document import Document, TrainSection
from flownet.language.expansion import Expansion
from flownet.language.expressions import resolve
from flownet.language.includes import Library
from flownet.language.overrides import apply, override_variables, read_overrides
from flownet.language.plugin_needs import Confirm, meet
from flownet.language.reading import read_file, read_text
from flownet.language.report import Report
from flownet.language.scopes import UNKNOWN, FlatNode, GraphInput, Instance, Output, Ref, Scope, Target, as_target
from flownet.language.tensor_types import read_type
from flownet.language.training import read_training
from flownet.language.tree import Mapping as TreeMapping
from flownet.language.tree import Scalar, Sequence, Tree, written
from flownet.language.variables import Variables
from flownet.language.writing import to_yaml
from flownet.registry import Registry, default_registry
from flownet.types import symbols_of

__all__ = ["KEYS", "VERSION", "check", "load"]

VERSION = 1
KEYS = ("flownet", "include", "plugins", "vars", "blocks", "inputs", "nodes", "outputs", "train", "doc")

Source = Path | str | Mapping[str, Any]


def load(
    source: Source,
    *,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    registry: Registry | None = None,
    data_root: Any = None,
    trust_plugins: bool = False,
    confirm: Confirm | None = None,
) -> Document:
    """The document that a graph file describes.

    source:    a path, a dict of the same form, or a text (a `str` with a line break in it, or one that begins with `{`)
    overrides: `path=value` texts as `--set` takes them, or a mapping from paths to values
    data_root: the folder of the datasets, for the types of their fields
    confirm:   asks whether a local Python file that the graph file names may be run; `trust_plugins` says yes to all

    Raises FlownetError with every mistake in the file, and with its warnings.
    """
    document, diagnostics = check(
        source,
        overrides=overrides,
        registry=registry,
        data_root=data_root,
        trust_plugins=trust_plugins,
        confirm=confirm,
    )
    if document is None:
        raise FlownetError(diagnostics)
    return document


@paused_collector()
def check(
    source: Source,
    *,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    registry: Registry | None = None,
    data_root: Any = None,
    trust_plugins: bool = False,
    confirm: Confirm | None = None,
) -> tuple[Document | None, list[Diagnostic]]:
    """The document, None when something is wrong, and all that there is to say; arguments as for `load`."""
    report = Report()
    document = None
    try:
        root, name, path = _read(source, report)
        ask = confirm or (lambda _: trust_plugins)
        document = _Loading(registry or default_registry(), report, name, path, data_root, ask).document(
            root, overrides
        )
    except FlownetError as error:
        report.failure(error)
    if report.failed:
        return None, report.all
    return document, report.all


def _read(source: Source, report: Report) -> tuple[Tree | None, str, Path | None]:
    if isinstance(source, Mapping):
        return read_text(to_yaml(source), "<dict>", report), "<dict>", None
    if isinstance(source, str) and ("\n" in source or source.lstrip().startswith("{")):
        return read_text(source, "<text>", report), "<text>", None
    path = Path(source)
    return read_file(path, report), str(source), path


@dataclass
class _Loading:
    """One file on its way to a document."""

    registry: Registry
    report: Report
    name: str
    path: Path | None
    data_root: Any
    confirm: Confirm

    def document(self, root: Tree | None, overrides: Iterable[str] | Mapping[str, Any]) -> Document | None:
        report = self.report
        if root is None:
            help = "a graph needs `inputs:` and `nodes:`; the README begins with a small one"
            report.error("empty-file", f"`{self.name}` holds nothing", None, help=help)
            return None
        if not isinstance(root, TreeMapping):
            help = "a graph file is a mapping with `inputs:` and `nodes:`"
            report.error("bad-form", f"the file holds {written(root)}, not a graph", root, help=help)
            return None
        given = read_overrides(overrides, report)
        root = apply(root, given, report)
        self._check_keys(root)
        folder = self._folder or Path()
        variables = Variables(report)
        library = Library(report, variables)
        library.take(root, folder, self.path)
        override_variables(variables, given, report)
        plugins = [
            need for tree, beside in library.plugins for need in meet(tree, beside, self.registry, report, self.confirm)
        ]
        values = variables.evaluate_all()
        self._check_block_names(library)
        components = Components(self.registry, report)
        expansion = Expansion(library.blocks, components, report, library.broken)
        graph = Graph(self.path.stem if self.path is not None else "graph")
        scope = Scope("", variables, self._inputs(root, graph, variables))
        last = self._nodes(root, expansion, scope)
        assembly = Assembly(graph, expansion, components, report)
        assembly.add(expansion.nodes)
        fetched = self._outputs(root, expansion, assembly, scope, last, variables)
        for block in library.blocks.values():
            if block.name not in expansion.used_blocks:
                expansion.check_unused(block)
        train = self._train(root, assembly, expansion, scope, components, variables, not report.failed)
        self._warn_of_variables(root, variables)
        if report.failed:
            return None
        self._warn_of_nodes(graph, fetched, train)
        nodes = tuple(assembly.declarations[node.name] for node in expansion.nodes)
        warnings = tuple(report.all)
        names = dict(_other_names(expansion, assembly))
        return Document(graph, train, tuple(plugins), self.name, values, warnings, nodes, self._folder, names)

    @property
    def _folder(self) -> Path | None:
        return self.path.parent if self.path is not None else None

    # -- the parts -----------------------------------------------------------------------------------------------------

    def _check_keys(self, root: TreeMapping) -> None:
        for name, (key, _) in root.pairs.items():
            if name not in KEYS:
                help = near_names(name, KEYS) or f"its keys are {', '.join(f'`{k}`' for k in KEYS)}"
                self.report.error("unknown-key", f"a graph file has no key `{name}`", key, help=help)
        version = root.get("flownet")
        if version is None or (
            isinstance(version, Scalar) and version.value == VERSION and not isinstance(version.value, bool)
        ):
            return
        newer = isinstance(version, Scalar) and isinstance(version.value, int) and version.value > VERSION
        help = "pip install --upgrade flownet" if newer else f"write `flownet: {VERSION}`"
        self.report.error(
            "bad-version",
            f"this flownet reads version {VERSION} of the language, not {written(version)}",
            version,
            help=help,
        )

    def _check_block_names(self, library: Library) -> None:
        for name, block in library.blocks.items():
            if name in self.registry.names("op"):
                owner = self.registry.owner("op", name)
                message = f"the block `{name}` has the name of an op"
                self.report.error(
                    "duplicate-name", message, block.at, f"the op comes from `{owner}`", help="rename the block"
                )

    def _inputs(self, root: TreeMapping, graph: Graph, variables: Variables) -> dict[str, Target | None]:
        report = self.report
        found: dict[str, Target | None] = {}
        tree = root.get("inputs")
        example = "write `inputs: {image: float32[N, 1, 28, 28]}`"
        if tree is None:
            report.error("missing-key", "the file declares no `inputs`", root, help=example)
            return {UNKNOWN: None}
        if isinstance(tree, Scalar) and tree.failed:
            return {UNKNOWN: None}
        if not isinstance(tree, TreeMapping) or not tree.pairs:
            report.error("bad-form", f"`inputs` maps names to types, got {written(tree)}", tree, help=example)
            return {UNKNOWN: None}
        builder = Builder(graph)
        for name, (key, value) in tree.pairs.items():
            found[name] = GraphInput(name, key)
            if not name.isidentifier():
                report.error(
                    "bad-name", f"`{name}` cannot be the name of an input", key, help="take letters, digits and `_`"
                )
                continue
            text = resolve(value, variables, report) if value.dynamic else value
            if isinstance(text, Scalar) and text.failed:
                continue
            if not (isinstance(text, Scalar) and isinstance(text.value, str)):
                report.error("bad-type", f"an input has a type, got {written(text)}", value, help=example)
                continue
            try:
                type_ = read_type(text.value)
            except FlownetError as error:
                report.failure(error, value)
                continue
            builder.input(name, type_, Origin(key.span))
            for symbol in sorted(symbols_of(type_.shape) & set(variables)):
                report.warning(
                    "symbol-is-variable",
                    f"`{symbol}` is a size that the data decide, though a variable has that name",
                    value,
                    help=f"write `${symbol}` for the variable's value, or rename one of them",
                )
        return found

    def _nodes(self, root: TreeMapping, expansion: Expansion, scope: Scope) -> Target | None:
        tree = root.get("nodes")
        example = "write `nodes:` and below it `- dense: {units: 10}`"
        if tree is None or (isinstance(tree, Scalar) and tree.value is None and not tree.failed):
            self.report.error("missing-key", "the file has no `nodes`", tree or root, help=example)
            return None
        if not isinstance(tree, Sequence):
            if not (isinstance(tree, Scalar) and tree.failed):
                first = next(iter(tree.pairs), "") if isinstance(tree, TreeMapping) else ""
                help = f"write `- {first[1:]}`, with a space behind the dash" if re.match(r"-\w", first) else example
                self.report.error("bad-form", f"`nodes` is a list, got {written(tree)}", tree, help=help)
            return None
        if not tree.items:
            self.report.error("missing-key", "the list of `nodes` is empty", tree, help=example)
            return None
        return as_target(expansion.sequence(tree.items, scope))

    def _outputs(
        self,
        root: TreeMapping,
        expansion: Expansion,
        assembly: Assembly,
        scope: Scope,
        last: Target | None,
        variables: Variables,
    ) -> list[str]:
        tree = root.get("outputs")
        graph = assembly.graph
        if tree is None or (isinstance(tree, Scalar) and tree.value is None and not tree.failed):
            value = assembly.value(expansion.resolve(last))
            if value is not None:
                graph.output(value.name)
            return [value.name] if value is not None else []
        tree = resolve(tree, variables, self.report) if tree.dynamic else tree
        named: list[tuple[str | None, Tree]] = []
        match tree:
            case Scalar() if tree.failed:
                return []
            case Scalar():
                named = [(None, tree)]
            case Sequence():
                named = [(None, item) for item in tree.items]
            case TreeMapping():
                named = [(name, value) for name, (_, value) in tree.pairs.items()]
        for name, item in named:
            if isinstance(item, Scalar) and item.failed:
                continue
            if not (isinstance(item, Scalar) and isinstance(item.value, str)):
                help = "write `outputs: [probabilities]`, or `{name: value}`"
                self.report.error("bad-form", f"`outputs` names values, got {written(item)}", item, help=help)
                continue
            value = assembly.value(expansion.resolve(Ref(scope, item.value, item)))
            if value is None:
                continue
            if (name or item.value) in graph.outputs:
                self.report.error(
                    "duplicate-name",
                    f"the output `{name or item.value}` is named twice",
                    item,
                    help="remove one of them",
                )
                continue
            graph.outputs[name or item.value] = value.name
        return list(graph.outputs.values())

    def _train(
        self,
        root: TreeMapping,
        assembly: Assembly,
        expansion: Expansion,
        scope: Scope,
        components: Components,
        variables: Variables,
        whole: bool,
    ) -> TrainSection | None:
        tree = root.get("train")
        if tree is None:
            return None
        if isinstance(tree, TreeMapping):  # losses and metrics are nodes, and resolved as such
            kept = {name: pair for name, pair in tree.pairs.items() if name in ("loss", "metrics")}
            rest = resolve(tree.without("loss", "metrics"), variables, self.report)
            assert isinstance(rest, TreeMapping)
            tree = TreeMapping(tree.file, tree.place, {**rest.pairs, **kept})
        return read_training(
            tree,
            assembly,
            expansion,
            scope,
            components,
            self.report,
            data_root=self.data_root,
            folder=self._folder,
            whole=whole,
        )

    # -- warnings ------------------------------------------------------------------------------------------------------

    def _warn_of_variables(self, root: TreeMapping, variables: Variables) -> None:
        own = root.get("vars")
        for name, key in variables.declared():
            if name not in variables.used and isinstance(own, TreeMapping) and own.key(name) is key:
                self.report.warning(
                    "unused-variable",
                    f"nothing uses the variable `{name}`",
                    key,
                    help="remove it, or write `$" + name + "` where it is meant",
                )

    def _warn_of_nodes(self, graph: Graph, fetched: list[str], train: TrainSection | None) -> None:
        """Warn of the ends of the graph that lead to no output, loss or metric, and of inputs that nothing takes."""
        needed = graph.ancestors(fetched)
        wanted_inputs = set(fetched)
        if train is not None:
            needed |= train.graph.ancestors([train.loss, *train.metrics.values()])
            wanted_inputs |= {name for node in train.graph.nodes.values() for name in node.inputs.values()}
        users = graph.consumers()
        for node in graph.nodes.values():
            if node.name not in needed and not any(users[output] for output in node.outputs):
                self.report.warning(
                    "unused-node", f"nothing uses the node `{node.name}`", node.origin.span,
                    help="remove it, or name it in `outputs`", stack=node.origin.stack,
                )  # fmt: skip
        for value in graph.inputs:
            if not users[value.name] and value.name not in wanted_inputs:
                self.report.warning(
                    "unused-input",
                    f"nothing takes the input `{value.name}`",
                    value.origin.span,
                    help="remove it, or name it in an `in`",
                )


def _other_names(expansion: Expansion, assembly: Assembly) -> Iterator[tuple[str, str]]:
    """What values can be called besides by their own names: (the path of a block's use, or an output of it; the value)."""
    for path, entity in expansion.entities.items():
        if isinstance(entity, FlatNode) and entity.name != path:  # the last one of a repetition
            found = assembly.value(expansion.resolve(Output(entity, 0)))
            yield from [(path, found.name)] if found is not None else []
        elif isinstance(entity, Instance):
            for i, (output, target) in enumerate(entity.outputs.items()):
                found = assembly.value(expansion.resolve(target))
                if found is not None:
                    yield from [(f"{path}.{output}", found.name), *([(path, found.name)] if i == 0 else [])]
