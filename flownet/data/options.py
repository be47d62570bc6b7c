"""From what a graph file says to a frozen dataclass: names and types are checked, all mistakes found in one go."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from flownet.errors import Diagnostic, FlownetError, near_names
from flownet.source import Span

__all__ = ["Locate", "build", "in_words", "nowhere"]

T = TypeVar("T")
Locate = Callable[[tuple[str | int, ...]], Span | None]


def nowhere(path: tuple[str | int, ...]) -> Span | None:
    """The place of options that no file holds: none."""
    return None


def build(cls: type[T], options: Mapping[str, Any], *, what: str, locate: Locate = nowhere, **ready: Any) -> T:
    """`cls(**options)` after a check of names and types by the annotations of the dataclass `cls`.

    what:   how messages call it, with backticks: "dataset `csv`"
    locate: path of keys in `options` -> where the user wrote it
    ready:  options that the caller has converted already

    Raises FlownetError with all of `unknown-option`, `missing-option`, `bad-option` that there are.
    """
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    wrong: list[Diagnostic] = []
    values = dict(ready)
    for name, value in options.items():
        if name not in known:
            help = (
                near_names(str(name), known)
                or f"its options are {', '.join(f'`{k}`' for k in sorted(known)) or 'none'}"
            )
            wrong.append(Diagnostic("unknown-option", f"{what} has no option `{name}`", locate((name,)), help=help))
            continue
        try:
            values[name] = convert(value, hints[name])
        except ValueError as error:
            message = f"option `{name}` of {what} takes {_expected(hints[name])}, got {error}"
            wrong.append(Diagnostic("bad-option", message, locate((name,))))
    for name, field in known.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values and name not in options:
            help = f"add `{name}:`, {_expected(hints[name])}"
            wrong.append(Diagnostic("missing-option", f"{what} needs the option `{name}`", locate(()), help=help))
    if wrong:
        raise FlownetError(wrong)
    try:
        return cls(**values)
    except FlownetError as error:  # from the class's own check of its values
        raise FlownetError(replace(d, span=d.span or locate(())) for d in error.diagnostics) from None


def convert(value: Any, hint: Any) -> Any:
    """`value` as the type `hint`. Raises ValueError, whose text is the value as the user knows it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        for alternative in arguments:
            try:
                return convert(value, alternative)
            except ValueError:
                continue
    elif origin is Literal:
        if any(value is choice or (type(value) is type(choice) and value == choice) for choice in arguments):
            return value
    elif hint is type(None):
        if value is None:
            return None
    elif origin is tuple and isinstance(value, list | tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(convert(item, arguments[0]) for item in value)
        if len(value) == len(arguments):
            return tuple(convert(item, argument) for item, argument in zip(value, arguments, strict=True))
    elif dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        if isinstance(value, Mapping):
            return build(hint, value, what=_expected(hint))  # type: ignore[arg-type, type-var]
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(hint, type) and isinstance(value, hint):
        return value
    raise ValueError(_written(value))


def _written(value: Any) -> str:
    if isinstance(value, str):
        return f"the text `{value}`" if len(value) <= 60 else f"a text of {len(value)} characters"
    if value is None or isinstance(value, bool):
        return f"`{({None: 'null', True: 'true', False: 'false'})[value]}`"
    if isinstance(value, int | float):
        return f"`{value}`"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"`{type(value).__name__}`"


def _expected(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    names = {int: "a whole number", float: "a number", str: "a text", bool: "`true` or `false`", type(None): "null"}
    if hint in names:
        return names[hint]
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(f"`{str(choice).lower() if isinstance(choice, bool) else choice}`" for choice in arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"a list, each {_expected(arguments[0])}"
        return f"a list of {len(arguments)}, each {_expected(arguments[0])}"
    if dataclasses.is_dataclass(hint):
        fields = ", ".join(f"{field.name}: …" for field in dataclasses.fields(hint))
        return f"{{{fields}}}"
    return f"`{getattr(hint, '__name__', hint)}`"


_SINGULAR = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def in_words(hint: Any) -> str:
    """The type of an option as a table says it; whether it may be left out is said by its default.

    >>> in_words(int | tuple[str, ...] | None)
    'whole number or list of texts'
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _SINGULAR:
        return _SINGULAR[hint]
    if origin in (Union, types.UnionType):
        kept = [a for a in arguments if a is not type(None) and not (a is int and float in arguments)]
        return " or ".join(in_words(argument) for argument in kept)
    if origin is Literal:
        return " or ".join(str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in arguments)
    if origin is tuple:
        several = len(arguments) == 2 and arguments[1] is Ellipsis
        one = in_words(arguments[0])
        return f"list of {'' if several else f'{len(arguments)} '}" + " or ".join(f"{o}s" for o in one.split(" or "))
    if dataclasses.is_dataclass(hint) and dataclasses.fields(hint):
        return f"{{{', '.join(f'{field.name}: …' for field in dataclasses.fields(hint))}}}"
    return getattr(hint, "__name__", str(hint)).lower()
