"""A graph as rails beside a list, as `git log --graph` draws history, for terminals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

__all__ = ["draw_lanes"]


def draw_lanes(
    order: Sequence[Hashable], inputs: Mapping[Hashable, Sequence[Hashable]]
) -> list[tuple[str, Hashable | None]]:
    """(rails, node) for every line; node is None on lines where rails only part.

    order: the nodes, every one behind those that it uses

    >>> for rails, node in draw_lanes("abc", {"a": [], "b": ["a"], "c": ["b", "a"]}):
    ...     print(rails + f" {node}" * (node is not None))
    ● a
    ├─╮
    ● │ b
    ●─╯ c
    """
    uses = dict.fromkeys(order, 0)
    for node in order:
        for name in inputs[node]:
            uses[name] += 1
    lanes: list[Hashable | None] = []
    rows: list[tuple[str, Hashable | None]] = []
    for node in order:
        used = list(dict.fromkeys(inputs[node]))
        for name in inputs[node]:
            uses[name] -= 1
        mine = min((lanes.index(name) for name in used), default=None)
        aside = None
        if mine is None:
            mine = _free(lanes)
        elif uses[lanes[mine]]:  # needed again later: it steps aside
            aside = _free(lanes, mine + 1)
            lanes[aside] = lanes[mine]
            rows.append((_rails(lanes, mine, {aside: "╮"}, "├"), None))
        ends = {}
        for lane, name in enumerate(lanes):
            if lane not in (mine, aside) and name in used:
                ends[lane] = "┤" if uses[name] else "╯"
        lanes[mine] = node
        rows.append((_rails(lanes, mine, ends, "●"), node))
        lanes[:] = [None if name is not None and not uses[name] else name for name in lanes]
        while lanes and lanes[-1] is None:
            lanes.pop()
    return rows


def _free(lanes: list[Hashable | None], first: int = 0) -> int:
    for lane in range(first, len(lanes)):
        if lanes[lane] is None:
            return lane
    lanes.extend([None] * max(0, first - len(lanes) + 1) or [None])
    return len(lanes) - 1


def _rails(lanes: Sequence[Hashable | None], mine: int, ends: Mapping[int, str], mark: str) -> str:
    """One line: a rail for each lane, and a cross-piece from `mine` to the farthest of `ends`."""
    farthest = max(ends, default=mine)
    text = ""
    for lane, name in enumerate(lanes):
        inside = mine < lane < farthest
        if lane == mine:
            text += mark
        elif lane in ends:
            text += ends[lane] if lane == farthest else {"╯": "┴", "╮": "┬", "┤": "┼"}[ends[lane]]
        else:
            text += ("┼" if name is not None else "─") if inside else ("│" if name is not None else " ")
        text += "─" if mine <= lane < farthest else " "
    return text.rstrip()
