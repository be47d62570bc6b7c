"""pooling"""

from __future__ import annotations

__all__ = ["LOWERINGS"]

LOWERINGS: dict = {}
