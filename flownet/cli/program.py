"""`flownet` itself: finds the command, and turns whatever ends it into a message and an exit status.

0 done; 1 the user's input is wrong; 2 the command line is wrong; 3 the machine failed, or flownet did; 130 Ctrl-C. A
user's mistake never ends in a traceback, and ours only shows one when it is asked for.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback as tracebacks
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

import flownet as package
from flownet.cli.commands import LazyCommand, builtin_commands
from flownet.cli.invocation import Invocation
from flownet.cli.options import plugin_dir
from flownet.errors import Diagnostic, DiagnosticWarning, FlownetError, near_names

__all__ = ["Program", "flownet"]

REPORT_TO = "https://github.com/flownet/flownet/issues"


class Program(click.Group):
    """The group of all commands, those of plugins included."""

    # -- finding commands ----------------------------------------------------------------------------------------------

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._builtin, *sorted(name for name in self._from_plugins(ctx) if name not in self._builtin)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = self._builtin.get(name) or self._from_plugins(ctx).get(name)
        return command.load() if isinstance(command, LazyCommand) else command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        near = near_names(name, self.list_commands(ctx))
        ctx.fail(f"there is no command `{name}`" + (f": {near}" if near else ""))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self._builtin.get(name) or self._from_plugins(ctx)[name]
            section = command.section if isinstance(command, LazyCommand) else "From plugins"
            sections.setdefault(section, []).append((name, command.short_help or command.get_short_help_str(80)))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)

    @property
    def _builtin(self) -> dict[str, LazyCommand]:
        return {str(command.name): command for command in builtin_commands()}

    def _from_plugins(self, ctx: click.Context) -> dict[str, click.Command]:
        """Commands by the hook. Looking at plugins costs time, so it is left out where there can be none."""
        import importlib.metadata

        state = ctx.ensure_object(Invocation)
        if not state.plugin_dirs and not importlib.metadata.entry_points(group="flownet"):
            return {}
        return dict(state.registry.items("command"))

    # -- ending --------------------------------------------------------------------------------------------------------

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        given = list(sys.argv[1:] if args is None else args)
        wants_traceback = "--traceback" in given or bool(os.environ.get("FLOWNET_TRACEBACK"))
        given = [text for text in given if text != "--traceback"]  # it may stand anywhere
        state = Invocation()
        shown_before, warnings.showwarning = warnings.showwarning, partial(_show_warning, state, warnings.showwarning)
        try:
            result = super().main(
                given, prog_name or "flownet", complete_var, standalone_mode=False, obj=state, **extra
            )
            status = result if isinstance(result, int) else 0
        except click.exceptions.Exit as stop:
            status = stop.exit_code
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            status = 130
        except FlownetError as error:
            _tell(state, error.diagnostics)
            status = error.exit_status
        except BrokenPipeError:  # whoever read our output has enough of it
            _close_output()
            status = 0
        except MemoryError as error:
            message = f"there is not enough memory: {error or 'an allocation failed'}"
            help = "try a smaller batch: `--set train.batch=16`"
            _tell(state, [Diagnostic("out-of-memory", message, help=help)])
            status = 3
        except Exception as error:
            if wants_traceback:
                tracebacks.print_exc()
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                _close_output()  # files have errors of their own: this is standard output on a full disk
                message = f"the output cannot be written: {error.strerror}"
                _tell(state, [Diagnostic("cannot-write", message, help="free some space, or write it elsewhere")])
            else:
                _tell(state, [_our_bug(error, wants_traceback)])
            status = 3
        finally:
            warnings.showwarning = shown_before
        if standalone_mode:
            sys.exit(status)
        return status


def _close_output() -> None:
    """Let what standard output still holds go nowhere, so that Python does not fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(state: Invocation, otherwise: Callable[..., None], message: Any, *rest: Any, **named: Any) -> None:
    """Warnings that are diagnostics as diagnostics, others as they were."""
    if isinstance(message, DiagnosticWarning):
        state.out.diagnostics([message.diagnostic])
    else:
        otherwise(message, *rest, **named)


def _tell(state: Invocation, diagnostics: Sequence[Diagnostic]) -> None:
    state.out.diagnostics(diagnostics)
    if state.out.json:
        state.out.document({"diagnostics": [as_plain(diagnostic) for diagnostic in diagnostics]})


def as_plain(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic as `--json` shows it."""
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": span.file.name if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
    }


def _our_bug(error: Exception, shown: bool) -> Diagnostic:
    frames = tracebacks.extract_tb(error.__traceback__)
    where = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}" if frames else "unknown"
    help = f"please report it, with the command and its files: {REPORT_TO}"
    if not shown:
        help += "; `--traceback` shows where it happened"
    text = str(error).strip().splitlines()
    return Diagnostic(
        "internal", f"flownet itself failed: {type(error).__name__}{': ' + text[0] if text else ''}",
        notes=(f"this is our mistake, not yours ({where})",), help=help,
    )  # fmt: skip


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@plugin_dir
@click.option("--traceback", is_flag=True, help="Show where flownet itself failed.")
@click.version_option(package.__version__, prog_name="flownet")
def flownet(traceback: bool) -> None:
    """Neural networks as graph files, on the CPU and on any OpenCL device.

    \b
    flownet train graphs/digits.yaml              train, and see the test accuracy
    flownet check my_graph.yaml                   find what is wrong with a file
    flownet describe graphs/lenet5.yaml           parameters, FLOPs, memory
    """
