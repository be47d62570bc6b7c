"""`flownet op`: which ops there are, what one computes, whether it keeps its contract, and the start of a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import as_json, plugin_dir

if TYPE_CHECKING:
    from flownet.inspect.op_page import OpPage
    from flownet.testing import Report

__all__ = ["command"]


@click.group("op")
def command() -> None:
    """List, show and test ops, and start new ones.

    \b
    flownet op list --category activation
    flownet op show conv2d
    flownet op new squeeze_excitation
    flownet op test squeeze_excitation --device cpu --device opencl
    """


@command.command("list")
@click.option("--category", metavar="NAME", help="Only this chapter: layer, activation, loss, metric, optimizer …")
@click.option("--plugin", metavar="NAME", help="Only the ops of this plugin.")
@as_json
@plugin_dir
@invocation
def list_(state: Invocation, category: str | None, plugin: str | None) -> None:
    """List the ops, built-in and of plugins.

    \b
    flownet op list
    flownet op list --plugin flownet-ops-extra
    """
    from flownet.errors import FlownetError, near_names
    from flownet.inspect.op_page import summary_of

    registry = state.registry
    ops = [(name, cls, registry.owner("op", name)) for name, cls in registry.items("op")]
    for option, value, known in (
        ("category", category, {cls.category for _, cls, _ in ops}),
        ("plugin", plugin, set(registry.plugins)),
    ):
        if value is not None and value not in known:
            help = near_names(value, known) or f"known: {', '.join(sorted(known))}"
            raise FlownetError.of(f"unknown-{option}", f"there is no {option} `{value}`", help=help)
    ops = [op for op in ops if category in (None, op[1].category) and plugin in (None, op[2])]
    if state.out.json:
        state.out.document(
            {"ops": [{"name": n, "category": c.category, "plugin": p, "summary": summary_of(c)} for n, c, p in ops]}
        )
        return
    rows = [
        (name, cls.category, owner, summary_of(cls))
        for name, cls, owner in sorted(ops, key=lambda op: (op[1].category, op[0]))
    ]
    state.out.table(("op", "category", "plugin", "what it computes"), rows)


@command.command()
@click.argument("name")
@as_json
@plugin_dir
@invocation
def show(state: Invocation, name: str) -> None:
    """Print an op's documentation: formula, attributes, inputs, gradient, examples.

    \b
    flownet op show softmax
    """
    from flownet.inspect.op_page import op_page

    registry = state.registry
    page = op_page(registry.get("op", name), registry.owner("op", name), dict(registry.items("kernel")))
    if state.out.json:
        state.out.document(page.to_json())
    else:
        _say_page(state, page)


def _say_page(state: Invocation, page: OpPage) -> None:
    out = state.out
    out.say(f"{page.name}  ({page.category}, from {page.plugin})", style="bold")
    out.say()
    out.say(page.text)
    out.say()
    out.say(f"inputs:   {', '.join(page.inputs) or 'none'}")
    out.say(f"outputs:  {', '.join(page.outputs)}")
    out.say(f"built as: {page.kind}; on OpenCL: {', '.join(f'{way} {how}' for way, how in page.opencl.items())}")
    for output, text in page.expression.items():
        out.say(f"  {output} = {text}")
    for operand, text in page.derivative.items():
        out.say(f"  d{operand} = {text}")
    if page.attributes:
        out.say()
        rows = [(a.name, a.type, "required" if a.required else repr(a.default)) for a in page.attributes]
        out.table(("attribute", "type", "default"), rows)
    for op, inputs, outputs, note in page.samples:
        out.say()
        out.say(f"example: {op}" + (f" ({note})" if note else ""))
        for arrow, arrays in (("  ", inputs), ("->", outputs)):
            for argument, array in arrays.items():
                out.say(f"  {arrow} {argument} = {_short(array)}")


def _short(array: Any) -> str:
    import numpy as np

    array = np.asarray(array)
    if array.size > 40:
        return f"{array.dtype}[{', '.join(map(str, array.shape))}], from {array.min():.4g} to {array.max():.4g}"
    return np.array2string(array, precision=6, separator=", ", max_line_width=10_000).replace("\n", "")


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="NAME",
    help="Check on this device; cpu, and opencl if there is one, unless given.",
)
@as_json
@plugin_dir
@invocation
def test(state: Invocation, names: tuple[str, ...], devices: tuple[str, ...]) -> int:
    """Check that an op keeps its contract: shapes, gradient, devices, odd inputs, bad attributes.

    Each failure is shown with the smallest input that shows it. Exit status 1 if there is one.

    \b
    flownet op test softmax
    flownet op test my_op --plugin-dir my_ops/ --device cpu --device opencl
    """
    from flownet.devices.choose import choose_device
    from flownet.testing import check_op

    registry = state.registry
    ops = [registry.get("op", name) for name in names]
    for name in devices:  # one that is not there is no fault of the op
        choose_device(name, registry)
    chosen = devices or _usual_devices(state)
    reports = [check_op(op, device, registry) for op in ops for device in chosen]
    if state.out.json:
        state.out.document(
            {"passed": all(report.passed for report in reports), "reports": [_plain(report) for report in reports]}
        )
        return int(not all(report.passed for report in reports))
    for number, report in enumerate(reports):
        if number:
            state.out.say()
        _say_report(state, report)
    return int(not all(report.passed for report in reports))


def _usual_devices(state: Invocation) -> list[str]:
    """`cpu`, and `opencl` where a device of it can be had."""
    from flownet.devices.choose import choose_device
    from flownet.errors import FlownetError

    try:
        choose_device("opencl", state.registry)
    except FlownetError as error:
        state.out.say(f"checked on the CPU device alone: {error.diagnostics[0].message}")
        return ["cpu"]
    return ["cpu", "opencl"]


def _say_report(state: Invocation, report: Report) -> None:
    from flownet.testing.report import render

    if not state.out.interactive:
        state.out.say(render(report))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heading, *_ = render(report).splitlines()
    table = Table(box=box.SIMPLE_HEAD, title=Text(heading), title_justify="left", title_style="bold")
    table.add_column("check")
    table.add_column("verdict")
    table.add_column("what was found", overflow="fold")
    style = {"ok": "green", "skipped": "dim", "FAILED": "bold red"}
    for finding in report.findings:
        table.add_row(Text(finding.check), Text(finding.verdict, style[finding.verdict]), Text(finding.detail))
    state.out.console.print(table, soft_wrap=False)
    for finding in report.failures:
        if finding.op:
            state.out.say(f"{finding.check}: the smallest input that shows it", style="bold")
            state.out.say(f"  op: {finding.op}")
            for name, array in finding.smallest.items():
                state.out.say(f"  {name} = {array.dtype}[{', '.join(map(str, array.shape))}] {_short(array)}")


def _plain(report: Report) -> dict[str, Any]:
    return {
        "op": report.op,
        "device": report.device,
        "passed": report.passed,
        "findings": [
            {
                "check": finding.check,
                "verdict": finding.verdict.lower(),
                "detail": finding.detail,
                **(
                    {"op": finding.op, "smallest": {n: a.tolist() for n, a in finding.smallest.items()}}
                    if finding.op
                    else {}
                ),
            }
            for finding in report.findings
        ],
    }


@command.command()
@click.argument("name")
@click.option(
    "--out", default=".", metavar="DIR", help="The folder in which the package's folder is made.", show_default=True
)
@as_json
@plugin_dir
@invocation
def new(state: Invocation, name: str, out: str) -> None:
    """Write a plugin package for a new op: op, OpenCL kernel, test, README, entry point. It passes as it is.

    \b
    flownet op new squeeze_excitation
    pip install -e flownet-squeeze-excitation
    flownet op test squeeze_excitation
    """
    from flownet.scaffold import write_op_package

    folder, files = write_op_package(name, Path(out).expanduser(), state.registry)
    if state.out.json:
        state.out.document({"folder": str(folder), "files": [str(file) for file in files]})
        return
    for file in files:
        state.out.say(f"wrote {file}")
    state.out.say()
    state.out.say("next:")
    state.out.say(f"  pip install -e {folder}")
    state.out.say(f"  flownet op test {name}")
