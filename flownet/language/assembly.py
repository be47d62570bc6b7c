"""From the flat list of nodes to a typed graph: order, types, parameters; every mismatch told in terms of the user's
nodes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from flownet.errors import FlownetError, near_names
from flownet.graph import Builder, Graph, Origin, Value
from flownet.language.components import Components
from flownet.language.document import Declaration
from flownet.language.expansion import Expansion
from flownet.language.report import Report
from flownet.language.scopes import FIRST, FlatNode, GraphInput, Output
from flownet.language.tree import Mapping, Scalar, Tree, written
from flownet.op import Initial, Op
from flownet.op.failure import failure_of

__all__ = ["Assembly"]

Source = GraphInput | Output


class Assembly:
    """Builds `graph` of an expansion's nodes. `declarations` are those that worked, in the order of the file."""

    def __init__(self, graph: Graph, expansion: Expansion, components: Components, report: Report) -> None:
        self.graph, self.expansion, self.components, self.report = graph, expansion, components, report
        self.builder = Builder(graph)
        self.declarations: dict[str, Declaration] = {}
        self._sources: dict[str, list[tuple[str | None, Source, Tree]] | None] = {}
        self._shares: dict[str, FlatNode | None] = {}

    def add(self, nodes: Sequence[FlatNode]) -> None:
        """Build `nodes`, those first that others need; nodes whose inputs failed are left out silently."""
        for node in nodes:
            self._sources[node.name] = self._resolved(node)
        for node in self._ordered(nodes):
            self._build(node)

    def value(self, source: Source | None) -> Value | None:
        """The graph's value for a resolved target; None when its node failed."""
        if source is None:
            return None
        if isinstance(source, GraphInput):
            return self.graph.values.get(source.name)
        node = self.graph.nodes.get(source.node.name)
        return self.graph.values[node.outputs[source.index]] if node else None

    # -- order ---------------------------------------------------------------------------------------------------------

    def _resolved(self, node: FlatNode) -> list[tuple[str | None, Source, Tree]] | None:
        found: list[tuple[str | None, Source, Tree]] = []
        failed = node.op is None
        named = {argument for argument, _, _ in node.inputs}
        for argument, target, at in node.inputs:
            if argument == FIRST:
                if node.op is None or not node.op.signature_inputs or node.op.signature_inputs[0] in named:
                    continue
                argument = node.op.signature_inputs[0]
            source = self.expansion.resolve(target)
            if source is None:
                failed = True
            else:
                found.append((argument, source, at))
        if node.share is not None:
            shared = self.expansion.resolve(node.share)
            self._shares[node.name] = shared.node if isinstance(shared, Output) else None
            if isinstance(shared, GraphInput):
                self.report.error(
                    "bad-share", f"`{shared.name}` is an input and has no parameters", node.share.at, stack=node.stack
                )
            failed |= not isinstance(shared, Output)
        return None if failed else found

    def _needs(self, node: FlatNode) -> Iterator[FlatNode]:
        for _, source, _ in self._sources[node.name] or ():
            if isinstance(source, Output):
                yield source.node
        if (shared := self._shares.get(node.name)) is not None:
            yield shared

    def _ordered(self, nodes: Sequence[FlatNode]) -> list[FlatNode]:
        """The order of the file, but for nodes that use what stands below them. Cycles are reported, and left out."""
        order: list[FlatNode] = []
        state: dict[str, int] = {}  # 1: being visited, 2: done
        for start in nodes:
            if start.name in state:
                continue
            path: list[tuple[FlatNode, Iterator[FlatNode]]] = [(start, self._needs(start))]
            state[start.name] = 1
            while path:
                node, needs = path[-1]
                for needed in needs:
                    if needed.name not in self._sources or state.get(needed.name) == 2:
                        continue
                    if state.get(needed.name) == 1:
                        self._report_cycle([n for n, _ in path], needed)
                        continue
                    state[needed.name] = 1
                    path.append((needed, self._needs(needed)))
                    break
                else:
                    path.pop()
                    state[node.name] = 2
                    order.append(node)
        return order

    def _report_cycle(self, path: list[FlatNode], closing: FlatNode) -> None:
        circle = path[path.index(closing) :]
        names = ", which takes ".join(f"`{node.name}`" for node in [*circle[1:], closing])
        if len(names) > 300:
            names = f"{names[:150]} … {names[-150:]}"
        # the culprit is the one that reaches forward in the file; the rest merely follow one another
        for node in circle:
            self._sources[node.name] = None
        first = min(circle, key=lambda node: (node.at.line, node.at.column))
        at = next((at for _, _, at in first.inputs if at is not first.at), first.at)
        self.report.error(
            "cycle", f"`{first.name}` depends on itself", at, f"`{circle[0].name}` takes {names}",
            help="a graph has no loops: use `repeat` to unroll one, or another `in`", stack=first.stack,
        )  # fmt: skip

    # -- building ------------------------------------------------------------------------------------------------------

    def _build(self, node: FlatNode) -> None:
        sources = self._sources[node.name]
        if sources is None:
            self._check_victim(node)
            return
        values: list[tuple[str | None, Value, Tree]] = []
        for argument, source, at in sources:
            value = self.value(source)
            if value is None:
                self._check_victim(node)
                return
            values.append((argument, value, at))
        given = self._arguments(node, values)
        if given is None:
            return
        op = node.op
        try:
            declared = self._declared(node, given)
            if declared is None:
                return
            # what is wrong with these changes no type: the nodes below are checked all the same
            shared = self._shared(node, declared) or {}
            initialisers = self._initialisers(node, declared) or {}
            self.builder.origin, self.builder.device = Origin(node.at.span, node.stack), node.device
            self.builder.add(
                op, name=node.name, trainable=not node.freeze, initialisers=initialisers, **{**given, **shared}
            )
        except Exception as error:  # an op of a plugin may fail in any way
            self._failed(node, given, error)
            return
        inputs = {argument: value.name for argument, value in given.items()}
        share = self._shares.get(node.name)
        self.declarations[node.name] = Declaration(
            node.name, op, inputs, share.name if share else None, node.freeze, initialisers or None, node.device
        )

    def _arguments(self, node: FlatNode, values: list[tuple[str | None, Value, Tree]]) -> dict[str, Value] | None:
        """The inputs by the op's names for them."""
        op = node.op
        names = op.signature_inputs
        if not names and not op.variadic and node.chained:
            return {}  # an op without inputs stands where it likes
        given: dict[str, Value] = {}
        for position, (argument, value, at) in enumerate(values):
            if op.variadic and (argument is None or argument == f"{op.variadic}{position}"):
                given[f"{op.variadic}{position}"] = value
                continue
            if argument is None:
                if position >= len(names):
                    return self._surplus(node, list(names), len(values), at)
                argument = names[position]
            elif argument not in names:
                listed = f"`{op.variadic}0`, `{op.variadic}1`, …" if op.variadic else ", ".join(f"`{n}`" for n in names)
                help = near_names(argument, names) or f"its inputs are {listed}"
                self.report.error(
                    "unknown-input", f"`{op.name}` has no input `{argument}`", at, help=help, stack=node.stack
                )
                return None
            if argument in given:
                self.report.error(
                    "surplus-input", f"`{op.name}` gets its input `{argument}` twice", at, stack=node.stack
                )
                return None
            given[argument] = value
        return given

    def _surplus(self, node: FlatNode, names: list[str], got: int, at: Tree) -> dict[str, Value] | None:
        takes = f"{len(names)} input{'s' if len(names) != 1 else ''}" + (f" ({', '.join(names)})" if names else "")
        self.report.error(
            "surplus-input", f"`{node.op.name}` takes {takes}, got {got}", at,
            help="remove the others, or join them first with an op such as `concat` or `add`", stack=node.stack,
        )  # fmt: skip
        return None

    def _declared(self, node: FlatNode, given: dict[str, Value]) -> dict[str, Initial] | None:
        """The op's parameters and states, once its inputs are known to be all there."""
        op = node.op
        names = op.signature_inputs
        optional = op.optional_inputs
        if not op.variadic:
            asked = [name for name in names if name in _asked_by_declarations(type(op)) and name not in optional]
            if missing := [name for name in asked if name not in given]:
                return self._missing(node, missing, asked)
        elif not given:
            return self._missing(node, [f"{op.variadic}0"], [])
        declared = op.declared({argument: value.type for argument, value in given.items()})
        if op.variadic:
            return declared
        own = [name for name in names if name not in declared]
        required = [name for name in own if name not in optional]
        if missing := [name for name in required if name not in given]:
            return self._missing(node, missing, required)
        positional = [at for argument, _, at in node.inputs if argument is None]
        if len(positional) > len(own):  # parameters can be given by name alone: a list is a list of inputs
            self._surplus(node, own, len(positional), positional[len(own)])
            return None
        return declared

    def _check_victim(self, node: FlatNode) -> None:
        """What can be said of a node of which an input has no type, which has been reported: the number of its inputs
        and what its initialiser says of itself."""
        op = node.op
        if op is None:
            return
        names = list(op.signature_inputs)
        if not op.variadic and not node.chained and not _has_parameters(type(op)):
            given = [name or (names[i] if i < len(names) else "") for i, (name, _, _) in enumerate(node.inputs)]
            required = [name for name in names if name not in op.optional_inputs]
            if len(node.inputs) > len(names):
                self._surplus(node, names, len(node.inputs), node.inputs[len(names)][2])
            elif missing := [name for name in required if name not in given]:
                self._missing(node, missing, required)
        tree = node.init
        names = self.components.registry.names("initialiser")
        is_name = isinstance(tree, Scalar) and isinstance(tree.value, str)
        has_options = isinstance(tree, Mapping) and len(tree.pairs) == 1 and next(iter(tree.pairs)) in names
        if node.own_init and tree is not None and (is_name or has_options):
            self.components.one("initialiser", tree, node.stack)

    def _missing(self, node: FlatNode, missing: list[str], required: list[str]) -> dict[str, Initial] | None:
        listed = ", ".join(required)
        if not node.inputs and not required[1:]:
            help = "write `in:`: there is no node above, and more than one input to choose from"
        else:
            help = (
                f"write `in: [{listed}]` with the values to take" if listed else "write `in:` with the values to take"
            )
        self.report.error(
            "missing-input", f"`{node.op.name}` lacks its input `{missing[0]}`", node.at, help=help, stack=node.stack
        )
        return None

    def _shared(self, node: FlatNode, declared: dict[str, Initial]) -> dict[str, Value] | None:
        """The parameters of the node that `share` names."""
        other = self._shares.get(node.name)
        if other is None:
            return {}
        assert node.share is not None
        built = self.graph.nodes.get(other.name)
        if built is None:
            return None  # a victim
        shared = {}
        for name, initial in declared.items():
            if not initial.is_parameter:
                continue
            value = self.graph.values[built.inputs[name]] if name in built.inputs else None
            found = str(value.type) if value else f"`{other.name}` has no `{name}`"
            if value is None or value.type != initial.type:
                self.report.error(
                    "bad-share", f"`{node.name}` cannot use the parameters of `{other.name}`", node.share.at,
                    f"its `{name}` is {initial.type}; {'that of `' + other.name + '` is ' if value else ''}{found}",
                    help="both nodes need the same op, attributes and sizes", stack=node.stack,
                )  # fmt: skip
                return None
            shared[name] = value
        return shared

    def _initialisers(self, node: FlatNode, declared: dict[str, Initial]) -> dict[str, Any] | None:
        """`init: he_normal`, `{normal: {…}}` for the first parameter; `{weight: …, bias: …}` for those named."""
        tree = node.init
        parameters = [name for name, initial in declared.items() if initial.is_parameter]
        if tree is None:
            return {}
        if not parameters:
            if node.own_init:
                self.report.error(
                    "bad-init",
                    f"`{node.op.name}` has no parameters to start",
                    tree,
                    help="remove `init`",
                    stack=node.stack,
                )
                return None
            return {}
        if isinstance(tree, Mapping) and tree.pairs and all(name in parameters for name in tree.pairs):
            pairs = [(name, value) for name, (_, value) in tree.pairs.items()]
        elif isinstance(tree, Mapping) and len(tree.pairs) > 1:
            unknown = next(key for name, (key, _) in tree.pairs.items() if name not in parameters)
            help = (
                near_names(unknown.text, parameters) or f"its parameters are {', '.join(f'`{p}`' for p in parameters)}"
            )
            self.report.error(
                "bad-init", f"`{node.op.name}` has no parameter `{unknown.text}`", unknown, help=help, stack=node.stack
            )
            return None
        elif (
            isinstance(tree, Mapping)
            and tree.pairs
            and next(iter(tree.pairs)) not in self.components.registry.names("initialiser")
        ):
            ((key, _),) = tree.pairs.values()
            known = [*parameters, *self.components.registry.names("initialiser")]
            self.report.unknown(
                "unknown-initialiser", f"there is no initialiser or parameter `{key.text}`", key.text, known, key,
                help=f"name a parameter ({', '.join(parameters)}) or an initialiser", stack=node.stack,
            )  # fmt: skip
            return None
        else:
            pairs = [(parameters[0], tree)]
        found = {}
        for name, value in pairs:
            if isinstance(value, Scalar) and isinstance(value.value, int | float) and not isinstance(value.value, bool):
                self.report.error(
                    "bad-init", f"`init` takes an initialiser, got {written(value)}", value,
                    help=f"write `{{constant: {{value: {value.text}}}}}`", stack=node.stack,
                )  # fmt: skip
                return None
            made = self.components.one("initialiser", value, node.stack)
            if made is None:
                return None
            try:
                made.check_shape(declared[name].type.shape)
            except FlownetError as error:
                self.report.failure(error, value, stack=node.stack)
                return None
            found[name] = made
        return found

    # -- telling -------------------------------------------------------------------------------------------------------

    def _failed(self, node: FlatNode, given: dict[str, Value], error: Exception) -> None:
        op, notes = node.op, self._provenance(given)
        found = failure_of(op, error)
        if not isinstance(found, FlownetError):
            types = ", ".join(str(value.type) for value in given.values())
            found = FlownetError.of("op-failed", f"`{op.name}` fails on {types}: {type(error).__name__}: {error}")
        if any(d.code == "op-failed" for d in found.diagnostics):
            notes.append(f"the op comes from `{self.components.registry.owner('op', op.name)}`")
        self.report.failure(found, node.at, *notes, stack=node.stack)

    def _provenance(self, given: dict[str, Value]) -> list[str]:
        """Where the inputs come from: "the value comes from `avg_pool_2`, line 15"."""
        notes = []
        for argument, value in given.items():
            what = "the value comes" if len(given) == 1 else f"`{argument}` is {value.type} and comes"
            source = f"`{value.producer}`" if value.producer else f"the input `{value.name}`"
            span = value.origin.span
            notes.append(f"{what} from {source}{f', line {span.line}' if span else ''}")
        return notes[:6]


def _has_parameters(cls: type) -> bool:
    """Whether nodes of the op may have inputs of their own making."""
    return cls.parameters is not Op.parameters or cls.states is not Op.states  # type: ignore[attr-defined]


def _asked_by_declarations(cls: type) -> frozenset[str]:
    """The inputs that an op's `parameters` and `states` look at."""
    found = _ASKED.get(cls)
    if found is None:
        names = set()
        for method in (cls.parameters, cls.states):  # type: ignore[attr-defined]
            for parameter in list(inspect.signature(method).parameters.values())[1:]:
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                    names.add(parameter.name)
        found = _ASKED[cls] = frozenset(names)
    return found


_ASKED: dict[type, frozenset[str]] = {}
