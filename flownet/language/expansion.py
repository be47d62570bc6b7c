"""Blocks, repeats and expressions undone: a flat list of nodes, each with its path for a name.

Names are resolved late (`Targets` are followed by `resolve`), so that a node may use one that stands below it. A scope
is the top of the file or the inside of one use of a block; it sees its own nodes and inputs and nothing of what is
around it.

Automatic names count the nodes of an op within their scope: the third `dense` is `dense_3`, named ones counted too, so
that giving one node a name renames no other (weights are stored under these names). A repeated node is a folder of its
repetitions: `stage/0`, `stage/1`, …; what stands in a block is below the name of its use: `stage/0/conv2d_1`.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from flownet.errors import FlownetError, near_names
from flownet.language.blocks import Block
from flownet.language.components import Components, fields_of
from flownet.language.expressions import resolve
from flownet.language.lookup import Lookup
from flownet.language.node_forms import RESERVED, NodeForm, read_node
from flownet.language.report import Report
from flownet.language.scopes import FIRST, UNKNOWN, Entity, FlatNode, Instance, Ref, Scope, Target, alias, as_target
from flownet.language.tree import Mapping as TreeMapping
from flownet.language.tree import Scalar, Tree, plain, written
from flownet.language.tree import Sequence as TreeSequence

__all__ = ["Expansion"]

MAX_NODES = 200_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*")


class Expansion:
    """Makes the flat list. `nodes` holds it, `entities` everything that has a path."""

    def __init__(
        self, blocks: Mapping[str, Block], components: Components, report: Report, broken: Collection[str] = ()
    ) -> None:
        self.blocks, self.components, self.report = blocks, components, report
        self.broken = broken  # blocks that are declared, and wrong
        self.nodes: list[FlatNode] = []
        self.entities: dict[str, Entity | None] = {}
        self.used_blocks: set[str] = set()
        self.resolve = Lookup(self.entities, report).resolve
        self._forms: dict[int, NodeForm | None] = {}
        self._ops: dict[int, Any] = {}
        self._full = False

    # -- a list of nodes -----------------------------------------------------------------------------------------------

    def sequence(self, trees: Iterable[Tree], scope: Scope) -> Entity | Target | None:
        """Expand the nodes of a scope; what the last one makes, None when it failed or there is none."""
        previous: Entity | Target | None = None
        first = True
        for tree in trees:
            previous = self.node(tree, scope, previous, first)
            first = False
            if self._full:
                return None
        return previous

    def node(self, tree: Tree, scope: Scope, previous: Entity | Target | None, first: bool) -> Entity | Target | None:
        """Expand one node, which takes `previous` unless it says `in`."""
        form = self._form(tree, scope)
        if form is None:
            return None
        op = resolve(form.op, scope.names, self.report, scope.stack) if form.op.dynamic else form.op
        if not isinstance(op, Scalar) or op.failed:
            return None
        if not isinstance(op.value, str):
            self.report.error("bad-node", f"an op's name is a text, got {written(op)}", form.op, stack=scope.stack)
            return None
        options = form.options
        head: Tree | None = options
        if options is not None and options.dynamic:
            own = {key: options.pairs[key] for key in RESERVED if key in options.pairs and key not in ("init", "share")}
            head = resolve(TreeMapping(options.file, options.place, own), scope.names, self.report, scope.stack)
        assert head is None or isinstance(head, TreeMapping)
        name = self._name(op, head, scope)
        inputs, chained = self._inputs(head, scope, previous, first, op)
        repeat, index = self._repeat(head, scope)
        entity: Entity | Target | None = None
        if name is not None and repeat is None and not (head is not None and head.get("repeat")):
            entity = self._one(op, form, scope, name, scope.names, scope.stack, inputs, chained)
        elif name is not None and repeat is not None:
            entity = self._repeated(op, form, scope, name, repeat, index, inputs, chained)
        if name is not None:
            self._enter(name, entity, op, scope)
        elif (
            head is None or head.get("repeat") is None
        ):  # it has no place in the graph, and its own mistakes all the same
            self._check_attributes(op, options, scope)
        return entity

    def _form(self, tree: Tree, scope: Scope) -> NodeForm | None:
        # a block's body is read once, however often it is used
        if id(tree) not in self._forms:
            self._forms[id(tree)] = read_node(tree, self.report, scope.stack)
        return self._forms[id(tree)]

    def _enter(self, name: str, entity: Any, op: Scalar, scope: Scope) -> None:
        kept = entity if isinstance(entity, FlatNode | Instance) or entity is None else alias(name, entity, op)
        scope.entities[name] = kept
        self.entities[scope.path(name)] = kept

    # -- the reserved keys ---------------------------------------------------------------------------------------------

    def _name(self, op: Scalar, head: TreeMapping | None, scope: Scope) -> str | None:
        base = op.value.rsplit("/", 1)[-1]
        scope.counts[base] = number = scope.counts.get(base, 0) + 1
        given = head.get("name") if head is not None else None
        if given is None:
            name, at = f"{base}_{number}", op
        else:
            if isinstance(given, Scalar) and given.failed:
                return None
            if not (isinstance(given, Scalar) and isinstance(given.value, str) and _NAME.fullmatch(given.value)):
                self.report.error(
                    "bad-name",
                    f"{written(given)} cannot be the name of a node",
                    given,
                    help="take letters, digits, `_` and `-`, a letter first; `/` stands between the parts of a path",
                    stack=scope.stack,
                )
                return None
            name, at = given.value, given
        if name in scope.entities or name in scope.inputs or scope.path(name) in self.entities:
            what = "an input" if name in scope.inputs else "a node"
            other = self.entities.get(scope.path(name))
            notes = [f"the other one stands in line {other.at.line}"] if other is not None and other.at.line else []
            help = (
                "give one of them another `name`"
                if given is not None
                else f"give one of them a `name`: `{name}` is the automatic one"
            )
            self.report.error(
                "duplicate-name", f"there is {what} called `{name}` already", at, *notes, help=help, stack=scope.stack
            )
            return None
        return name

    def _inputs(
        self, head: TreeMapping | None, scope: Scope, previous: Entity | Target | None, first: bool, op: Scalar
    ) -> tuple[list[tuple[str | None, Target | None, Tree]], bool]:
        given = head.get("in") if head is not None else None
        above: list[tuple[str | None, Target | None, Tree]] = []
        if not first:
            above = [(None, as_target(previous), op)]
        elif len(scope.inputs) == 1 or UNKNOWN in scope.inputs:
            above = [(None, next(iter(scope.inputs.values())), op)]
        if given is None:
            return above, True
        found = self.read_inputs(given, scope)
        if isinstance(given, TreeMapping):
            found = [(FIRST, target, at) for _, target, at in above] + found
        return found, False

    def read_inputs(self, tree: Tree, scope: Scope) -> list[tuple[str | None, Target | None, Tree]]:
        """What `in:` says: a value, a list of values, or a mapping from input names to values."""
        match tree:
            case Scalar():
                return [(None, self._ref(tree, scope), tree)]
            case TreeSequence():
                return [(None, self._ref(item, scope), item) for item in tree.items]
            case TreeMapping():
                return [(name, self._ref(value, scope), key) for name, (key, value) in tree.pairs.items()]
        raise AssertionError(tree)

    def _ref(self, tree: Tree, scope: Scope) -> Ref | None:
        if isinstance(tree, Scalar) and tree.failed:
            return None
        if isinstance(tree, Scalar) and isinstance(tree.value, str):
            return Ref(scope, tree.value, tree)
        self.report.error(
            "bad-input", f"`in` names values, got {written(tree)}", tree,
            help="write `in: x`, `in: [a, b]` or `in: {input: value}`", stack=scope.stack,
        )  # fmt: skip
        return None

    def _repeat(self, head: TreeMapping | None, scope: Scope) -> tuple[int | None, str]:
        if head is None:
            return None, "index"
        index = head.get("index")
        tree = head.get("repeat")
        name = "index"
        if index is not None and not (isinstance(index, Scalar) and index.failed):
            if isinstance(index, Scalar) and isinstance(index.value, str) and index.value.isidentifier():
                name = index.value
            else:
                help = "write `index: i`, and `$i` where it is wanted"
                self.report.error(
                    "bad-repeat", f"`index` names a variable, got {written(index)}", index, help=help, stack=scope.stack
                )
            if tree is None:
                self.report.error(
                    "bad-repeat",
                    "`index` stands without `repeat`",
                    head.key("index"),
                    help="add `repeat:`, or remove it",
                    stack=scope.stack,
                )
        if tree is None or (isinstance(tree, Scalar) and tree.failed):
            return None, name
        if (
            isinstance(tree, Scalar)
            and isinstance(tree.value, int)
            and not isinstance(tree.value, bool)
            and tree.value >= 0
        ):
            return tree.value, name
        self.report.error(
            "bad-repeat", f"`repeat` takes a whole number of 0 or more, got {written(tree)}", tree, stack=scope.stack
        )
        return None, name

    def _repeated(
        self, op: Scalar, form: NodeForm, scope: Scope, name: str, repeat: int, index: str, inputs: list, chained: bool
    ) -> Entity | Target | None:
        """`repeat` copies in a chain: each takes the one before it for its first input, the others as given."""
        entity: Entity | Target | None = inputs[0][1] if inputs else None
        for i in range(repeat):
            names = ChainMap({index: i}, scope.names)  # type: ignore[arg-type]
            stack = (f"in repetition {i + 1} of {repeat} of `{scope.path(name)}`, where `{index}` is {i}", *scope.stack)
            path = f"{name}/{i}"
            entity = self._one(op, form, scope, path, names, stack, inputs, chained)
            self._enter(path, entity, op, scope)
            if self._full or entity is None:
                return None
            first = inputs[0] if inputs else (None, None, op)
            inputs = [(first[0], as_target(entity), first[2]), *inputs[1:]]
        return entity

    # -- one node ------------------------------------------------------------------------------------------------------

    def _one(
        self,
        op: Scalar,
        form: NodeForm,
        scope: Scope,
        name: str,
        names: Mapping[str, Any],
        stack: tuple[str, ...],
        inputs: list[tuple[str | None, Target | None, Tree]],
        chained: bool,
    ) -> Entity | None:
        if len(self.nodes) >= MAX_NODES:
            if not self._full:
                self.report.error(
                    "too-many-nodes",
                    f"the graph has more than {MAX_NODES} nodes",
                    op,
                    help="lower `repeat`",
                    stack=stack,
                )
            self._full = True
            return None
        options: Tree | None = form.options
        if options is not None and options.dynamic:
            options = resolve(options, names, self.report, stack)
        assert options is None or isinstance(options, TreeMapping)
        block = self.blocks.get(op.value)
        if block is not None:
            return self._instance(block, op, options, scope, name, stack, inputs, chained)
        if op.value in self.broken:
            return None
        cls = self._op_class(op, stack)
        if cls is None:
            return None
        key = id(form)
        if options is form.options and not form.op.dynamic and key in self._ops:
            made = self._ops[key]
        else:
            made = self.components.build(cls, options, op, f"`{op.value}`", "attribute", RESERVED, stack)
            if options is form.options and not form.op.dynamic:
                self._ops[key] = made
        node = FlatNode(scope.path(name), made, inputs, op, stack, chained=chained)
        self._settings(node, options, scope, stack)
        self.nodes.append(node)
        return node

    def _check_attributes(self, op: Scalar, options: TreeMapping | None, scope: Scope) -> None:
        if op.value in self.blocks or op.value in self.broken:
            return
        cls = self._op_class(op, scope.stack)
        if options is not None and options.dynamic:
            resolved = resolve(options, scope.names, self.report, scope.stack)
            options = resolved if isinstance(resolved, TreeMapping) else None
        if cls is not None:
            self.components.build(cls, options, op, f"`{op.value}`", "attribute", RESERVED, scope.stack)

    def _op_class(self, op: Scalar, stack: tuple[str, ...]) -> type | None:
        try:
            cls = self.components.registry.find("op", op.value)
        except FlownetError as error:  # two plugins claim the name
            self.report.failure(error, op, stack=stack)
            return None
        if cls is not None and getattr(cls, "category", None) != "optimizer":
            return cls
        known = [*self.components.registry.names("op"), *self.blocks]
        notes = [
            f"the plugin `{p.name}` could not be loaded: see `flownet plugins`"
            for p in self.components.registry.plugins.values()
            if p.problem
        ]
        if cls is not None:
            self.report.error(
                "unknown-op",
                f"`{op.value}` is an optimiser, no node",
                op,
                help="it stands in `train: optimizer:`",
                stack=stack,
            )
            return None
        self.report.unknown(
            "unknown-op", f"there is no op or block `{op.value}`", op.value, known, op, *notes,
            help="`flownet op list` lists the ops; blocks stand in `blocks:`", stack=stack,
        )  # fmt: skip
        return None

    def _settings(self, node: FlatNode, options: TreeMapping | None, scope: Scope, stack: tuple[str, ...]) -> None:
        node.freeze, node.device, node.init = scope.freeze, scope.device, scope.init
        if isinstance(scope.share, str) and scope.outer is not None:
            local = node.name[len(scope.prefix) + 1 :]
            node.share = Ref(scope.outer, f"{scope.share}/{local}", node.at)
        if options is None:
            return
        freeze, device, share, init = self._common(options, stack)
        node.freeze = node.freeze if freeze is None else freeze
        node.device = device or node.device
        if init is not None:
            node.init, node.own_init = init, True
        if share is not None:
            node.share = Ref(scope, share.value, share)

    def _common(
        self, options: TreeMapping, stack: tuple[str, ...]
    ) -> tuple[bool | None, str | None, Scalar | None, Tree | None]:
        freeze = self._typed(options, "freeze", bool, "`true` or `false`", stack)
        device = self._typed(options, "device", str, "`cpu`, where NumPy computes", stack)
        if device is not None and device.value != "cpu":
            self.report.unknown(
                "unknown-device", f"a node runs where the command says, or on `cpu`: there is no `{device.value}` for it", device.value,
                ["cpu"], device, help="`--device` says where all other nodes run", stack=stack,
            )  # fmt: skip
        share = self._typed(options, "share", str, "the name of a node", stack)
        return (
            freeze.value if freeze else None, device.value if device else None, share, options.get("init"),
        )  # fmt: skip

    def _typed(self, options: TreeMapping, key: str, type_: type, what: str, stack: tuple[str, ...]) -> Scalar | None:
        tree = options.get(key)
        if tree is None or (isinstance(tree, Scalar) and tree.failed):
            return None
        if isinstance(tree, Scalar) and isinstance(tree.value, type_):
            return tree
        self.report.error("bad-attribute", f"`{key}` takes {what}, got {written(tree)}", tree, stack=stack)
        return None

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _instance(
        self,
        block: Block,
        op: Scalar,
        options: TreeMapping | None,
        scope: Scope,
        name: str,
        stack: tuple[str, ...],
        inputs: list[tuple[str | None, Target | None, Tree]],
        chained: bool,
    ) -> Instance | None:
        self.used_blocks.add(block.name)
        if block.name in scope.blocks:
            circle = " → ".join([*scope.blocks[scope.blocks.index(block.name) :], block.name])
            self.report.error(
                "recursive-block",
                f"the block `{block.name}` contains itself",
                op,
                circle,
                help="use `repeat`",
                stack=stack,
            )
            return None
        where = f" at {op.span}" if op.span else ""
        stack = (f"in block `{block.name}`, used as `{scope.path(name)}`{where}", *stack)
        names = self._arguments(block, op, options, scope, stack)
        bound = self._bind_inputs(block, op, inputs, chained, stack)
        if names is None or bound is None:
            return None
        inner = Scope(
            scope.path(name), names, bound, stack, (*scope.blocks, block.name), None,
            scope.freeze, scope.init, scope.device, scope,
        )  # fmt: skip
        if isinstance(scope.share, str):
            inner.share, inner.outer = f"{scope.share}/{name}", scope.outer
        if options is not None:
            freeze, device, share, init = self._common(options, stack)
            inner.freeze = inner.freeze if freeze is None else freeze
            inner.device = device or inner.device
            inner.init = init if init is not None else inner.init
            if share is not None:
                inner.share, inner.outer = share.value, scope
        last = self.sequence(block.nodes, inner)
        outputs = {output: Ref(inner, value.value, value) for output, value in block.outputs.items()}
        if not outputs:
            if last is None:
                return Instance(scope.path(name), op, {}, failed=True)
            outputs = {"y": as_target(last)}  # type: ignore[dict-item]
        return Instance(scope.path(name), op, dict(outputs))

    def _arguments(
        self, block: Block, op: Scalar, options: TreeMapping | None, scope: Scope, stack: tuple[str, ...]
    ) -> Mapping[str, Any] | None:
        values: dict[str, Any] = {}
        names: Mapping[str, Any] = ChainMap(values, block.names)  # type: ignore[arg-type]
        failed = False
        for name, (key, value) in (options.pairs if options is not None else {}).items():
            if name in RESERVED:
                continue
            if name not in block.args:
                failed = True
                known = ", ".join(f"`{a}`" for a in block.args)
                help = near_names(name, block.args) or (
                    f"its arguments are {known}" if known else "it takes no arguments"
                )
                self.report.error(
                    "unknown-argument",
                    f"the block `{block.name}` has no argument `{name}`",
                    key,
                    help=help,
                    stack=stack[1:],
                )
            elif isinstance(value, Scalar) and value.failed:
                failed = True
            else:
                values[name] = plain(value)
        for name, default in block.args.items():
            if name in values:
                continue
            if options is not None and name in options.pairs:
                failed = True
            elif default is None:
                failed = True
                unknown = [key for key in (options.pairs if options else ()) if key not in (*block.args, *RESERVED)]
                if any(near_names(key, [name]) for key in unknown):
                    continue  # misspelt, which has been said
                self.report.error(
                    "missing-argument",
                    f"the block `{block.name}` needs the argument `{name}`",
                    op,
                    help=f"add `{name}:`",
                    stack=stack[1:],
                )
            else:
                given = resolve(default, names, self.report, stack)
                if isinstance(given, Scalar) and given.failed:
                    failed = True
                values[name] = plain(given)
        return None if failed else names

    def _bind_inputs(
        self, block: Block, op: Scalar, inputs: list, chained: bool, stack: tuple[str, ...]
    ) -> dict[str, Target | None] | None:
        bound: dict[str, Target | None] = {}
        wanted = list(block.inputs)
        named = {argument for argument, _, _ in inputs}
        for position, (argument, target, at) in enumerate(inputs):
            if argument == FIRST:
                if wanted and wanted[0] not in named:
                    bound[wanted[0]] = target
                continue
            if argument is None:
                if position >= len(wanted):
                    listed = f" ({', '.join(wanted)})" if wanted else ""
                    if not (chained and not wanted):
                        message = f"the block `{block.name}` takes {len(wanted)} inputs{listed}, got {len(inputs)}"
                        self.report.error("surplus-input", message, at, stack=stack[1:])
                        return None
                    continue
                argument = wanted[position]
            elif argument not in wanted:
                help = near_names(argument, wanted) or f"its inputs are {', '.join(wanted)}"
                self.report.error(
                    "unknown-input",
                    f"the block `{block.name}` has no input `{argument}`",
                    at,
                    help=help,
                    stack=stack[1:],
                )
                return None
            bound[argument] = target
        if missing := [name for name in wanted if name not in bound]:
            help = f"write `in: [{', '.join(wanted)}]` with the values to take"
            self.report.error(
                "missing-input",
                f"the block `{block.name}` lacks its input `{missing[0]}`",
                op,
                help=help,
                stack=stack[1:],
            )
            return None
        return {name: bound[name] for name in wanted}

    def check_unused(self, block: Block) -> None:
        """Check what can be checked of a block that nobody uses: forms, ops and the names of attributes."""
        for tree in block.nodes:
            form = read_node(tree, self.report)
            if form is None or form.op.dynamic or form.op.value in self.blocks or form.op.value in self.broken:
                continue
            cls = self._op_class(form.op, ())
            for name, (key, _) in (form.options.pairs if cls and form.options else {}).items():
                if name not in RESERVED and name not in fields_of(cls) and not key.dynamic:  # type: ignore[arg-type]
                    self.components._unknown(cls, key, f"`{form.op.value}`", "attribute", RESERVED, ())  # type: ignore[arg-type]
