"""Numbers, texts, lists and mappings -> YAML that reads back as the same, short ones on one line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from flownet.errors import FlownetError
from flownet.language.scalars import resolve_scalar

__all__ = ["to_flow", "to_yaml"]

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+-]*")
_WIDEST = 116
_DEEPEST = 100


def to_flow(value: Any, depth: int = 0) -> str:
    """One line: `{units: 8, bias: true}`. Raises FlownetError (`bad-value`) for what YAML cannot hold."""
    if depth > _DEEPEST:
        raise FlownetError.of("nested-too-deep", f"lists and mappings are nested more than {_DEEPEST} levels deep")
    if value is None:
        return "null"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)}: {to_flow(v, depth + 1)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple | np.ndarray):
        return "[" + ", ".join(to_flow(item, depth + 1) for item in value) + "]"
    if hasattr(value, "__fspath__"):
        return _text(str(value))
    raise FlownetError.of(
        "bad-value",
        f"a graph cannot hold a value of type `{type(value).__name__}`",
        help="use numbers, texts, lists and dicts",
    )


def _key(key: Any) -> str:
    if not isinstance(key, str | int | float | bool) or (isinstance(key, float) and not math.isfinite(key)):
        raise FlownetError.of(
            "bad-key", f"a value of type `{type(key).__name__}` cannot be a key", help="keys are texts"
        )
    return to_flow(key)


def _number(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return repr(value)


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and resolve_scalar(value) == value:
        return value
    # YAML's double quotes take JSON's escapes; control characters and lone surrogates must not stand as they are
    return json.dumps(value, ensure_ascii=not value.isprintable())


def to_yaml(value: Mapping[str, Any]) -> str:
    """A document: mappings and lists that are short stand on one line, others are indented below their key."""
    return "".join(_block(value, 0, 0))


def _block(value: Any, indent: int, depth: int) -> list[str]:
    pad = " " * indent
    if depth > _DEEPEST:
        raise FlownetError.of("nested-too-deep", f"lists and mappings are nested more than {_DEEPEST} levels deep")
    lines = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            lines += _entry(f"{pad}{_key(key)}:", inner, indent, depth)
        return lines
    for item in value:
        flow = to_flow(item)
        if len(flow) + indent + 2 <= _WIDEST or not isinstance(item, Mapping | list | tuple) or not item:
            lines.append(f"{pad}- {flow}\n")
        else:
            inner_lines = _block(item, indent + 2, depth + 1)
            lines.append(f"{pad}- {inner_lines[0].lstrip(' ')}")
            lines += inner_lines[1:]
    return lines


def _entry(head: str, value: Any, indent: int, depth: int) -> list[str]:
    branching = isinstance(value, Mapping | list | tuple) and len(value) > 0
    nested = branching and any(
        isinstance(v, Mapping | list | tuple) for v in (value.values() if isinstance(value, Mapping) else value)
    )
    if not (branching and depth == 0 and nested):
        flow = to_flow(value)
        if not branching or len(head) + 1 + len(flow) <= _WIDEST:
            return [f"{head} {flow}\n"]
    return [f"{head}\n", *_block(value, indent + 2, depth + 1)]
