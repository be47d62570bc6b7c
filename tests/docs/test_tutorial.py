"""What README and tutorial show runs: Python blocks are executed, commands exist with their options, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from flownet.cli.program import flownet as program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page, "(?:sh)?") for line in block.splitlines()]
    found = [re.sub(r"\s+#.*", "", line.removeprefix("$ ")) for line in lines]
    return [line for line in found if line.startswith("flownet ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_exist_with_their_options(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(line)[1:]
        if words[0] == "--plugin-dir":
            words = words[2:]
        context = click.Context(program)
        command = program.get_command(context, words[0])
        assert command is not None, line
        while isinstance(command, click.Group) and len(words) > 1 and not words[1].startswith("-"):
            words = words[1:]
            command = command.get_command(context, words[0])
            assert command is not None, line
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in words[1:]:
            if re.match(r"--?[a-zA-Z]", word):
                assert word in known | {"--help"}, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "tutorial.md"], ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "graphs").symlink_to(ROOT / "graphs")
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), {"__name__": "readme"})


def test_the_graph_files_in_the_readme_are_those_of_the_project() -> None:
    whole = (ROOT / "graphs" / "lenet5.yaml").read_text()
    assert any(block in whole for block in blocks(ROOT / "README.md", "yaml"))
