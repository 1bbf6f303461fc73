"""Reading TOML so that every error has its line, and one syntax error does not hide the others."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tocsin.core.config.errors import Path, Problems

MAX_SYNTAX_ERRORS = 20
_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_HEADER = re.compile(r"^\s*(\[\[?)(.+?)(\]\]?)\s*(#.*)?$")
_QUOTES = ('"""', "'''")


def parse(text: str, problems: Problems) -> dict[str, Any]:
    """Parse TOML. Lines that are not TOML are noted in ``problems`` and left out."""
    lines = text.split("\n")
    for _ in range(MAX_SYNTAX_ERRORS):
        try:
            tree = tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError as error:
            match = _LINE.search(str(error))
            number = int(match[1]) if match else _last_content(lines)
            number = min(number, len(lines))
            while number > 1 and not lines[number - 1].strip():
                number -= 1  # an unclosed bracket or quote is noticed only further down
            message = _LINE.sub("", str(error)).strip()
            problems.at_line(number, f"this is not TOML: {message[0].lower()}{message[1:]}")
            if not lines[number - 1].strip():
                return {}
            lines[number - 1] = ""
            continue
        problems.lines = locate("\n".join(lines))
        return tree
    return {}


def _last_content(lines: list[str]) -> int:
    return max((n for n, line in enumerate(lines, start=1) if line.strip()), default=1)


def locate(text: str) -> dict[Path, int]:
    """Map key paths to their lines (1-based), for valid TOML. Keys of inline tables lie on the
    line of the key they belong to."""
    places: dict[Path, int] = {}
    table: Path = ()
    arrays: dict[Path, int] = {}
    pending = ""  # a value that goes on over several lines
    for number, line in enumerate(text.split("\n"), start=1):
        if pending:
            pending += "\n" + line
            if _complete(pending):
                pending = ""
            continue
        header = _HEADER.match(line)
        if header and (path := _key(header[2])) is not None and "=" not in header[2]:
            table = path
            if header[1] == "[[":
                arrays[path] = arrays.get(path, -1) + 1
                table = (*path, f"[{arrays[path]}]")
            for length in range(1, len(table) + 1):
                places.setdefault(table[:length], number)
            continue
        name, equals, value = _split(line)
        if not equals or (key := _key(name)) is None:
            continue
        for length in range(1, len(key) + 1):
            places.setdefault((*table, *key[:length]), number)
        if not _complete(value):
            pending = value
    return places


def _split(line: str) -> tuple[str, str, str]:
    """Split at the first ``=`` that is not inside quotes."""
    quote = ""
    for index, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#":
            break
        elif char == "=":
            return line[:index], "=", line[index + 1 :]
    return line, "", ""


def _key(text: str) -> Path | None:
    """The parts of a dotted, perhaps quoted, key."""
    try:
        tree: Any = tomllib.loads(f"{text.strip()} = 0")
    except tomllib.TOMLDecodeError:
        return None
    parts = []
    while isinstance(tree, dict):
        name, tree = next(iter(tree.items()))
        parts.append(name)
    return tuple(parts)


def _complete(value: str) -> bool:
    """Whether a value ends here, or goes on in the next line."""
    if not any(mark in value for mark in ("[", "{", *_QUOTES)):
        return True
    try:
        tomllib.loads(f"x = {value}")
    except tomllib.TOMLDecodeError:
        return False
    return True
