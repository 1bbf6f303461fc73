"""Reading TOML so that every error has its line, and one syntax error does not hide the others.

A text that is not TOML is read statement by statement (a statement: one header, or one key with its
value, over as many lines as that takes). Those that are wrong are noted and left out. What follows
from leaving them out is no error of its own: see :class:`Problems`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from tocsin.core.config.errors import Path, Problems

MAX_SYNTAX_ERRORS = 20
MAX_DEPTH = 50
"""Tables within tables; a real configuration has seven."""

_POSITION = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_NUMBER = re.compile(r"[+-]?[0-9][0-9_]{4000}")
_STARTS = re.compile(
    r"""\s*(\[\[?\s*(?!(true|false|inf|nan)\b)[A-Za-z_][^=\[\]{},]*\]\]?\s*(\#.*)?$
          | (["']?)[A-Za-z0-9_][\w.\ -]*\4\s*=)""",
    re.VERBOSE,
)
"""A line that can only begin a statement, never go on inside an open bracket."""


_SIMPLE = re.compile(r"""[^"'\[\]{}]*("[^"\\]*"|'[^']*')?\s*(\#.*)?""")
"""A line on which everything that is opened is closed."""


class _Fault(Exception):
    """Text that is not TOML; ``line`` is 1-based, None where the end of the text is meant."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@frozen
class _Statement:
    """Lines ``first`` to ``last`` (0-based, inclusive)."""

    first: int
    last: int
    is_header: bool


def parse(text: str, problems: Problems) -> dict[str, Any]:
    """Parse TOML. Statements that are not TOML are noted in ``problems`` and left out."""
    lines = text.split("\n")
    try:
        tree = _loads(text)
    except _Fault:
        tree = _salvage(lines, problems)
    if _too_deep(tree):
        problems.at_line(None, f"tables lie within tables more than {MAX_DEPTH} deep")
        return {}
    problems.lines = locate("\n".join(lines))
    return tree


def _loads(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _POSITION.search(str(error))
        line = int(found[1]) if found and found[1] else None
        message = _POSITION.sub("", str(error)).strip()
        raise _Fault(message[:1].lower() + message[1:], line) from None
    except ValueError:  # the one thing tomllib lets through: Python's limit on digits
        line = next((n for n, x in enumerate(text.split("\n"), 1) if _NUMBER.search(x)), None)
        raise _Fault("a number has too many digits", line) from None
    except RecursionError:
        raise _Fault("brackets lie too deep within brackets", None) from None


def _salvage(lines: list[str], problems: Problems) -> dict[str, Any]:
    """Parse what can be parsed. Blanks the wrong statements in ``lines``."""
    count = 0
    _drop_wrong_statements(lines, problems)
    while (count := count + 1) <= MAX_SYNTAX_ERRORS:
        try:
            return _loads("\n".join(lines))
        except _Fault as fault:
            # Each statement alone is right, so this one contradicts an earlier one.
            at = (fault.line or len(lines)) - 1
            statement = next((s for s in _statements(lines) if s.first <= at <= s.last), None)
            if statement is None:
                break
            twice = "this table" if statement.is_header else "this key"
            message = f"{twice} was given before ({fault}); remove one of the two"
            problems.at_line(statement.first + 1, message)
            _blank(lines, statement)
            if statement.is_header:
                _blank_section(lines, statement.last + 1)
    lines[:] = []
    return {}


def _drop_wrong_statements(lines: list[str], problems: Problems) -> None:
    table: Path | None = ()
    count = 0
    for statement in _statements(lines):
        text = "\n".join(lines[statement.first : statement.last + 1])
        try:
            _loads(text)
        except _Fault as fault:
            count += 1
            at = statement.first + (fault.line or 1)
            if count <= MAX_SYNTAX_ERRORS:
                problems.at_line(at, f"this is not TOML: {fault}")
            _blank(lines, statement)
            if statement.is_header:
                table = _repair(lines, statement.first, text)
            elif table is not None:
                key = _key(_split(text)[0]) if "=" in text else None
                problems.leave_out(table, key)
        else:
            if statement.is_header:
                table = _header(text)
            elif table is None:  # under a header that could not be read
                _blank(lines, statement)


def _repair(lines: list[str], at: int, text: str) -> Path | None:
    """Put a header with a missing or surplus bracket right, so that its keys stay its own."""
    inner = text.split("#")[0].strip().strip("[] \t")
    path = _key(inner)
    if path is not None:
        double = text.lstrip().startswith("[[")
        lines[at] = f"[[{inner}]]" if double else f"[{inner}]"
    return path


def _blank(lines: list[str], statement: _Statement) -> None:
    for number in range(statement.first, statement.last + 1):
        lines[number] = ""


def _blank_section(lines: list[str], start: int) -> None:
    for statement in list(_statements(lines)):
        if statement.first >= start:
            if statement.is_header:
                return
            _blank(lines, statement)


def _statements(lines: list[str]) -> Iterator[_Statement]:
    """Cut a text into statements; one that is never closed ends where the next surely begins."""
    number = 0
    while number < len(lines):
        start = lines[number].strip()
        if not start or start.startswith("#"):
            number += 1
            continue
        if start.startswith("["):
            yield _Statement(number, number, is_header=True)
            number += 1
            continue
        last = _end(lines, number)
        if last > number and not _is_toml("\n".join(lines[number : last + 1])):
            following = range(number + 1, last + 1)
            last = next((n - 1 for n in following if _STARTS.match(lines[n])), last)
        yield _Statement(number, last, is_header=False)
        number = last + 1


def _is_toml(text: str) -> bool:
    try:
        _loads(text)
    except _Fault:
        return False
    return True


def _end(lines: list[str], first: int) -> int:
    """The last line (0-based) of the value that begins on line ``first``."""
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
    """Go through one line: which multi-line quote, and how many brackets, are open behind it."""
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
    """Map key paths to their lines (1-based), for valid TOML. Keys of inline tables lie on the
    line of the key they belong to."""
    lines = text.split("\n")
    places: dict[Path, int] = {}
    arrays: dict[Path, int] = {}
    table: Path = ()
    for statement in _statements(lines):
        line, number = lines[statement.first], statement.first + 1
        if statement.is_header:
            table = _in_arrays(_header(line) or (), arrays)
            if line.lstrip().startswith("[["):
                arrays[table] = arrays.get(table, -1) + 1
                places.setdefault(table, number)
                table = (*table, f"[{arrays[table]}]")
            path = table
        else:
            path = (*table, *(_key(_split(line)[0]) or ()))
        for length in range(1, len(path) + 1):
            places.setdefault(path[:length], number)
    return places


def _in_arrays(path: Path, arrays: dict[Path, int]) -> Path:
    """A path through arrays of tables goes through the last table of each."""
    found: Path = ()
    for place, part in enumerate(path, start=1):
        found = (*found, part)
        if place < len(path) and found in arrays:
            found = (*found, f"[{arrays[found]}]")
    return found


def _header(line: str) -> Path | None:
    """The path that a header names."""
    try:
        tree: Any = _loads(line)
    except _Fault:
        return None
    parts = []
    while tree:
        if isinstance(tree, list):
            tree = tree[0]
            continue
        name, tree = next(iter(tree.items()))
        parts.append(name)
    return tuple(parts)


def _split(line: str) -> tuple[str, str]:
    """Split at the first ``=`` that is not inside quotes."""
    quote = ""
    for index, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "=":
            return line[:index], line[index + 1 :]
    return line, ""


def _key(text: str) -> Path | None:
    """The parts of a dotted, perhaps quoted, key."""
    if _PLAIN_KEY.fullmatch(text.strip()):
        return tuple(text.strip().split("."))
    return _header(f"[{text.strip()}]")


def _too_deep(tree: dict[str, Any]) -> bool:
    level: list[Any] = [tree]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for node in level
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True
