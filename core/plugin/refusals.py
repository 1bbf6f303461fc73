"""What the standard validators of attrs raise, in the words of tocsin's own messages."""

from __future__ import annotations

import re
from collections.abc import Collection

from attrs import Attribute

_COMPARED = re.compile(r"'(\w+)' must be (<|<=|>=|>) (.+?): (.+)", re.DOTALL)
_LENGTH = re.compile(r"Length of '(\w+)' must be (<=|>=) (\d+): (\d+)")
_BOUNDS = {"<": "less than", "<=": "at most", ">=": "at least", ">": "more than"}
_FORMS = (
    ("must be in ", "must be one of {0}, not {1!r}"),
    ("must match regex ", "must match the regular expression {0.pattern!r}, not {1!r}"),
    ("must be <class ", "must be of type {0.__name__}, not {1!r}"),
)
"""By the beginning of attrs' text after the name: tocsin's text of expectation and value."""


def in_words(error: BaseException) -> tuple[str, str]:
    """Return the message of a class's validator.

    Args:
        error: what the class raised.

    Returns:
        The name of the field, and the message without it; "" and the error's own text if a
        standard validator of attrs did not raise it. Both are "" if it gives no text.
    """
    try:
        text = " ".join(str(error.args[0]).split()) if error.args else ""
        if found := _COMPARED.fullmatch(text):
            bound, value = (number.removesuffix(".0") for number in found.group(3, 4))
            return found[1], f"must be {_BOUNDS[found[2]]} {bound}, not {value}"
        if found := _LENGTH.fullmatch(text):
            return found[1], f"must have a length of {_BOUNDS[found[2]]} {found[3]}, not {found[4]}"
        if len(error.args) == 4 and isinstance(error.args[1], Attribute):
            name, expected, value = error.args[1].name, *error.args[2:]
            for beginning, form in _FORMS:
                if text.startswith(f"'{name}' {beginning}"):
                    return name, form.format(_listed(expected), value)
        return "", text
    except BaseException:  # noqa: BLE001 - a third-party exception may fail to give its message
        return "", ""


def _listed(expected: object) -> object:
    """Return the options of a validator as a list in words; anything else is unchanged."""
    if isinstance(expected, Collection) and not isinstance(expected, str | type):
        return ", ".join(sorted(repr(getattr(each, "value", each)) for each in expected))
    return expected
