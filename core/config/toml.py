"""Parses TOML so that every error has a line and one syntax error does not hide the others.

If a text is not TOML, it is parsed statement by statement (a statement is one header, or one key
with its value, over as many lines as that takes). Wrong statements are reported and left out.
Errors that only follow from leaving them out are suppressed, see :class:`Problems`.
"""

from __future__ import annotations

from typing import Any

from tocsin.core.config.errors import Path, Problems
from tocsin.core.config.statements import (
    Fault,
    Statement,
    header,
    key,
    loads,
    locate,
    split,
    statements,
)

MAX_SYNTAX_ERRORS = 20
MAX_DEPTH = 50
"""Deepest nesting of tables; real configurations have seven levels."""


def parse(text: str, problems: Problems) -> dict[str, Any]:
    """Parse TOML. Statements that are wrong are reported in ``problems`` and left out."""
    lines = text.split("\n")
    try:
        tree = loads(text)
    except Fault:
        tree = _salvage(lines, problems)
    if _too_deep(tree):
        problems.at_line(None, f"tables are nested more than {MAX_DEPTH} deep")
        return {}
    problems.lines = locate("\n".join(lines))
    return tree


def _salvage(lines: list[str], problems: Problems) -> dict[str, Any]:
    """Parse what can be parsed. Wrong statements are blanked in ``lines``."""
    count = 0
    _drop_wrong_statements(lines, problems)
    while (count := count + 1) <= MAX_SYNTAX_ERRORS:
        try:
            return loads("\n".join(lines))
        except Fault as fault:
            # Each statement is valid on its own, so this one contradicts an earlier one.
            at = (fault.line or len(lines)) - 1
            statement = next((s for s in statements(lines) if s.first <= at <= s.last), None)
            # It is in a comment: control characters are not allowed there, either.
            if statement is None:
                problems.at_line(fault.line, f"this is not TOML: {fault}")
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
    """Blank the statements that are not TOML on their own, and report them."""
    table: Path | None = ()
    count = 0
    for statement in statements(lines):
        text = "\n".join(lines[statement.first : statement.last + 1])
        try:
            loads(text)
        except Fault as fault:
            count += 1
            at = statement.first + (fault.line or 1)
            if count <= MAX_SYNTAX_ERRORS:
                problems.at_line(at, f"this is not TOML: {fault}")
            _blank(lines, statement)
            if statement.is_header:
                table = _repair(lines, statement.first, text)
            elif table is not None:
                name = key(split(text)[0]) if "=" in text else None
                problems.leave_out(table, name)
        else:
            if statement.is_header:
                table = header(text)
            elif table is None:  # its header could not be read
                _blank(lines, statement)


def _repair(lines: list[str], at: int, text: str) -> Path | None:
    """Correct a header with a missing or extra bracket, so that its keys stay in its table."""
    inner = text.split("#")[0].strip().strip("[] \t")
    path = key(inner)
    if path is not None:
        double = text.lstrip().startswith("[[")
        lines[at] = f"[[{inner}]]" if double else f"[{inner}]"
    return path


def _blank(lines: list[str], statement: Statement) -> None:
    for number in range(statement.first, statement.last + 1):
        lines[number] = ""


def _blank_section(lines: list[str], start: int) -> None:
    for statement in list(statements(lines)):
        if statement.first >= start:
            if statement.is_header:
                return
            _blank(lines, statement)


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
