"""`plugins:` — what a file needs to be installed, and local files that it wants to run."""

from __future__ import annotations

import importlib.metadata
import operator
import re
from collections.abc import Callable
from pathlib import Path

from flownet.errors import FlownetError, near_names
from flownet.language.report import Report
from flownet.language.tree import Scalar, Sequence, Tree, written
from flownet.registry import BUILTIN, Registry, digest_of

__all__ = ["Confirm", "meet"]

Confirm = Callable[[Path], bool]
"""Asks whether a local Python file may be run."""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:(>=|<=|==|>|<|!=)\s*([0-9][0-9A-Za-z.]*))?\s*")
_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "!=": operator.ne,
}


def meet(tree: Tree, folder: Path, registry: Registry, report: Report, confirm: Confirm) -> tuple[str, ...]:
    """What the file needs, after a check that it is there; local files are loaded when `confirm` allows it.

    Errors: `missing-plugin`, `old-plugin`, `untrusted-plugin`, `broken-plugin` and what registering raises.
    """
    items = tree.items if isinstance(tree, Sequence) else (tree,)
    needs = []
    for item in items:
        if isinstance(item, Scalar) and item.failed:
            continue
        if not (isinstance(item, Scalar) and isinstance(item.value, str)):
            help = "write `plugins: [flownet-ops-extra>=0.1, ./my_op.py]`"
            report.error("bad-form", f"`plugins` lists packages and Python files, got {written(item)}", item, help=help)
            continue
        needs.append(item.value)
        before = len(report.errors)
        if item.value.endswith(".py") or item.value.startswith((".", "/", "~")):
            _load_file(item, folder, registry, report, confirm)
        else:
            _check_installed(item, registry, report)
        report.lacks_plugin |= len(report.errors) > before
    return tuple(needs)


def _load_file(item: Scalar, folder: Path, registry: Registry, report: Report, confirm: Confirm) -> None:
    path = (folder / Path(item.value).expanduser()).resolve()
    if not path.is_file():
        report.error(
            "missing-plugin", f"there is no file `{item.value}` beside the graph file", item, f"sought at {path}"
        )
        return
    digest = digest_of(path.read_bytes())
    if any(digest == p.digest or p.origin == str(path) for p in registry.plugins.values() if p.problem is None):
        return  # this text was run already, by leave: a copy of it (in a run's folder) is not run again
    if not confirm(path):
        report.error(
            "untrusted-plugin", f"the file wants to run `{item.value}`, and nobody has allowed that", item,
            "a Python file can do anything that you can", help="read it, then allow it with `--trust-plugins`",
        )  # fmt: skip
        return
    try:
        registry.load_file(path)
    except FlownetError as error:
        report.failure(error, item)
    except (Exception, SystemExit) as error:  # the file's own mistake
        message = f"`{item.value}` could not be loaded: {type(error).__name__}: {error}"
        report.error("broken-plugin", message, item, help="mend the file; `flownet plugins` says more")


def _check_installed(item: Scalar, registry: Registry, report: Report) -> None:
    match = _REQUIREMENT.fullmatch(item.value)
    if match is None:
        report.error("bad-form", f"`{item.value}` is no requirement", item, help="write `flownet-ops-extra>=0.1`")
        return
    name, comparison, wanted = match.groups()
    plugins = {_canonical(plugin.name): plugin for plugin in registry.plugins.values()}
    plugin = plugins.get(_canonical(name))
    install = f"pip install '{item.value.replace(' ', '')}'"
    if plugin is None:
        near = near_names(_canonical(name), plugins.keys() - {BUILTIN})  # every name begins as flownet's own
        notes = ("the package is installed, and brings no plugin of flownet",) if _is_installed(name) else ()
        report.error(
            "missing-plugin",
            f"this file needs the plugin `{name}`, which is not installed",
            item,
            *notes,
            help=f"{near} If not: {install}" if near else install,
        )
    elif plugin.problem is not None:
        report.error(
            "broken-plugin",
            f"the plugin `{name}` does not work: {plugin.problem.message}",
            item,
            help=plugin.problem.help,
        )
    elif comparison and plugin.version and not _COMPARE[comparison](_release(plugin.version), _release(wanted)):
        report.error("old-plugin", f"this file needs `{item.value}`, installed is {plugin.version}", item, help=install)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
        return True
    except importlib.metadata.PackageNotFoundError:
        return False


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without the zeros at its end: 1.0 is 1."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[^0-9.]", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
