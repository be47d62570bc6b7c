"""`flownet` itself: help, typing mistakes, exit status, streams, start-up time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import flownet
from flownet.cli.commands import SECTIONS, builtin_commands
from flownet.cli.program import Program
from flownet.cli.program import flownet as program
from flownet.registry import Registry

COMMANDS = [str(command.name) for command in builtin_commands()]


def flownet_process(*arguments: str, **settings) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "flownet", *arguments], capture_output=True, text=True, timeout=120, **settings
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("command", ["check", "expand"])
def test_output_to_a_full_disk_is_no_mistake_of_flownet(command: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flownet", command, "graphs/xor.yaml"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("error[cannot-write]: the output cannot be written")
    assert "Exception ignored" not in done.stderr


def test_help_lists_every_command_with_a_line(run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S", result.stdout, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert re.search(rf"^  flownet {name}\b", result.stdout, re.MULTILINE), result.stdout
    assert not re.search(r"Traceback", result.output)


@pytest.mark.parametrize("name", ["train", "eval", "run", "check", "expand", "describe", "draw"])
def test_commands_that_read_a_graph_take_the_common_options(run, name: str) -> None:
    text = run(name, "--help").stdout
    for option in ("--set", "--plugin-dir", "--data-dir", "--json"):
        assert option in text
    if name in ("train", "eval", "run"):
        assert "--device" in text
        assert "--seed" in text


def test_the_commands_come_through_the_hook() -> None:
    registry = Registry(entry_points=False)
    assert set(COMMANDS) <= set(registry.names("command"))
    assert all(isinstance(command, click.Command) for _, command in registry.items("command"))


def test_the_summaries_are_sentences() -> None:
    for commands in SECTIONS.values():
        for summary in commands.values():
            assert summary[0].isupper()
            assert summary.endswith(".")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trian"], "did you mean `train`?"),
        (["xyzzy"], "there is no command `xyzzy`"),
        (["train"], "Missing argument 'GRAPH'"),
        (["check"], "Missing argument"),
        (["describe", "a.yaml", "--bacth", "3"], "Did you mean"),
        (["describe", "a.yaml", "--batch", "many"], "not a valid integer"),
        (["describe", "a.yaml", "--size", "H"], "is not NAME=NUMBER"),
        (["draw", "a.yaml", "-o", "a.jpg"], "neither .svg, .png, .dot nor .txt"),
    ],
)
def test_usage_errors_have_status_2(run, arguments: list[str], text: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_a_user_s_mistake_has_status_1_and_is_on_standard_error(run) -> None:
    result = run("expand", "missing.yaml")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error[")
    assert "missing.yaml" in result.stderr


def test_with_json_a_mistake_is_one_document_too(run) -> None:
    result = run("expand", "missing.yaml", "--json")
    assert result.exit_code == 1
    (diagnostic,) = json.loads(result.stdout)["diagnostics"]
    assert set(diagnostic) >= {"code", "message", "file", "line", "column", "help"}
    assert result.stderr.startswith("error[")


def test_a_machine_s_failure_has_status_3(run, graph: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("expand", graph, "-o", tmp_path / "file" / "out.yaml")
    assert result.exit_code == 3
    assert "cannot be written" in result.stderr


@pytest.fixture
def broken_command(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("broken")
    def broken() -> None:
        raise ZeroDivisionError("our mistake")

    real = Program.get_command
    monkeypatch.setattr(
        Program, "get_command", lambda self, ctx, name: broken if name == "broken" else real(self, ctx, name)
    )


def test_our_own_mistakes_say_so_and_where_to_report_them(run, broken_command) -> None:
    result = run("broken")
    assert result.exit_code == 3
    assert "flownet itself failed: ZeroDivisionError: our mistake" in result.stderr
    assert "https://" in result.stderr
    assert "Traceback" not in result.output


def test_the_traceback_is_shown_when_it_is_asked_for_wherever_the_option_stands(run, broken_command) -> None:
    for arguments in (["--traceback", "broken"], ["broken", "--traceback"]):
        assert "Traceback (most recent call last)" in run(*arguments).stderr


def test_running_out_of_memory_is_no_traceback(run, broken_command, monkeypatch: pytest.MonkeyPatch) -> None:
    import flownet.language

    def no_memory(*arguments, **named) -> None:
        raise MemoryError("Unable to allocate 1.00 TiB")

    monkeypatch.setattr(flownet.language, "load", no_memory)
    result = run("describe", "a.yaml")
    assert result.exit_code == 3
    assert "error[out-of-memory]" in result.stderr
    assert "1.00 TiB" in result.stderr


def test_ctrl_c_has_status_130(run, monkeypatch: pytest.MonkeyPatch) -> None:
    import flownet.language

    def interrupted(*arguments, **named) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(flownet.language, "load", interrupted)
    result = run("describe", "a.yaml")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.output


def test_version(run) -> None:
    assert flownet.__version__ in run("--version").stdout


def test_as_a_module_and_as_a_command() -> None:
    done = flownet_process("--version")
    assert done.returncode == 0
    assert flownet.__version__ in done.stdout


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m flownet schema | head -c 10"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert len(done.stdout) == 10


def test_help_imports_neither_pictures_nor_devices_nor_data() -> None:
    code = (
        "import sys\nfrom flownet.cli.program import flownet\n"
        "try:\n    flownet.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = ('matplotlib', 'pyopencl', 'PIL', 'networkx', 'ruamel', 'rich', 'flownet.ops')\n"
        "print([module for module in slow if module in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() in ("[]", "['networkx']"), done.stderr


@pytest.mark.slow
def test_help_comes_at_once() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        flownet_process("--help")
        return time.perf_counter() - began

    assert min(seconds() for _ in range(3)) < 0.5 * (1 + os.getloadavg()[0])  # 0.25 s on an idle machine


def test_commands_of_plugins_appear_and_run(run, tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "hello.py").write_text(
        "import click\nfrom flownet import hookimpl\n\n"
        "@click.command('hello')\ndef hello():\n    '''Greet.'''\n    click.echo('hello from a plugin')\n\n"
        "@hookimpl\ndef flownet_commands():\n    return [hello]\n"
    )
    listed = run("--plugin-dir", folder, "--help")
    assert "From plugins" in listed.stdout
    assert re.search(r"hello +Greet", listed.stdout)
    assert run("--plugin-dir", folder, "hello").stdout == "hello from a plugin\n"
    assert run("hello").exit_code == 2


def test_a_broken_plugin_is_told_and_the_rest_works(run, tmp_path: Path, graph: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "broken.py").write_text("raise RuntimeError('not today')\n")
    result = run("check", graph, "--plugin-dir", folder)
    assert result.exit_code == 0
    assert "warning[broken-plugin]" in result.stderr
    assert "not today" in result.stderr
    listed = run("plugins", "--plugin-dir", folder)
    assert re.search(r"broken +–? +broken", listed.stdout) or "broken" in listed.stdout
    assert listed.stderr.count("broken-plugin") == 1


def test_the_program_is_the_group_of_the_commands() -> None:
    context = click.Context(program)
    assert set(COMMANDS) <= set(program.list_commands(context))
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        assert command.name == name
