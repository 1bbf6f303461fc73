"""Splits TOML into statements: where each starts and ends, and which key it sets."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from tocsin.core.config.errors import Path

_POSITION = re.compile(r"\s{0,4}\(at (?:line (\d+), column \d+|end of document)\)")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_NUMBER = re.compile(r"[+-]?[0-9][0-9_]{4000}")
_STARTS = re.compile(
    r"""\s*(\[\[?\s*(?!(true|false|inf|nan)\b)[A-Za-z_][^=\[\]{},]*\]\]?\s*(\#.*)?$
          | (["']?)[A-Za-z0-9_][\w.\ -]*+\4\s*+=)""",
    re.VERBOSE,
)
"""A line that can only start a statement, not continue one inside an open bracket."""

_SIMPLE = re.compile(r"""[^"'\[\]{}#]*+("[^"\\]*"|'[^']*')?\s*+(\#.*)?""")
"""A line on which all brackets and quotes are closed."""


class Fault(Exception):
    """Text that is not TOML; ``line`` is 1-based, None stands for the end of the text."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@frozen
class Statement:
    """A statement on lines ``first`` to ``last`` (0-based, inclusive)."""

    first: int
    last: int
    is_header: bool


def loads(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        Fault: the text is not TOML. No other exception is raised.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _POSITION.search(str(error))
        line = int(found[1]) if found and found[1] else None
        message = _POSITION.sub("", str(error)).strip()
        raise Fault(message[:1].lower() + message[1:], line) from None
    except ValueError:  # tomllib does not catch Python's limit on digits
        line = next((n for n, x in enumerate(text.split("\n"), 1) if _NUMBER.search(x)), None)
        raise Fault("a number has too many digits", line) from None
    except RecursionError:
        raise Fault("brackets are nested too deeply", None) from None


def statements(lines: list[str]) -> Iterator[Statement]:
    """Split a text into statements. One that is never closed ends before the next certain start."""
    number = 0
    while number < len(lines):
        start = lines[number].strip()
        if not start or start.startswith("#"):
            number += 1
            continue
        if start.startswith("["):
            yield Statement(number, number, is_header=True)
            number += 1
            continue
        last = _end(lines, number)
        if last > number and not _is_toml("\n".join(lines[number : last + 1])):
            following = range(number + 1, last + 1)
            last = next((n - 1 for n in following if _STARTS.match(lines[n])), last)
        yield Statement(number, last, is_header=False)
        number = last + 1


def _is_toml(text: str) -> bool:
    try:
        loads(text)
    except Fault:
        return False
    return True


def _end(lines: list[str], first: int) -> int:
    """Return the last line (0-based) of the value that starts on line ``first``."""
    if _SIMPLE.fullmatch(lines[first]):
        return first
    quote, depth = "", 0
    for number in range(first, len(lines)):
        line = lines[number]
        if number > first and depth > 0 and not quote and _STARTS.match(line):
            return number - 1
        quote, depth = _scan(line, quote, depth)
        if not quote and depth <= 0:
            return number
    return len(lines) - 1


def _scan(line: str, quote: str, depth: int) -> tuple[str, int]:
    """Scan a line; return the multi-line quote and the number of brackets left open after it."""
    at = 0
    while at < len(line):
        char = line[at]
        if quote:
            if char == "\\" and quote[0] == '"':
                at += 1
            elif line.startswith(quote, at):
                at += len(quote) - 1
                quote = ""
        elif char == "#":
            break
        elif char in "\"'":
            quote = char * 3 if line.startswith(char * 3, at) else char
            at += len(quote) - 1
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        at += 1
    return (quote if len(quote) == 3 else ""), depth


def locate(text: str) -> dict[Path, int]:
    """Map key paths to their lines (1-based), for valid TOML.

    Keys of inline tables have the line of the key that the table belongs to.
    """
    lines = text.split("\n")
    places: dict[Path, int] = {}
    arrays: dict[Path, int] = {}
    table: Path = ()
    for statement in statements(lines):
        line, number = lines[statement.first], statement.first + 1
        if statement.is_header:
            table = _in_arrays(header(line) or (), arrays)
            if line.lstrip().startswith("[["):
                arrays[table] = arrays.get(table, -1) + 1
                places.setdefault(table, number)
                table = (*table, f"[{arrays[table]}]")
            path = table
        else:
            path = (*table, *(key(split(line)[0]) or ()))
        for length in range(1, len(path) + 1):
            places.setdefault(path[:length], number)
    return places


def _in_arrays(path: Path, arrays: dict[Path, int]) -> Path:
    """Insert into a path, for each array of tables, the index of its last table so far."""
    found: Path = ()
    for place, part in enumerate(path, start=1):
        found = (*found, part)
        if place < len(path) and found in arrays:
            found = (*found, f"[{arrays[found]}]")
    return found


def header(line: str) -> Path | None:
    """Return the path that a table header names; None if it is not a header."""
    try:
        tree: Any = loads(line)
    except Fault:
        return None
    parts = []
    while tree:
        if isinstance(tree, list):
            tree = tree[0]
            continue
        name, tree = next(iter(tree.items()))
        parts.append(name)
    return tuple(parts)


def split(line: str) -> tuple[str, str]:
    """Split a line at the first ``=`` outside of quotes."""
    quote = ""
    for index, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "=":
            return line[:index], line[index + 1 :]
    return line, ""


def key(text: str) -> Path | None:
    """Return the parts of a dotted key, which may be quoted; None if it is not a key."""
    if _PLAIN_KEY.fullmatch(text.strip()):
        return tuple(text.strip().split("."))
    return header(f"[{text.strip()}]")
