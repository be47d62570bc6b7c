"""A picture of a graph: layers top down, a box a node, as SVG, PNG, DOT or text.

drawing = Drawing.of(document.graph)
drawing.svg()
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import networkx as nx

from flownet.graph import Graph, Kind, Node
from flownet.inspect.lanes import draw_lanes
from flownet.inspect.layering import Layout, lay_out

__all__ = ["Box", "Drawing"]

_FEWEST = 4  # boxes: a network that is one block deserves a look inside
_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 52.0, 28.0, 24.0, 28.0
_CHARACTER = 6.4  # the width of a character of the small lines, in pixels

# family -> fill and border; Okabe, Ito 2008's colours, lightened, which people of every colour vision can tell apart
_COLOURS = {
    "input": ("#ffffff", "#444444"),
    "convolution": ("#d6e9f8", "#0072b2"),
    "linear": ("#d7efe6", "#009e73"),
    "normalisation": ("#f3e3ee", "#b3578f"),
    "pooling": ("#fbe5c8", "#c77800"),
    "activation": ("#faf6cf", "#a89a00"),
    "loss": ("#f8d9cc", "#d55e00"),
    "block": ("#e6e6f5", "#5a5aa8"),
    "": ("#f0f0f0", "#777777"),
}


@dataclass(frozen=True)
class Box:
    """One box: a headline, what is said below it, and the family that gives the colour."""

    name: str
    title: str
    detail: str
    type: str
    family: str

    @property
    def lines(self) -> tuple[str, str]:
        return self.detail, self.type


@dataclass(frozen=True)
class Drawing:
    """Boxes and the edges between them (in the order of the file), ready to be drawn."""

    name: str
    graph: nx.DiGraph
    boxes: dict[str, Box]

    @classmethod
    def of(cls, graph: Graph, depth: int | None = None) -> Drawing:
        """The drawing of a graph; nodes of a block whose path is longer than `depth` names become one box."""
        boxes: dict[str, Box] = {}
        drawn = nx.DiGraph()
        for value in graph.inputs:
            boxes[value.name] = Box(value.name, value.name, "input", str(value.type), "input")
            drawn.add_node(value.name)
        group = {node.name: _shortened(node.name, depth) for node in graph.nodes.values()}
        members: dict[str, list[Node]] = {}
        for node in graph.topological():
            members.setdefault(group[node.name], []).append(node)
        for name, nodes in members.items():
            boxes[name] = _box(graph, nodes[0]) if len(nodes) == 1 else _group_box(graph, name, nodes)
            drawn.add_node(name)
        for node in graph.topological():
            for used in graph.input_values(node):
                start = group[used.producer] if used.producer else used.name
                if used.kind in (Kind.RESULT, Kind.INPUT) and start != group[node.name]:
                    drawn.add_edge(start, group[node.name])
        if depth is not None and not nx.is_directed_acyclic_graph(drawn):
            return cls.of(graph)  # something outside of a block lies between two parts of it: they cannot be one box
        return cls(graph.name, drawn, boxes)

    @staticmethod
    def depth_for(graph: Graph, most: int = 60) -> int | None:
        """The depth at which a drawing has at most `most` boxes and yet shows something; None to draw every node."""
        if len(graph.nodes) <= most:
            return None
        deepest = max(name.count("/") for name in graph.nodes)
        boxes = {depth: len({_shortened(name, depth) for name in graph.nodes}) for depth in range(1, deepest + 1)}
        fitting = [depth for depth, count in boxes.items() if count <= most]
        if fitting and boxes[fitting[-1]] >= _FEWEST:
            return fitting[-1]
        telling = [depth for depth, count in boxes.items() if count >= _FEWEST]
        return telling[0] if telling else None

    # -- forms ---------------------------------------------------------------------------------------------------------

    def svg(self) -> str:
        """An SVG picture, self-contained."""
        width, layout = self._layout()
        frames = self._frames(layout, width)
        across, down = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:.0f} {down:.0f}" '
            f'width="{across:.0f}" height="{down:.0f}" '
            'font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(self.name)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0.5 L8 4 L0 7.5 z" fill="#666"/></marker></defs>',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<g transform="translate({_MARGIN} {_MARGIN})">',
        ]
        for x, y, w, h, label in frames:
            out.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="9" '
                'fill="#f7f7fb" stroke="#c9c9dd"/>'
            )
            at = f"{x - 4:.1f} {y + h:.1f}"
            out.append(
                f'<text transform="translate({at}) rotate(-90)" font-size="10" fill="#77779a">{escape(label)}</text>'
            )
        for points in layout.edges.values():
            path = _curve(_clipped(points, width))
            text = " ".join(f"{letter}{' '.join(f'{x:.1f} {y:.1f}' for x, y in at)}" for letter, at in path)
            out.append(f'<path d="{text}" fill="none" stroke="#666" stroke-width="1.2" marker-end="url(#tip)"/>')
        for name, (x, y) in layout.centres.items():
            box = self.boxes[str(name)]
            fill, border = _COLOURS.get(box.family, _COLOURS[""])
            radius = _HEIGHT / 2 if box.family == "input" else 7
            out.append(f"<g><title>{escape(box.name)}</title>")
            out.append(
                f'<rect x="{x - width / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{width:.1f}" height="{_HEIGHT:.0f}" '
                f'rx="{radius:.0f}" fill="{fill}" stroke="{border}" stroke-width="1.3"/>'
            )
            for text, dy, style in _texts(box):
                out.append(f'<text x="{x:.1f}" y="{y + dy:.1f}" text-anchor="middle" {style}>{escape(text)}</text>')
            out.append("</g>")
        return "\n".join([*out, "</g>", "</svg>", ""])

    def png(self, scale: float = 1.5) -> bytes:
        """A PNG picture, `scale` pixels for one of the SVG."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
        from matplotlib.path import Path

        width, layout = self._layout()
        frames = self._frames(layout, width)
        inches = (layout.width + 2 * _MARGIN) / 100, (layout.height + 2 * _MARGIN) / 100
        scale = min(scale, 30000 / 100 / max(inches))  # the backend's own limit is 2^16 pixels a side
        figure = Figure(figsize=inches, dpi=100 * scale)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(-_MARGIN, layout.width + _MARGIN)
        axes.set_ylim(layout.height + _MARGIN, -_MARGIN)
        axes.axis("off")
        codes = {"M": Path.MOVETO, "L": Path.LINETO, "C": Path.CURVE4}
        for x, y, w, h, label in frames:
            axes.add_patch(
                FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=9", fc="#f7f7fb", ec="#c9c9dd", lw=0.8)
            )
            axes.text(x - 4, y + h, label, fontsize=7, color="#77779a", rotation=90, ha="right", va="bottom")
        for points in layout.edges.values():
            steps = _curve(_clipped(points, width))
            path = Path([p for _, at in steps for p in at], [codes[letter] for letter, at in steps for _ in at])
            tip = "-|>,head_width=2.2,head_length=4.5"
            axes.add_patch(FancyArrowPatch(path=path, arrowstyle=tip, color="#666666", lw=0.9, shrinkA=0, shrinkB=0))
        for name, (x, y) in layout.centres.items():
            box = self.boxes[str(name)]
            fill, border = _COLOURS.get(box.family, _COLOURS[""])
            radius = _HEIGHT / 2 - 1 if box.family == "input" else 7
            style = f"round,pad=0,rounding_size={radius}"
            patch = FancyBboxPatch(
                (x - width / 2, y - _HEIGHT / 2), width, _HEIGHT, boxstyle=style, fc=fill, ec=border, lw=1
            )
            axes.add_patch(patch)
            for i, (text, dy, _) in enumerate(_texts(box)):
                bold, colour, points_ = ("bold", "#111111", 9.5) if i == 0 else ("normal", "#444444", 7.3)
                axes.text(x, y + dy, text, ha="center", va="baseline", fontsize=points_, fontweight=bold, color=colour)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()

    def dot(self) -> str:
        """Graphviz' language, for those who want to lay it out themselves."""
        lines = [
            f"digraph {_quoted(self.name)} {{",
            '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];',
        ]
        for name, box in self.boxes.items():
            fill, border = _COLOURS.get(box.family, _COLOURS[""])
            label = "\\n".join(_escaped(line) for line in (box.title, *box.lines) if line)
            lines.append(f'  {_quoted(name)} [label="{label}", fillcolor="{fill}", color="{border}"];')
        lines += [f"  {_quoted(start)} -> {_quoted(end)};" for start, end in self.graph.edges]
        return "\n".join([*lines, "}", ""])

    def text(self) -> str:
        """Lines for a terminal: nodes in order, with the values that are still needed as rails beside them."""
        order = list(
            nx.lexicographical_topological_sort(self.graph, key={n: i for i, n in enumerate(self.boxes)}.__getitem__)
        )
        rows = draw_lanes(order, {name: list(self.graph.predecessors(name)) for name in order})
        wide = max((len(rails) for rails, _ in rows), default=0)
        names = max((len(_headline(box)) for box in self.boxes.values()), default=0)
        lines = []
        for rails, name in rows:
            box = self.boxes[str(name)] if name is not None else None
            text = f"  {_headline(box):{names}}  {box.type}" if box else ""
            lines.append(f"{rails:{wide}}{text}".rstrip())
        return "\n".join(lines) + "\n"

    # -- inside --------------------------------------------------------------------------------------------------------

    def _frames(self, layout: Layout, width: float) -> list[tuple[float, float, float, float, str]]:
        """(left, top, width, height, label) of the blocks that have a part of the picture to themselves."""
        blocks: dict[str, list[str]] = {}
        for name in self.boxes:
            parts = name.split("/")
            for length in range(1, len(parts)):
                blocks.setdefault("/".join(parts[:length]), []).append(name)
        deepest = max((name.count("/") for name in self.boxes), default=0)
        frames = []
        for block, members in blocks.items():
            if all("/" in name.removeprefix(f"{block}/") for name in members):
                continue  # a repeat or a block of blocks alone: its parts have frames
            inside = set(members)
            points = [layout.centres[name] for name in members]
            points += [p for ends, path in layout.edges.items() if inside.issuperset(ends) for p in path[1:-1]]
            # bends stand for a line, not for a box: only half a gap is theirs
            lefts = [x - width / 2 for x, _ in points[: len(members)]] + [x - 8 for x, _ in points[len(members) :]]
            rights = [x + width / 2 for x, _ in points[: len(members)]] + [x + 8 for x, _ in points[len(members) :]]
            air = 3.0 + 3.0 * (deepest - 1 - block.count("/"))
            left, right = min(lefts) - air, max(rights) + air
            top, bottom = min(y for _, y in points) - _HEIGHT / 2 - air, max(y for _, y in points) + _HEIGHT / 2 + air
            if not any(
                left < x < right and top < y < bottom for name, (x, y) in layout.centres.items() if name not in inside
            ):
                frames.append((left, top, right - left, bottom - top, block))
        frames.sort(key=lambda frame: frame[4].count("/"))
        drawn = {frame[4] for frame in frames}
        # labels stand outside on the left: those of inner blocks would lie across the frames around them
        return [(*frame[:4], "" if _inside_another(frame[4], drawn) else frame[4]) for frame in frames]

    def _layout(self) -> tuple[float, Layout]:
        longest = max((len(line) for box in self.boxes.values() for line in box.lines), default=0)
        titles = max((len(_headline(box)) for box in self.boxes.values()), default=0)
        width = max(110.0, longest * _CHARACTER + 20, titles * 7.4 + 20)
        return width, lay_out(self.graph, width, _HEIGHT, _GAP_X, _GAP_Y)


def _inside_another(block: str, blocks: set[str]) -> bool:
    parts = block.split("/")
    return any("/".join(parts[:length]) in blocks for length in range(1, len(parts)))


def _box(graph: Graph, node: Node) -> Box:
    op = node.op
    parts = type(op).__module__.split(".")
    family = parts[2] if parts[:2] == ["flownet", "ops"] and len(parts) > 2 else op.category
    shown = {
        f.name: getattr(op, f.name) for f in dataclasses.fields(op) if f.repr and getattr(op, f.name) != _default(f)
    }
    detail = ", ".join(_attribute(name, value) for name, value in shown.items() if not name.startswith("_"))
    own = node.name.rsplit("/", 1)[-1]
    title = op.name if re.fullmatch(rf"{re.escape(op.name)}(_\d+)?", own) else f"{op.name}  {own}"
    return Box(node.name, title, _cut(detail), str(graph.values[node.outputs[0]].type), family)


def _group_box(graph: Graph, name: str, nodes: Sequence[Node]) -> Box:
    return Box(name, name, f"{len(nodes)} nodes", str(graph.values[nodes[-1].outputs[0]].type), "block")


def _headline(box: Box) -> str:
    return box.title + (f"  {box.detail}" if box.family == "block" else "")


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _attribute(name: str, value: Any) -> str:
    if isinstance(value, tuple | list):
        value = (
            "×".join(map(str, value))
            if len(set(map(str, value))) > 1 or len(value) > 2
            else str(value[0])
            if value
            else "()"
        )
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value}"


def _cut(text: str, most: int = 42) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _shortened(name: str, depth: int | None) -> str:
    return name if depth is None else "/".join(name.split("/")[:depth])


def _texts(box: Box) -> list[tuple[str, float, str]]:
    title = 'font-size="13" font-weight="bold" fill="#111"'
    small = 'font-size="10.5" fill="#444"'
    if not box.detail:
        return [(box.title, -3.0, title), (box.type, 13.0, small)]
    return [(box.title, -9.0, title), (box.detail, 5.5, small), (box.type, 19.0, small)]


def _clipped(points: Sequence[tuple[float, float]], width: float) -> list[tuple[float, float]]:
    """The points with the ends moved from the centres of the boxes to their borders.

    A line that comes from the side touches the box on that side, so that lines to one box can be told apart.
    """

    def towards(x: float, other: float) -> float:
        return x + max(-width / 4, min(width / 4, (other - x) * 0.15))

    (x0, y0), (x1, y1) = points[0], points[-1]
    start = towards(x0, points[1][0]), y0 + _HEIGHT / 2
    end = towards(x1, points[-2][0]), y1 - _HEIGHT / 2 - 1
    return [start, *points[1:-1], end]


def _curve(points: Sequence[tuple[float, float]]) -> list[tuple[str, list[tuple[float, float]]]]:
    """A smooth line that enters and leaves each point vertically; straight stretches stay straight."""
    path: list[tuple[str, list[tuple[float, float]]]] = [("M", [points[0]])]
    at = points[0]
    for number, (x, y) in enumerate(points[1:], 1):
        last = number == len(points) - 1
        # a bend stands for the height of its layer: the line runs straight along the boxes beside it
        into = (x, y if last else y - _HEIGHT / 2)
        if at[0] == into[0]:
            path.append(("L", [into]))
        else:
            middle = (at[1] + into[1]) / 2
            path.append(("C", [(at[0], middle), (into[0], middle), into]))
        at = into
        if not last:
            at = (x, y + _HEIGHT / 2)
            path.append(("L", [at]))
    return path


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: Any) -> str:
    return f'"{_escaped(str(text))}"'
