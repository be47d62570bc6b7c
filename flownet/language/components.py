"""A mapping -> an instance of any frozen dataclass, checked by its annotations: one routine for ops, datasets,
optimisers, schedules, initialisers and augmentations, whoever wrote them.

All mistakes are reported, each at its own place: unknown keys with near names, missing ones, values of a wrong type.
What the class itself has against a value (`checked`, `__post_init__`) is placed at the attribute that its message
names.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from flownet.errors import FlownetError, near_names
from flownet.language.report import Report
from flownet.language.tensor_types import read_dim, read_type
from flownet.language.tree import Mapping, Scalar, Tree, plain, written
from flownet.language.tree import Sequence as TreeSequence
from flownet.registry import Registry
from flownet.types import Symbolic, TensorType

__all__ = ["Components", "expected", "fields_of", "hint_of", "named"]

Stack = Sequence[str]


class _WrongType(Exception):
    """A value does not fit its annotation; `at` is the smallest part of it that shows why."""

    def __init__(self, at: Tree, hint: Any) -> None:
        self.at, self.hint = at, hint


class _Reported(Exception):
    """Something is wrong that has been reported already."""


@cache
def fields_of(cls: type) -> dict[str, dataclasses.Field]:
    """The fields that a user can set."""
    return {field.name: field for field in dataclasses.fields(cls) if field.init}


@cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:  # an annotation that only a type checker can resolve
        return {}


def hint_of(cls: type, field: str) -> Any:
    return _hints(cls).get(field, Any)


def is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def named(tree: Tree, report: Report, what: str, example: str, stack: Stack = ()) -> tuple[Scalar, Tree | None] | None:
    """The name and the options of `adam` or `{adam: {…}}`; None after a report."""
    if isinstance(tree, Scalar) and tree.failed:
        return None
    if isinstance(tree, Scalar) and isinstance(tree.value, str):
        return tree, None
    if isinstance(tree, Mapping) and len(tree.pairs) == 1:
        ((key, value),) = tree.pairs.values()
        return (key, None) if isinstance(value, Scalar) and value.value is None and not value.failed else (key, value)
    if isinstance(tree, Mapping) and len(tree.pairs) > 1:
        second = list(tree.pairs.values())[1][0]
        names = ", ".join(f"`{name}`" for name in tree.pairs)
        help = f"keep one; its options stand below it, indented, or in braces: `{{{next(iter(tree.pairs))}: {{…}}}}`"
        report.error("bad-form", f"{what} is one name with its options, got {names}", second, help=help, stack=stack)
        return None
    report.error(
        "bad-form",
        f"{what} is a name, or a name with its options, got {written(tree)}",
        tree,
        help=f"write `{example}`",
        stack=stack,
    )
    return None


class Components:
    """Builds instances of what `registry` holds."""

    def __init__(self, registry: Registry, report: Report) -> None:
        self.registry, self.report = registry, report

    def find(self, kind: str, name: Scalar, stack: Stack = (), category: str | None = None) -> type | None:
        """The class of that name, or None after a report (`unknown-<kind>`) with near names."""
        what = category or kind
        try:
            found = self.registry.find(kind, str(name.value))
        except FlownetError as error:  # two plugins claim the name
            self.report.failure(error, name, stack=stack)
            return None
        if found is not None and (category is None or getattr(found, "category", None) == category):
            return found
        known = [
            n for n, cls in self.registry.items(kind) if category is None or getattr(cls, "category", None) == category
        ]
        notes = (
            [f"`{name.value}` is an op of the chapter `{getattr(found, 'category', '')}`"] if found is not None else []
        )
        for plugin in self.registry.plugins.values():
            if plugin.problem:
                notes.append(f"the plugin `{plugin.name}` could not be loaded: see `flownet plugins`")
        self.report.unknown(
            f"unknown-{what}", f"there is no {what} `{name.value}`", str(name.value), known, name, *notes,
            help=_listing(f"the {what}s are", known), stack=stack,
        )  # fmt: skip
        return None

    def build(
        self,
        cls: type,
        options: Tree | None,
        at: Tree,
        what: str,
        noun: str = "option",
        skip: Iterable[str] = (),
        stack: Stack = (),
    ) -> Any:
        """`cls(**options)`, or None after reports.

        what: how messages call it, with backticks (``op `dense` ``); noun: `attribute` or `option`
        at:   where the name stands, for what is missing
        skip: keys of the mapping that are not the class's business
        """
        if isinstance(options, Scalar) and options.failed:
            return None
        if options is not None and not isinstance(options, Mapping):
            if isinstance(options, Scalar) and options.value is None:
                options = None
            else:
                only = list(fields_of(cls))
                example = f"{{{at_name(at)}: {{{only[0]}: …}}}}" if only else f"{at_name(at)}"
                self.report.error(
                    "bad-form", f"{what} takes its {noun}s as a mapping, got {written(options)}", options,
                    help=f"write `{example}`", stack=stack,
                )  # fmt: skip
                return None
        known = fields_of(cls)
        values: dict[str, Any] = {}
        failed = False
        pairs = options.pairs if options is not None else {}
        for name, (key, value) in pairs.items():
            if name in skip:
                continue
            field = known.get(name)
            if field is None:
                self._unknown(cls, key, what, noun, skip, stack)
                failed = True
                continue
            try:
                values[name] = self.convert(value, hint_of(cls, name), stack)
            except _Reported:
                failed = True
            except _WrongType as error:
                failed = True
                self._wrong_type(error, name, what, noun, stack)
            except FlownetError as error:
                failed = True
                self.report.failure(error, value, stack=stack)
        for name, field in known.items():
            if is_required(field) and name not in pairs:
                failed = True
                if any(key not in known and key not in skip and near_names(key, [name]) for key in pairs):
                    continue  # misspelt, which has been said
                self.report.error(
                    f"missing-{noun}", f"{what} needs the {noun} `{name}`", at,
                    help=f"add `{name}:`, {expected(hint_of(cls, name))}", stack=stack,
                )  # fmt: skip
        return None if failed else self._make(cls, values, options, at, what, stack)

    def _make(self, cls: type, values: dict[str, Any], options: Tree | None, at: Tree, what: str, stack: Stack) -> Any:
        try:
            made = cls(**values)
            if hasattr(made, "checked"):
                made.checked()
            hash(made)  # ops are compared and cached by their attributes
            return made
        except FlownetError as error:
            for d in error.diagnostics:
                self.report.failure(FlownetError(d), _named_in(d.message, options) or at, stack=stack)
        except Exception as error:  # a plugin's class may fail in any way
            self.report.error(
                "op-failed", f"{what} refuses its attributes: {type(error).__name__}: {error}", at, stack=stack
            )
        return None

    def _unknown(self, cls: type, key: Scalar, what: str, noun: str, skip: Iterable[str], stack: Stack) -> None:
        known = list(fields_of(cls))
        help = (
            _unspaced(key.text, known)
            or near_names(key.text, known)
            or near_names(key.text, skip)
            or _listing(f"its {noun}s are", known)
            or f"it takes no {noun}s"
        )
        self.report.error(f"unknown-{noun}", f"{what} has no {noun} `{key.text}`", key, help=help, stack=stack)

    def _wrong_type(self, error: _WrongType, name: str, what: str, noun: str, stack: Stack) -> None:
        got = written(error.at)
        self.report.error(
            f"bad-{noun}", f"`{name}` of {what} takes {expected(error.hint)}, got {got}", error.at,
            help=_advice(error.at, error.hint), stack=stack,
        )  # fmt: skip

    # -- values --------------------------------------------------------------------------------------------------------

    def convert(self, tree: Tree, hint: Any, stack: Stack = ()) -> Any:
        """`tree` as the type `hint`."""
        if isinstance(tree, Scalar):
            if tree.failed:
                raise _Reported
            value = tree.value
            if type(value) is hint:  # the usual case
                return value
        origin, arguments = get_origin(hint), get_args(hint)
        if hint is Any or hint is object or isinstance(hint, typing.TypeVar):
            return _frozen(plain(tree))
        if origin in (Union, types.UnionType):
            return self._union(tree, hint, arguments, stack)
        if origin is Literal:
            value = tree.value if isinstance(tree, Scalar) else _WrongType
            for choice in arguments:
                if type(value) is type(choice) and value == choice:
                    return choice
            raise _WrongType(tree, hint)
        if origin in (tuple, list) or hint in (tuple, list) or origin is typing.get_origin(Sequence[int]):
            return self._tuple(tree, hint, arguments, stack)
        if origin is dict or hint is dict or origin is typing.get_origin(typing.Mapping[str, int]):
            if not isinstance(tree, Mapping):
                raise _WrongType(tree, hint)
            of = arguments[1] if len(arguments) == 2 else Any
            return {name: self.convert(value, of, stack) for name, (_, value) in tree.pairs.items()}
        if hint is TensorType:
            if not (isinstance(tree, Scalar) and isinstance(tree.value, str)):
                raise _WrongType(tree, hint)
            return read_type(tree.value)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._enum(tree, hint)
        if dataclasses.is_dataclass(hint) or self._kind_of(hint) is not None:
            return self._component(tree, hint, stack)
        return _scalar(tree, hint)

    def _union(self, tree: Tree, hint: Any, alternatives: tuple, stack: Stack) -> Any:
        if isinstance(tree, Scalar) and tree.value is None and type(None) in alternatives:
            return None
        wrong: _WrongType | None = None
        # lists and mappings name their own mistakes best: let the alternative that has their form speak
        for alternative in sorted(
            alternatives, key=lambda a: (get_origin(a) in (tuple, list)) != isinstance(tree, TreeSequence)
        ):
            try:
                return self.convert(tree, alternative, stack)
            except _WrongType as error:
                if error.at is not tree:
                    wrong = wrong or error
        raise wrong or _WrongType(tree, hint)

    def _tuple(self, tree: Tree, hint: Any, arguments: tuple, stack: Stack) -> Any:
        if not isinstance(tree, TreeSequence):
            raise _WrongType(tree, hint)
        if get_origin(hint) is not tuple or (len(arguments) == 2 and arguments[1] is Ellipsis):
            item_hints = [arguments[0] if arguments else Any] * len(tree.items)
        else:
            item_hints = list(arguments)
        if len(item_hints) != len(tree.items):
            raise _WrongType(tree, hint)
        converted, failed = [], False
        for item, item_hint in zip(tree.items, item_hints, strict=True):
            try:
                converted.append(self.convert(item, item_hint, stack))
            except _Reported:
                failed = True  # and look at the others too
        if failed:
            raise _Reported
        return tuple(converted)

    def _enum(self, tree: Tree, hint: type[enum.Enum]) -> Any:
        for member in hint:
            if isinstance(tree, Scalar) and tree.value in (member.value, member.name):
                return member
        raise _WrongType(tree, hint)

    def _kind_of(self, hint: Any) -> str | None:
        """The kind of registered things that are instances of `hint`: `initialiser` for Initialiser."""
        if not isinstance(hint, type) or hint in (int, float, str, bool):
            return None
        for kind in ("initialiser", "augmentation", "schedule", "op"):
            for _, cls in self.registry.items(kind):
                if isinstance(cls, type) and issubclass(cls, hint) and cls is not hint:
                    return kind
        return None

    def _component(self, tree: Tree, hint: type, stack: Stack) -> Any:
        kind = self._kind_of(hint)
        if kind is None:
            made = (
                self.build(hint, tree, tree, f"`{hint.__name__.lower()}`", stack=stack)
                if isinstance(tree, Mapping)
                else None
            )
            if not isinstance(tree, Mapping):
                raise _WrongType(tree, hint)
        else:
            made = self.one(kind, tree, stack)
        if made is None:
            raise _Reported
        return made

    def one(self, kind: str, tree: Tree, stack: Stack = (), category: str | None = None) -> Any:
        """The thing that `name` or `{name: {options}}` declares, or None after reports."""
        what = category or kind
        found = named(
            tree,
            self.report,
            f"{_article(what)} {what}",
            f"{{{_example(self.registry, kind, category)}: {{…}}}}",
            stack,
        )
        if found is None:
            return None
        name, options = found
        cls = self.find(kind, name, stack, category)
        if cls is None:
            return None
        shorthand = getattr(cls, "shorthand", None)
        if isinstance(options, Scalar | TreeSequence) and shorthand and not getattr(options, "failed", False):
            options = Mapping(
                options.file,
                options.place,
                {shorthand: (Scalar(options.file, options.place, shorthand, shorthand), options)},
            )
        return self.build(cls, options, name, f"{what} `{name.value}`", stack=stack)


def at_name(at: Tree) -> str:
    return at.text if isinstance(at, Scalar) else "…"


def _example(registry: Registry, kind: str, category: str | None) -> str:
    for name, cls in registry.items(kind):
        if category is None or getattr(cls, "category", None) == category:
            return name
    return "name"


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _listing(start: str, names: list[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:12])
    return f"{start} {shown}{', …' if len(names) > 12 else ''}"


def _scalar(tree: Tree, hint: Any) -> Any:
    value = tree.value if isinstance(tree, Scalar) else _WrongType
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is Symbolic and isinstance(value, str):
        return read_dim(value)
    if hint is type(None) and value is None:
        return None
    if isinstance(hint, type) and isinstance(value, hint) and not (hint in (int, float) and isinstance(value, bool)):
        return value
    raise _WrongType(tree, hint)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _unspaced(key: str, known: Iterable[str]) -> str:
    """What `units:2` and `units 2` should be: YAML takes them for keys without a value."""
    match = re.fullmatch(r"(\w+)(?::| )\s*(\S.*)", key)
    return f"write `{match[1]}: {match[2]}`, with a colon and a space" if match and match[1] in known else ""


def _named_in(message: str, options: Tree | None) -> Tree | None:
    """The value of the attribute whose name stands in backticks in a message."""
    if isinstance(options, Mapping):
        for name in re.findall(r"`(\w+)", message):
            if (value := options.get(name)) is not None:
                return value
    return None


def _advice(at: Tree, hint: Any) -> str:
    if not isinstance(at, Scalar):
        return ""
    value, wanted = at.value, set(_leaves(hint))
    if isinstance(value, str):
        if bool in wanted and value.lower() in ("yes", "on", "y", "no", "off", "n"):
            return f"write `{'true' if value.lower() in ('yes', 'on', 'y') else 'false'}`"
        choices = [leaf for leaf in wanted if isinstance(leaf, str)]
        if near := near_names(value, choices):
            return near
        if wanted & {int, float}:
            if re.search(r"[-+*/]", value) and re.search(r"\d", value):
                return "arithmetic is written `${…}`"
            if re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", value):
                return "remove the quotes"
    if isinstance(value, float) and int in wanted and value.is_integer():
        return f"write `{int(value)}`; in an expression `//` divides to a whole number"
    return ""


def _leaves(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        for argument in get_args(hint):
            yield from _leaves(argument)
    elif get_origin(hint) is Literal:
        yield from get_args(hint)
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        yield from (str(member.value) for member in hint)
    else:
        yield hint


def expected(hint: Any) -> str:
    """A type in a user's words.

    >>> expected(int | tuple[int, int])
    'a whole number or a list of 2, each a whole number'
    """
    origin, arguments = get_origin(hint), get_args(hint)
    words = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "`true` or `false`",
        type(None): "`null`",
        Any: "a value",
    }
    if isinstance(hint, type | type(Any)) and hint in words:
        return words[hint]
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(expected(argument) for argument in arguments))
    if origin is Literal:
        return " or ".join(f"`{str(choice).lower() if isinstance(choice, bool) else choice}`" for choice in arguments)
    if origin is tuple and arguments and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return f"a list of {len(arguments)}, each {expected(arguments[0])}"
    if origin in (tuple, list) and arguments:
        return f"a list, each {expected(arguments[0])}"
    if hint in (tuple, list) or origin is typing.get_origin(Sequence[int]):
        return "a list"
    if hint is dict or origin in (dict, typing.get_origin(typing.Mapping[str, int])):
        return "a mapping"
    if hint is TensorType:
        return "a tensor type such as `float32[N, 3]`"
    if hint is Symbolic:
        return "a symbol"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "one of " + ", ".join(f"`{member.value}`" for member in hint)
    if dataclasses.is_dataclass(hint) and not getattr(hint, "name", None) and fields_of(hint):  # type: ignore[arg-type]
        return f"{{{', '.join(f'{name}: …' for name in fields_of(hint))}}}"  # type: ignore[arg-type]
    return f"{_article(hint.__name__.lower())} {hint.__name__.lower()}" if isinstance(hint, type) else "a value"
