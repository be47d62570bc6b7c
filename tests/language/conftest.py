"""Tests of this folder share `small_registry.py`, whatever the import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore = ["mistakes"]  # a Python file in there must never be run: that is what a test checks
