"""The fixture packages are installed by pip in a temporary environment, never imported from here: some are broken on purpose."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

collect_ignore_glob = ["fixtures/*"]

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Environment:
    """A virtual environment that also sees the packages of the one that runs the tests."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *arguments], capture_output=True, text=True, timeout=900, cwd=cwd
        )  # the harness compiles some hundred kernels

    def flownet(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "flownet", *arguments, cwd=cwd)

    def install(self, *folders: Path) -> None:
        """pip install, from copies of the folders alone: no network, no build environment, nothing left in the originals."""
        copies = self.folder.parent / "copies"
        ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        for folder in folders:
            shutil.copytree(folder, copies / folder.name, ignore=ignored, dirs_exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
        ]
        done = subprocess.run(
            [*command, "--no-build-isolation", "--disable-pip-version-check", *(copies / f.name for f in folders)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr


def make_environment(folder: Path) -> Environment:
    venv.create(folder, with_pip=False)
    packages = next((folder / "lib").iterdir()) / "site-packages"
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "parent.pth").write_text("\n".join(lines))
    return Environment(folder)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    pytest.importorskip("setuptools", reason="the packages are built by setuptools")
    return make_environment(tmp_path / "environment")


@pytest.fixture(scope="session")
def with_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment in which all fixture packages are installed."""
    pytest.importorskip("setuptools", reason="the packages are built by setuptools")
    made = make_environment(tmp_path_factory.mktemp("fixtures") / "environment")
    made.install(*sorted(folder for folder in FIXTURES.iterdir() if folder.is_dir()))
    return made
