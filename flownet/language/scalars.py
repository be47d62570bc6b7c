"""What a plain scalar means, by the core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3.2).

`1e-3` is a number, `on` and `yes` are texts, `010` is ten: the YAML 1.1 that most readers implement says otherwise.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["resolve_scalar"]

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FIRST = frozenset("+-.0123456789")
_LONGEST_NUMBER = 400  # digits; Python refuses to read more than 4,300, and nothing here needs as many


def resolve_scalar(text: str) -> Any:
    """The value of a scalar that stands without quotes.

    >>> [resolve_scalar(text) for text in ("1e-3", "on", "010", "0x1F", "~")]
    [0.001, 'on', 10, 31, None]

    Raises ValueError for a number of more than 400 digits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST:
        return text
    if _FLOAT.fullmatch(text):
        if len(text) > _LONGEST_NUMBER:
            raise ValueError(f"a number of {len(text)} characters")
        return int(text) if _INT.fullmatch(text) else float(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    return text
