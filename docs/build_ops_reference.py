"""Write docs/ops.md, the reference of the built-in ops, out of the ops themselves.

python docs/build_ops_reference.py            # writes docs/ops.md
python docs/build_ops_reference.py --check    # exit status 1 if it is not up to date
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from flownet.inspect.op_page import OpPage, op_page
from flownet.registry import Registry

REFERENCE = Path(__file__).parent / "ops.md"

CHAPTERS = {
    "linear": "Linear layers",
    "convolution": "Convolutions",
    "pooling": "Pooling",
    "normalisation": "Normalisation",
    "activation": "Activations",
    "shape": "Shapes",
    "arithmetic": "Arithmetic",
    "reduction": "Reductions",
    "random": "Random numbers",
    "loss": "Losses",
    "metric": "Metrics",
    "optimizer": "Optimisers",
}

HEAD = """\
# The ops

Written by `docs/build_ops_reference.py` out of the ops themselves: do not edit. `flownet op list` lists what is installed
here, plugins included; `flownet op show NAME` prints one page of this.

A shape is written as `float32[n, c, h, w]`; `dy` is the gradient that arrives, `dx` the one that leaves. An input that ends
in `?` is optional, one in `…` may be given any number of times. Every sample is run by the tests.
"""


def reference() -> str:
    """The whole page."""
    registry = Registry(entry_points=False)
    chapters: dict[str, list[type]] = {}
    for _, cls in registry.items("op"):
        chapters.setdefault(_chapter(cls), []).append(cls)
    kernels = dict(registry.items("kernel"))
    parts = [HEAD]
    for chapter, title in CHAPTERS.items():
        names = " ".join(f"[`{cls.name}`](#{_anchor(cls.name)})" for cls in chapters.get(chapter, []))
        parts.append(f"- {title}: {names}")
    parts.append("- [Initialisers](#initialisers), [schedules](#schedules)\n")
    for chapter, title in CHAPTERS.items():
        parts.append(f"## {title}\n")
        parts += [_op(op_page(cls, "flownet", kernels)) for cls in chapters.get(chapter, [])]
    assert set(chapters) <= set(CHAPTERS), f"ops without a chapter: {set(chapters) - set(CHAPTERS)}"
    parts += ["## Initialisers\n", "`init: he_normal`, or `init: {weight: {normal: {std: 0.02}}}`.\n"]
    parts += [_plain(name, cls) for name, cls in registry.items("initialiser")]
    parts += ["\n## Schedules\n", "`train: {schedule: cosine}`.\n"]
    parts += [_plain(name, cls) for name, cls in registry.items("schedule")]
    return "\n".join(parts).rstrip() + "\n"


def _chapter(cls: type) -> str:
    return cls.__module__.split(".")[2]


def _anchor(name: str) -> str:
    return name.lower()


def _op(page: OpPage) -> str:
    first, _, rest = page.text.partition("\n")
    inputs = ", ".join(page.inputs) or "as its attributes say"
    parts = [f"### {page.name}\n", f"{first}\n", f"`{page.name}({inputs}) -> {', '.join(page.outputs)}`\n"]
    if page.attributes:
        parts.append("| attribute | type | default |\n|---|---|---|")
        for attribute in page.attributes:
            default = "required" if attribute.required else f"`{_spelt(attribute.default)}`"
            parts.append(f"| `{attribute.name}` | {_cell(attribute.type)} | {default} |")
        parts.append("")
    if rest.strip():
        parts.append(f"```text\n{rest.strip()}\n```\n")
    if page.expression:
        terms = [f"{name} = {text}" for name, text in page.expression.items()]
        terms += [f"d{name} = {text}" for name, text in page.derivative.items()]
        parts.append("Elementwise: " + "; ".join(f"`{term}`" for term in terms) + "\n")
    for op, given, made, note in page.samples[:1]:
        texts = [f"{name}={_short(value)}" for name, value in given.items()]
        results = ", ".join(f"{name} = {_short(value)}" for name, value in made.items())
        if max(map(len, [*texts, results])) <= 100:
            parts.append(f"Sample{f', {note}' if note else ''}: `{op}({', '.join(texts)})` gives `{results}`\n")
    return "\n".join(parts)


def _plain(name: str, cls: Any) -> str:
    attributes = ", ".join(f"{p.name}={_spelt(p.default)}" for p in inspect.signature(cls).parameters.values())
    text = " ".join(inspect.cleandoc(cls.__doc__ or "").split())
    return f"- `{name}`{f' ({attributes})' if attributes else ''}: {text}"


def _spelt(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(_spelt, value))}]" if isinstance(value, tuple) else str(value)


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"[{', '.join(map(_short, value))}]" if isinstance(value, list) else str(value)


if __name__ == "__main__":
    text = reference()
    if "--check" in sys.argv:
        sys.exit(0 if REFERENCE.is_file() and REFERENCE.read_text() == text else "docs/ops.md is not up to date")
    REFERENCE.write_text(text)
