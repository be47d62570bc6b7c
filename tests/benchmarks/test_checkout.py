import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_scripts_measure_the_flownet_beside_them_and_not_an_installed_one(tmp_path: Path) -> None:
    (tmp_path / "flownet.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); import checkout, flownet; print(flownet.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == BENCHMARKS.parent / "flownet" / "__init__.py", found.stderr


@pytest.mark.parametrize("script", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: path.name)
def test_every_script_that_imports_flownet_looks_for_it_there_first(script: Path) -> None:
    imported = re.findall(r"^\s*(?:import|from) (\w+)", script.read_text(), re.MULTILINE)
    if "flownet" in imported:
        before = imported[: imported.index("flownet")]
        assert "checkout" in before or "workloads" in before
