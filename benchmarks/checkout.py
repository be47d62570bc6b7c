"""Importing this makes a script measure the flownet that lies beside benchmarks/, not one that pip installed.

Python looks for modules in a script's own folder and not where it was started, so that `import flownet` would find an
installed copy. The environment is set as well, for the processes that a script starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "revision"]

ROOT = Path(__file__).resolve().parents[1]

sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def revision() -> str:
    """The commit that is checked out, with `-dirty` where files differ from it; empty outside a git repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
