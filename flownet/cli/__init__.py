"""The command `flownet`: one file a command; `program.py` is what they hang below, `output.py` how they speak."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process, and exit."""
    from flownet.cli.program import flownet

    flownet.main(prog_name="flownet")
