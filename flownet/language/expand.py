"""`flownet expand`: a document in full form, every node as `{name, op, in, attributes}`, after blocks, repeats and
expressions.

The text loads again to the same graph, and expands to itself.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from flownet.language.components import fields_of
from flownet.language.document import Declaration, Document, TrainSection
from flownet.language.writing import to_yaml
from flownet.types import Symbolic, TensorType

__all__ = ["expand", "written_value"]


def expand(document: Document) -> str:
    """The document as a YAML text in full form."""
    graph = document.graph
    whole: dict[str, Any] = {"flownet": 1}
    if document.plugins:
        whole["plugins"] = list(document.plugins)
    whole["inputs"] = {value.name: str(value.type) for value in graph.inputs}
    whole["nodes"] = [_node(node) for node in document.nodes]
    same = all(name == value for name, value in graph.outputs.items())
    whole["outputs"] = list(graph.outputs) if same else dict(graph.outputs)
    if document.train is not None:
        whole["train"] = _train(document.train)
    return to_yaml(whole)


def _node(node: Declaration, folder: str = "") -> dict[str, Any]:
    op = node.op
    found: dict[str, Any] = {"name": node.name.removeprefix(f"{folder}/"), "op": op.name}
    inputs = dict(node.inputs)
    if op.variadic:
        found["in"] = list(inputs.values())
    elif len(inputs) == 1 and next(iter(inputs)) == op.signature_inputs[0]:
        found["in"] = next(iter(inputs.values()))
    elif inputs:
        found["in"] = inputs
    found |= _options(op)
    if node.share is not None:
        found["share"] = node.share
    if node.freeze:
        found["freeze"] = True
    if node.init:
        found["init"] = {parameter: written_value(start) for parameter, start in node.init.items()}
    if node.device is not None:
        found["device"] = node.device
    return found


def _train(section: TrainSection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if section.data is not None:
        feed = {"feed": dict(section.feed)} if section.feed else {}
        found["data"] = {"dataset": section.data.name, **_options(section.data), **feed}
    found["loss"] = [
        _own(node, "loss", {} if weight == 1 else {"weight": weight})
        for node, weight in zip(section.objective, section.weights, strict=True)
    ]
    if section.measures:
        found["metrics"] = {name: _own(node, "metrics", {}) for name, node in section.measures}
    found["optimizer"] = written_value(section.optimizer)
    if section.schedule is not None:
        found["schedule"] = written_value(section.schedule)
    found |= {"batch": section.batch, "epochs": section.epochs, "seed": section.seed}
    for key in ("clip", "regularise", "early_stopping"):
        if value := getattr(section, key):
            found[key] = dict(value)
    return found


def _own(node: Declaration, folder: str, extra: dict[str, Any]) -> Any:
    """A node of the loss or of the metrics; only its name, when it stands among the nodes."""
    if not node.name.startswith(f"{folder}/"):
        return {"in": node.name} | extra if extra else node.name
    return _node(node, folder) | extra


def _options(component: Any) -> dict[str, Any]:
    cls: type = type(component)
    return {name: written_value(getattr(component, name)) for name in fields_of(cls)}


def written_value(value: Any) -> Any:
    """An attribute as a graph file spells it."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, TensorType | Symbolic):
        return str(value)
    if isinstance(value, tuple | list):
        return [written_value(item) for item in value]
    if isinstance(value, dict):
        return {name: written_value(item) for name, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        options = _options(value)
        name = getattr(value, "name", "")
        if isinstance(name, str) and name:
            return {name: options} if options else name
        return options
    return value
