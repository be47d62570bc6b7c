"""An op's documentation, read off the op: what `flownet op show` prints."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from flownet.op import ElementwiseOp, Op

__all__ = ["AttributeInfo", "OpPage", "op_page", "summary_of"]


@dataclass(frozen=True)
class AttributeInfo:
    """An attribute as it is declared; `default` is None and `required` True where it must be given."""

    name: str
    type: str
    required: bool
    default: Any = None


@dataclass(frozen=True)
class OpPage:
    """What is known of an op without running it, samples apart.

    inputs:  names as graph files write them; an optional one ends in `?`, a variadic one in `…`
    kinds:   how it is built: `elementwise`, `composite` or `full`
    opencl:  `fused`, `kernels`, `as what it expands to` or `NumPy`, for forward and backward each
    samples: (op with attributes, inputs, outputs as `forward` gives them, note)
    """

    name: str
    category: str
    plugin: str
    text: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[AttributeInfo, ...]
    expression: dict[str, str]
    derivative: dict[str, str]
    opencl: dict[str, str]
    samples: tuple[tuple[str, dict[str, Any], dict[str, Any], str], ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        attributes = [
            {
                "name": a.name,
                "type": a.type,
                "required": a.required,
                "default": _text(a.default) if not a.required else None,
            }
            for a in self.attributes
        ]
        samples = [{"op": op, "inputs": i, "outputs": o, "note": n} for op, i, o, n in self.samples]
        return {**plain, "attributes": attributes, "samples": samples}


def op_page(cls: type[Op], plugin: str, kernels: Any = None) -> OpPage:
    """The page of an op class; `kernels` are the OpenCL kernels that plugins bring, by op name."""
    elementwise = issubclass(cls, ElementwiseOp)
    composite = hasattr(cls, "expand")
    expression: Any = getattr(cls, "expression", {}) if elementwise else {}
    derivative: Any = getattr(cls, "derivative", {}) if elementwise else {}
    if isinstance(expression, property):  # it depends on the attributes: there is no one text to show
        expression = derivative = {}
    return OpPage(
        cls.name,
        cls.category,
        plugin,
        inspect.cleandoc(cls.__doc__ or ""),
        "elementwise" if elementwise else "composite" if composite else "full",
        _inputs(cls),
        tuple(cls.outputs) if isinstance(cls.outputs, tuple) else (),
        tuple(_attributes(cls)),
        {"y": expression} if isinstance(expression, str) else dict(expression),
        {} if isinstance(derivative, property) else dict(derivative),
        _opencl(cls, elementwise, composite, kernels or {}),
        tuple(_samples(cls)),
    )


def summary_of(cls: type) -> str:
    """The first line of the class's documentation."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]


def _inputs(cls: type[Op]) -> tuple[str, ...]:
    if issubclass(cls, ElementwiseOp):
        return tuple(cls.operands) if isinstance(cls.operands, tuple) else ()
    function = cls.expand if hasattr(cls, "expand") else cls.forward
    parameters = list(inspect.signature(function).parameters.values())[2 if hasattr(cls, "expand") else 1 :]
    found = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            found.append(f"{parameter.name}…")
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            found.append(parameter.name if parameter.default is parameter.empty else f"{parameter.name}?")
    return tuple(found)


def _attributes(cls: type[Op]) -> list[AttributeInfo]:
    found = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        required = default is dataclasses.MISSING
        type_ = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        found.append(AttributeInfo(field.name, type_, required, None if required else default))
    return found


def _opencl(cls: type[Op], elementwise: bool, composite: bool, kernels: Any) -> dict[str, str]:
    if elementwise:
        return {"forward": "fused", "backward": "fused"}
    if composite:
        return {"forward": "as what it expands to", "backward": "as what it expands to"}
    forward = "kernels" if hasattr(cls, "opencl") or cls.name in kernels else "NumPy"
    backwards = [name for name in dir(cls) if name.startswith("backward")]
    lowered = [name for name in backwards if hasattr(cls, f"opencl_{name}") or f"{cls.name}.{name}" in kernels]
    if not backwards:
        return {"forward": forward}
    return {
        "forward": forward,
        "backward": "kernels" if lowered == backwards else "partly NumPy" if lowered else "NumPy",
    }


def _samples(cls: type[Op]) -> list[tuple[str, dict[str, Any], dict[str, Any], str]]:
    from flownet.testing.example import example_of
    from flownet.testing.reference import forward

    found = []
    for sample in cls.samples():
        try:
            example = example_of(sample)
            outputs = forward(example.op, example.inputs)
        except Exception:  # the page says what there is; `flownet op test` says what is wrong with it
            continue
        inputs = {name: np.asarray(array).tolist() for name, array in example.inputs.items()}
        found.append((str(sample.op), inputs, {name: array.tolist() for name, array in outputs.items()}, sample.note))
    return found


def _text(value: Any) -> Any:
    return (
        value
        if isinstance(value, str | int | float | bool | type(None))
        else list(value)
        if isinstance(value, tuple)
        else str(value)
    )
