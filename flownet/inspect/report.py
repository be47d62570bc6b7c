"""One page about a run: figures, learning curve, graph, settings; HTML without anything from elsewhere, or Markdown."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from flownet.errors import FlownetError
from flownet.inspect.drawing import Drawing
from flownet.inspect.summary import Summary, summarise
from flownet.language import Document
from flownet.training.checkpoint import read_tensors
from flownet.training.curve import draw_curve
from flownet.training.log import read_log
from flownet.training.run import GRAPH, LOG, WEIGHTS

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """What a run's folder says of it.

    figures: by split, out of the weights' file; empty for a run that has not ended
    """

    folder: Path
    document: Document
    text: str
    records: Sequence[Mapping[str, Any]]
    figures: Mapping[str, Mapping[str, float]]
    summary: Summary

    @classmethod
    def of(cls, folder: Path, document: Document) -> Report:
        """The report of a run; `document` is its graph file, loaded. Raises FlownetError (`no-run`)."""
        if not (folder / LOG).is_file():
            raise FlownetError.of(
                "no-run",
                f"`{folder}` is no run's folder: it has no {LOG}",
                help="`flownet train` makes one below `runs/`",
            )
        figures = read_tensors(folder / WEIGHTS).metadata.get("metrics", {}) if (folder / WEIGHTS).is_file() else {}
        batch = document.train.batch if document.train else 1
        text = (folder / GRAPH).read_text() if (folder / GRAPH).is_file() else ""
        return cls(folder, document, text, list(read_log(folder / LOG)), figures, summarise(document, batch=batch))

    # -- what there is to say ------------------------------------------------------------------------------------------

    def facts(self) -> list[tuple[str, str]]:
        """The run in a few lines: name -> value."""
        epochs = [record for record in self.records if record["kind"] == "epoch"]
        steps = [record for record in self.records if record["kind"] == "step"]
        found = [("run", str(self.folder))]
        if self.document.train is not None:
            section = self.document.train
            found += [("data", section.data.name if section.data else "–"), ("optimiser", str(section.optimizer))]
            found += [
                ("batch", str(section.batch)),
                ("epochs", f"{len(epochs)} of {section.epochs}"),
                ("seed", str(section.seed)),
            ]
        if steps:
            seconds = self.records[-1]["time"] - self.records[0]["time"]
            found += [("steps", f"{len(steps):,}"), ("training time", f"{seconds:.1f} s")]
            found.append(("ended", time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.records[-1]["time"])) + " UTC"))
        found.append(("parameters", f"{self.summary.parameters:,}"))
        found.append(("multiply-adds", f"{self.summary.multiply_adds // self.summary.batch:,} an example"))
        return found

    def epochs(self) -> tuple[list[str], list[list[str]]]:
        """Columns and rows: one an epoch; of many epochs about forty."""
        records = [record for record in self.records if record["kind"] == "epoch"]
        metrics = list(records[-1]["metrics"]) if records else []
        validated = any(record.get("validation") for record in records)
        columns = [
            "epoch",
            "loss",
            *metrics,
            *(["validation loss", *(f"validation {m}" for m in metrics)] if validated else []),
        ]
        every = max(1, -(-len(records) // 40))
        rows = []
        for record in records:
            if (record["epoch"] + 1) % every and record is not records[-1]:
                continue
            values = [record["loss"], *(record["metrics"].get(m) for m in metrics)]
            if validated:
                held_out = record.get("validation") or {"loss": None, "metrics": {}}
                values += [held_out["loss"], *(held_out["metrics"].get(m) for m in metrics)]
            rows.append([str(record["epoch"] + 1), *("–" if v is None else f"{v:.4f}" for v in values)])
        return columns, rows

    # -- forms ---------------------------------------------------------------------------------------------------------

    def html(self) -> str:
        """A page in itself: pictures are inside."""
        drawing = Drawing.of(self.document.graph, Drawing.depth_for(self.document.graph))
        curve = base64.b64encode(self.curve()).decode()
        parts = [f"<h1>{escape(self.folder.name)}</h1>", _html_table([], self.facts())]
        if self.figures:
            names = list(dict.fromkeys(name for figures in self.figures.values() for name in figures))
            rows = [[split, *(f"{figures[name]:.4f}" for name in names)] for split, figures in self.figures.items()]
            parts += ["<h2>Figures</h2>", _html_table(["split", *names], rows)]
        parts += [
            "<h2>Learning curve</h2>",
            f'<img alt="loss and metrics over the epochs" src="data:image/png;base64,{curve}">',
        ]
        parts += ["<h2>Epochs</h2>", _html_table(*self.epochs())]
        parts += ["<h2>Graph</h2>", f"<div class=wide>{drawing.svg()}</div>"]
        parts += ["<h2>Nodes</h2>", _html_table(*self.nodes())]
        if self.text:
            parts += ["<h2>Graph file</h2>", f"<pre>{escape(self.text)}</pre>"]
        head = f"<head><meta charset=utf-8><title>{escape(self.folder.name)}</title>{_STYLE}</head>"
        return f"<!doctype html><html lang=en>{head}<body>\n" + "\n".join(parts) + "\n</body></html>\n"

    def markdown(self, curve: str) -> str:
        """The same for a README or a notebook; `curve` is the picture's file name beside it."""
        parts = [f"# {self.folder.name}", _markdown_table(["", ""], [list(fact) for fact in self.facts()])]
        if self.figures:
            names = list(dict.fromkeys(name for figures in self.figures.values() for name in figures))
            rows = [[split, *(f"{figures[name]:.4f}" for name in names)] for split, figures in self.figures.items()]
            parts += ["## Figures", _markdown_table(["split", *names], rows)]
        parts += [
            "## Learning curve",
            f"![loss and metrics over the epochs]({curve})",
            "## Epochs",
            _markdown_table(*self.epochs()),
        ]
        parts += ["## Nodes", _markdown_table(*self.nodes())]
        if self.text:
            parts += ["## Graph file", f"```yaml\n{self.text.rstrip()}\n```"]
        return "\n\n".join(parts) + "\n"

    def nodes(self) -> tuple[list[str], list[list[str]]]:
        """Columns and rows of the graph's nodes."""
        depth = Drawing.depth_for(self.document.graph)
        rows = self.summary.grouped(depth) if depth else self.summary.rows
        return ["node", "op", "output", "parameters", "multiply-adds"], [
            [row.name, row.op, row.type, *(f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds))]
            for row in rows
        ]

    def curve(self) -> bytes:
        """The learning curve as PNG."""
        return draw_curve(self.records, self.folder.name)


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "<tr>" + "".join(f"<th>{escape(c)}" for c in columns) + "</tr>" if columns else ""
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) + "</tr>" for row in rows)
    return f"<table>{head}\n{body}</table>"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .2em .9em .2em 0; border-bottom: 1px solid #ddd; text-align: left }
td { font-variant-numeric: tabular-nums } img, svg { max-width: 100%; height: auto } .wide { overflow-x: auto }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; font-size: 13px }
</style>"""
