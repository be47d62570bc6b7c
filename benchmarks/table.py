"""One table of what several runs of steps.py measured.

    python benchmarks/table.py PART.json … [--json FILE] [--markdown FILE]

Each row and mode is taken whole from the last file that has it, so that what stands in one line of the table was measured
in one run. Rows come in the order of the files.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from worker import PEERS

__all__ = ["QUIET", "geometric_mean", "markdown", "merged"]

QUIET = 0.1  # share of the machine that others may take in a round that counts
ONE_MODE = ("flownet opencl", "flownet cpu", "ONNX Runtime")
TITLES = {"train": "Training step", "infer": "Inference"}


def merged(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """All rows of all parts; of a row and mode that several have, the last."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    versions: dict[str, None] = {}
    for part in parts:
        versions |= dict.fromkeys(part["versions"])
        rows |= {(result["row"], result["mode"]): result for result in part["results"]}
    return {"versions": list(versions), "results": list(rows.values())}


def geometric_mean(results: Iterable[dict[str, Any]]) -> float | None:
    ratios = [r["times_as_fast"] for r in results if r["times_as_fast"]]
    return statistics.geometric_mean(ratios) if ratios else None


def markdown(measured: dict[str, Any]) -> str:
    """The tables of docs/benchmarks.md: milliseconds, the fastest in bold; below them what was left out, and why."""
    results = measured["results"]
    names = [name for name in PEERS if any(name in r["ms"] for r in results)]
    revisions = dict.fromkeys(r["revision"] for r in results if r["revision"])
    lines = [
        f"{', '.join(measured['versions'])}; 2 threads, float32; milliseconds, medians. In brackets the mode that was fastest."
    ]
    lines += [f"flownet at commit {', '.join(revisions)}."] if revisions else []
    if peaks := [r["peaks"] for r in results if r["peaks"]]:
        gflops, gbytes = (_range([p[key] for p in peaks], form) for key, form in (("gflops", ".0f"), ("gbytes", ".1f")))
        lines += [f"Measured in the same runs: {gflops} GFLOP/s of multiply-adds, {gbytes} GB/s."]
    for mode, title in TITLES.items():
        if chosen := [r for r in results if r["mode"] == mode]:
            lines += ["", f"**{title}**", "", *_rows(chosen, names)]
    worst = max((share for r in results for share in r["disturbed"].values()), default=0.0)
    if worst > QUIET:
        lines += ["", f"Other processes took up to {worst:.0%} of the machine in the rounds that count."]
    if mean := geometric_mean(results):
        lines += ["", f"Geometric mean over all rows: {mean:.2f} times as fast as each row's best peer."]
    lines += ["", *_left_out(results)]
    return "\n".join(lines).rstrip() + "\n"


def _range(numbers: Sequence[float], form: str) -> str:
    low, high = format(min(numbers), form), format(max(numbers), form)
    return low if low == high else f"{low} to {high}"


def _rows(results: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    lines = [f"| row (batch) | {' | '.join(names)} | best peer ÷ flownet | of the FMA peak | of the bandwidth |"]
    lines.append("|---" * (len(names) + 4) + "|")
    for r in results:
        fastest = min(r["ms"].values(), default=None)
        cells = []
        for name in names:
            ms = r["ms"].get(name)
            text = "" if ms is None else f"{ms:.3g}" + (f" ({r['variant'][name]})" if name not in ONE_MODE else "")
            cells.append(f"**{text}**" if ms is not None and ms == fastest else text)
        ours, peaks, shares = r["ms"].get("flownet opencl"), r["peaks"], ["", ""]
        if ours and peaks:
            pairs = (("flops", "gflops"), ("bytes", "gbytes"))
            shares = [f"{r[done] / ours / 1e6 / peaks[peak]:.0%}" for done, peak in pairs]
        ratio = f"{r['times_as_fast']:.2f}" if r["times_as_fast"] else ""
        lines.append(f"| {r['row']} ({r['batch']}) | {' | '.join(cells)} | {ratio} | {' | '.join(shares)} |")
    if mean := geometric_mean(results):
        lines.append(f"| geometric mean | {' | '.join([''] * len(names))} | {mean:.2f} | | |")
    return lines


def _left_out(results: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each peer's mode and reason, with the rows that it holds for."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for r in results:
        for name, why in r["left_out"].items():
            where.setdefault((name, why, TITLES[r["mode"]].lower()), []).append(r["row"])
    return [
        f"- {name} is left out, {mode}, {', '.join(rows)}: {why}" for (name, why, mode), rows in sorted(where.items())
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", type=Path, nargs="+", help="what `steps.py --json` wrote")
    options.add_argument("--json", type=Path, help="write all figures here")
    options.add_argument("--markdown", type=Path, help="write the tables here")
    options = options.parse_args()
    measured = merged(json.loads(part.read_text()) for part in options.parts)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    if options.markdown:
        options.markdown.write_text(markdown(measured))
    print(markdown(measured), end="")


if __name__ == "__main__":
    main()
