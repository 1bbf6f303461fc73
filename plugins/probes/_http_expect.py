"""Expectations of an HTTP answer: ranges of status codes, and values in a JSON body.

This module has its own parser for JSON paths, because no library for RFC 9535 limits the cost of a
path: on a megabyte of unusual JSON ``$..*..*`` takes minutes (jsonpath-rfc9535) and ``$.*.*``
takes gigabytes of memory (python-jsonpath).
"""

from __future__ import annotations

import gc
import json
import math
import operator
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen

from tocsin import clean_text
from tocsin.plugins.probes._http_exchange import Trouble

_STEP = re.compile(
    r"""
    [ \t\n\r]*+ (?:
        \. (?P<name> [A-Za-z_\x80-\U0010ffff] [-0-9A-Za-z_\x80-\U0010ffff]*+ )
        | \[ [ \t\n\r]*+ (?:
            (?P<index> 0 | -?[1-9][0-9]{0,15} )
            | (?P<quoted> ' (?: [^'\\] | \\. )*+ ' | " (?: [^"\\] | \\. )*+ " )
        ) [ \t\n\r]*+ \]
    )
    """,
    re.VERBOSE | re.DOTALL,
)
"""A child segment with one name or index (RFC 9535, section 2.5.1). Beyond the RFC, a name after a
dot may contain hyphens."""

_LARGEST = 2**53 - 1
"""The largest absolute value of an index (RFC 9535, section 2.1)."""

_QUOTING = re.compile(r"\\.|\"", re.DOTALL)
_AS_DOUBLE = {"\\'": "'", '"': '\\"', '\\"': "\\'"}
"""Translation from a single-quoted text to JSON's double quotes. ``\\"`` is invalid between single
quotes, so it becomes ``\\'``, which JSON refuses."""

_COMPARISON = re.compile(r"\s*+(<=|>=|==|!=|<|>)(.*\S)\s*")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def parse_statuses(value: Sequence[int | str]) -> list[range]:
    """Parse status codes and ranges such as ``200``, ``"301"``, ``"200-299"``.

    Raises:
        ValueError: an item is neither, or there is none.
    """
    found = []
    for item in value:
        match = re.fullmatch(r"(\d{3})(?:\s*-\s*(\d{3}))?", str(item).strip())
        if match is None or (match[2] and match[2] < match[1]):
            raise ValueError(f'{item!r} is not a status code; write 200 or "200-299"')
        found.append(range(int(match[1]), int(match[2] or match[1]) + 1))
    if not found:
        raise ValueError('give at least one status, such as "200-299"')
    return found


def show_statuses(value: Sequence[int | str]) -> str:
    """Return status codes and ranges as text for a message."""
    return " or ".join(str(item) for item in value)


@frozen
class Expectation:
    """A value in a JSON document, and the value to compare it with.

    Attributes:
        path: the JSON path as written in the configuration.
        steps: the names and indexes of the path.
        compare: comparison of the actual with the wanted value.
        sign: operator of the comparison, such as ``<``.
        wanted: value to compare with.
    """

    path: str
    steps: tuple[str | int, ...]
    compare: Callable[[Any, Any], bool]
    sign: str
    wanted: Any

    def trouble(self, document: Any) -> str | None:
        """Return a clause that says how a JSON document differs from the expectation, or None."""
        value = document
        step: Any
        for step in self.steps:
            if type(value) is not (dict if isinstance(step, str) else list):
                return f"the body has no {self.path}"
            try:
                value = value[step]
            except (KeyError, IndexError):
                return f"the body has no {self.path}"
        try:
            if type(value) is bool or type(self.wanted) is bool:
                right = self.compare(value is self.wanted, True)
            elif isinstance(value, float) and not math.isfinite(value):
                right = False  # JSON has no NaN and no infinity, so none is ever wanted
            else:
                right = self.compare(value, self.wanted)
        except (TypeError, OverflowError, RecursionError):
            right = False
        if right:
            return None
        return f"{self.path} is {_shown(value)}, expected {self.sign} {self.wanted!r}".replace(
            "== ", ""
        )


def _shown(value: Any) -> str:
    """Return a short text for a value of a JSON document, however large the value is."""
    if isinstance(value, dict | list):
        return ("an object" if isinstance(value, dict) else "a list") + f" of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of more than 30 digits"
    return json.dumps(clean_text(value, longest=80) if isinstance(value, str) else value)


def read_json(text: str) -> Any:
    """Parse a body as JSON.

    Raises:
        Trouble: the body is not JSON, or exceeds the parser's limits.
    """
    # Parsed JSON has no reference cycles. The garbage collector, searching all objects of tocsin
    # for cycles meanwhile, would take several times as long as parsing a megabyte of lists.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Trouble(
            f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        ) from None
    except ValueError:  # Python limits the digits of an integer (sys.set_int_max_str_digits)
        raise Trouble("the body is not JSON that can be read: a number is too long") from None
    except RecursionError:
        raise Trouble("the body is not JSON that can be read: nested too deeply") from None
    finally:
        if collecting:
            gc.enable()


def json_expectation(path: str, wanted: str | int | float | bool) -> Expectation:
    """Parse one entry of the option ``json``.

    Args:
        path: a JSON path (RFC 9535) such as ``$.queue[0].depth``; each segment must be one name or
            one index.
        wanted: the value that must be there, or a comparison such as ``"< 100"``.

    Raises:
        ValueError: the path or the value cannot be used.
    """
    if not path.startswith("$"):
        raise ValueError(f"{path!r} is not a JSON path; write it as $.name[0].other")
    try:
        steps = _steps(path)
    except ValueError:
        raise ValueError(
            f"{path!r} cannot be used; use only names and indexes, such as $.name[0]['other-name']"
        ) from None
    sign = "=="
    comparison = _COMPARISON.fullmatch(wanted) if isinstance(wanted, str) else None
    if comparison is not None:
        sign = comparison[1]
        wanted = comparison[2].strip()
        with suppress(ValueError, RecursionError):
            wanted = json.loads(wanted)
    if isinstance(wanted, float) and not math.isfinite(wanted):
        raise ValueError(f"{path!r} is compared with {wanted}, which is not a JSON number")
    return Expectation(path, steps, _OPERATORS[sign], sign, wanted)


def _steps(path: str) -> tuple[str | int, ...]:
    """Return the names and indexes of a path. Raises ValueError."""
    path.encode()  # raises UnicodeError, a ValueError, for a lone surrogate
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError
        if match["index"]:
            index = int(match["index"])
            if abs(index) > _LARGEST:
                raise ValueError
            steps.append(index)
        else:
            steps.append(match["name"] or _unquoted(match["quoted"]))
        position = match.end()
    return tuple(steps)


def _unquoted(text: str) -> str:
    """Return the text of a quoted name, which follows JSON except for single quotes.

    Raises:
        ValueError: the quoted name is not valid.
    """
    if text[0] == "'":
        inner = _QUOTING.sub(lambda match: _AS_DOUBLE.get(match[0], match[0]), text[1:-1])
        text = f'"{inner}"'
    name: str = json.loads(text)
    name.encode()
    return name
