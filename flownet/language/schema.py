"""`flownet schema`: the JSON Schema (draft 2020-12) of graph files, with everything that is installed, for editors.

It knows names and types, and not what depends on other parts of the file: whether a value exists, or whether shapes
fit. In a file with `blocks` or `include` any name may be a block's, so that a misspelt op is found there by `flownet
check` alone.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from flownet.language.components import fields_of, hint_of, is_required
from flownet.language.training import SETTINGS
from flownet.registry import Registry, default_registry
from flownet.types import Symbolic, TensorType

__all__ = ["schema"]

_DOLLAR = {"type": "string", "pattern": "\\$"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_FREE: dict[str, Any] = {}


def schema(registry: Registry | None = None) -> dict[str, Any]:
    """The schema as a dict that `json.dumps` takes."""
    registry = registry or default_registry()
    ops = {name: cls for name, cls in registry.items("op") if getattr(cls, "category", "") != "optimizer"}
    losses = [name for name, cls in ops.items() if cls.category == "loss"]
    metrics = [name for name, cls in ops.items() if cls.category == "metric"]
    optimizers = {name: cls for name, cls in registry.items("op") if getattr(cls, "category", "") == "optimizer"}
    block = {
        "type": "object",
        "properties": {
            "doc": {"type": "string"},
            "args": {"anyOf": [{"type": "object"}, _TEXTS]},
            "inputs": {"anyOf": [{"type": "string"}, _TEXTS]},
            "outputs": {
                "anyOf": [{"type": "string"}, _TEXTS, {"type": "object", "additionalProperties": {"type": "string"}}]
            },
            "nodes": {"type": "array", "items": {"$ref": "#/$defs/node_or_block"}},
        },
        "required": ["nodes"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flownet graph file",
        "type": "object",
        "properties": {
            "flownet": {"const": 1, "description": "the version of the language"},
            "doc": {"type": "string"},
            "include": {
                "anyOf": [{"type": "string"}, _TEXTS],
                "description": "files whose blocks and variables are used here",
            },
            "plugins": {
                "anyOf": [{"type": "string"}, _TEXTS],
                "description": "packages and Python files that the graph needs",
            },
            "vars": {
                "type": ["object", "null"],
                "description": "named values, used as `$name` and in `${expressions}`",
            },
            "blocks": {"type": ["object", "null"], "additionalProperties": block},
            "inputs": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"type": "string", "description": "a type: `float32[N, 1, 28, 28]`"},
            },
            "nodes": {"type": "array", "minItems": 1},
            "outputs": block["properties"]["outputs"],  # type: ignore[index]
            "train": {"$ref": "#/$defs/train"},
        },
        "required": ["inputs", "nodes"],
        "additionalProperties": False,
        "if": {"anyOf": [{"required": ["blocks"]}, {"required": ["include"]}]},
        "then": {"properties": {"nodes": {"items": {"$ref": "#/$defs/node_or_block"}}}},
        "else": {"properties": {"nodes": {"items": {"$ref": "#/$defs/node"}}}},
        "$defs": {
            "values": {
                "description": "values to take: one, a list, or by the op's names for its inputs",
                "anyOf": [{"type": "string"}, _TEXTS, {"type": "object", "additionalProperties": {"type": "string"}}],
            },
            **{f"op.{name}": _attributes(registry, cls, reserved=True) for name, cls in ops.items()},
            **{f"full.{name}": _full(registry, name, cls) for name, cls in ops.items()},
            **{f"optimizer.{name}": _attributes(registry, cls) for name, cls in optimizers.items()},
            **{f"{kind}.{name}": _attributes(registry, cls) for kind in _KINDS for name, cls in registry.items(kind)},
            **{f"dataset.{name}": _dataset(registry, name, cls) for name, cls in registry.items("dataset")},
            **{kind: _choice(kind, registry.items(kind)) for kind in _KINDS},
            "optimizer": _choice("optimizer", optimizers.items()),
            "node": _node(list(ops)),
            "node_or_block": {"anyOf": [{"$ref": "#/$defs/node"}, *_block_use(list(ops))]},
            "train": _train(registry, losses, metrics),
        },
    }


_KINDS = ("initialiser", "schedule", "augmentation")


def _or_expression(found: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [found, _DOLLAR]}


def _described(found: dict[str, Any], cls: type) -> dict[str, Any]:
    text = (cls.__doc__ or "").strip().split("\n\n")[0]
    return (
        {**found, "description": " ".join(text.split())} if text and not text.startswith(f"{cls.__name__}(") else found
    )


def _attributes(registry: Registry, cls: type, reserved: bool = False, extra: Mapping[str, Any] = {}) -> dict[str, Any]:
    fields = fields_of(cls) if dataclasses.is_dataclass(cls) else {}
    properties: dict[str, Any] = dict(_reserved() if reserved else {})
    for name, field in fields.items():
        properties[name] = _field(registry, hint_of(cls, name), field)
    found: dict[str, Any] = {"type": "object", "properties": {**properties, **extra}, "additionalProperties": False}
    if required := [name for name, field in fields.items() if is_required(field)]:
        found["required"] = required
    return _described(found, cls)


def _field(registry: Registry, hint: Any, field: dataclasses.Field) -> dict[str, Any]:
    found = _or_expression(_type(registry, hint))
    default = field.default
    if isinstance(default, bool | int | float | str):
        found["default"] = default
    return found


def _reserved() -> dict[str, Any]:
    return {
        "name": {"type": "string"},
        "in": {"$ref": "#/$defs/values"},
        "repeat": _or_expression({"type": "integer", "minimum": 0}),
        "index": {"type": "string"},
        "device": {"const": "cpu", "description": "NumPy computes the node, whatever the command says"},
        "share": {"type": "string", "description": "use the parameters of that node"},
        "freeze": _or_expression({"type": "boolean"}),
        "init": {
            "anyOf": [
                {"$ref": "#/$defs/initialiser"},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/initialiser"}},
                _DOLLAR,
            ]
        },
    }


def _type(registry: Registry, hint: Any) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    simple = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
    if isinstance(hint, type) and hint in simple:
        return {"type": simple[hint]}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type(registry, argument) for argument in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple and arguments:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return {"type": "array", "items": _or_expression(_type(registry, arguments[0]))}
        items = [_or_expression(_type(registry, argument)) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin is list and arguments:
        return {"type": "array", "items": _or_expression(_type(registry, arguments[0]))}
    if origin is dict or origin is typing.get_origin(typing.Mapping[str, int]):
        return {"type": "object"}
    if hint is TensorType or hint is Symbolic:
        return {"type": "string"}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    for kind in _KINDS:
        if isinstance(hint, type) and any(issubclass(cls, hint) and cls is not hint for _, cls in registry.items(kind)):
            return {"$ref": f"#/$defs/{kind}"}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _attributes(registry, hint)
    return _FREE


def _choice(kind: str, things: Any) -> dict[str, Any]:
    """A name, or a name with its options."""
    things = dict(things)
    forms: dict[str, Any] = {}
    for name, cls in things.items():
        options: list[dict[str, Any]] = [{"type": "null"}, {"$ref": f"#/$defs/{kind}.{name}"}]
        if getattr(cls, "shorthand", None):
            options.append({"type": ["number", "string", "array"]})
        forms[name] = {"anyOf": options}
    mapping = {
        "type": "object",
        "properties": forms,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": list(things)}, mapping, _DOLLAR]}


def _full(registry: Registry, name: str, cls: type) -> dict[str, Any]:
    found = _attributes(registry, cls, reserved=True, extra={"op": {"const": name}})
    return {**found, "required": [*found.get("required", []), "op"]}


def _dataset(registry: Registry, name: str, cls: type) -> dict[str, Any]:
    extra = {"dataset": {"const": name}, "feed": {"type": "object", "additionalProperties": {"type": "string"}}}
    return _attributes(registry, cls, extra=extra)


def _node(ops: list[str]) -> dict[str, Any]:
    """The three forms of a node. The full form picks its op's attributes by the key `op`."""
    short = {name: {"anyOf": [{"type": "null"}, {"$ref": f"#/$defs/op.{name}"}]} for name in ops}
    return {
        "anyOf": [
            {"enum": ops},
            _DOLLAR,
            {
                "type": "object",
                "properties": short,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
            *({"$ref": f"#/$defs/full.{name}"} for name in ops),
            {"type": "object", "properties": {"op": _DOLLAR}, "required": ["op"]},
        ]
    }


def _block_use(ops: list[str]) -> list[dict[str, Any]]:
    other = {"type": "string", "not": {"enum": ops}}
    use = {"type": "object", "properties": _reserved()}
    return [
        other,
        {
            "type": "object",
            "propertyNames": {"not": {"enum": [*ops, *_reserved()]}},
            "additionalProperties": {"anyOf": [{"type": "null"}, use]},
            "minProperties": 1,
            "maxProperties": 1,
        },
        {"type": "object", "properties": {"op": other, **_reserved()}, "required": ["op"]},
    ]


def _train(registry: Registry, losses: list[str], metrics: list[str]) -> dict[str, Any]:
    weighted = {
        "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
        "properties": {name: {"type": ["object", "null"], "properties": {"weight": {}}} for name in losses},
    }  # fmt: skip
    loss = {"anyOf": [{"type": "string"}, weighted, {"$ref": "#/$defs/node"}, {"type": "object", "required": ["op"]}]}
    metric = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/node"}]}
    numbers = {int: {"type": "integer"}, float: {"type": "number"}, str: {"type": "string"}}
    settings = {
        key: {
            "type": ["object", "null"],
            "properties": {name: _or_expression(numbers[type_]) for name, (type_, _) in known.items()},
            "required": [name for name, (_, default) in known.items() if default is ...],
            "additionalProperties": False,
        }
        for key, known in SETTINGS.items()
    }
    datasets = registry.names("dataset")
    return {
        "type": ["object", "null"],
        "properties": {
            "data": {
                "anyOf": [
                    {"enum": datasets},
                    *({"$ref": f"#/$defs/dataset.{name}", "required": ["dataset"]} for name in datasets),
                    {"type": "null"},
                ]
            },
            "loss": {"anyOf": [loss, {"type": "array", "items": loss}]},
            "metrics": {
                "anyOf": [
                    metric,
                    {"type": "array", "items": metric},
                    {"type": "object", "additionalProperties": metric},
                ]
            },
            "optimizer": {"$ref": "#/$defs/optimizer"},
            "schedule": {"anyOf": [{"$ref": "#/$defs/schedule"}, {"type": "null"}]},
            "batch": _or_expression({"type": "integer", "minimum": 1}),
            "epochs": _or_expression({"type": "integer", "minimum": 0}),
            "seed": _or_expression({"type": "integer", "minimum": 0}),
            **settings,
        },
        "required": ["loss", "optimizer"],
        "additionalProperties": False,
    }
