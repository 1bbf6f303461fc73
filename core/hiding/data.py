"""Cleaning of data that a plugin or an engine hands over, to be used as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from attrs import define

from tocsin.core.hiding.arguments import OPTION, PORTS, POSITIONAL, PROGRAMS, USER, is_pair
from tocsin.core.hiding.names import HIDDEN, is_secret_name
from tocsin.core.hiding.text import LONGEST, clean

DEEPEST = 20
MOST = 2000
"""Maximum number of items of one list or table that are kept."""

MOST_IN_ALL = 200_000
"""Maximum number of characters of all texts together."""

NODE = 10
"""Characters that each value counts for in addition to its text."""

LEFT_OUT = "…"

_ENVIRONMENT = re.compile(r"([A-Za-z_][\w.-]{0,200})=(.*)", re.DOTALL)
_NAMES, _VALUES = ("name", "Name", "key", "Key"), ("value", "Value")
_COMMANDS = ("Path", "Entrypoint", "Cmd", "Args", "Test", "command", "args")


def clean_data(
    value: Any, *, longest: int = LONGEST, lines: bool = True, most: int = MOST_IN_ALL
) -> Any:
    """Return data in which every text is clean, and values are hidden if their key is a name such
    as ``password``, or if they are environment variables or arguments that are passwords.

    Args:
        value: the data; what JSON cannot represent becomes text.
        longest: maximum length of one text, in characters.
        lines: whether texts keep their line ends.
        most: maximum number of characters in all; the rest is left out.
    """
    return _Cleaner(longest, lines, most).clean(value, "", 0, frozenset())


@define
class _Cleaner:
    longest: int
    lines: bool
    left: int

    def clean(self, value: Any, name: str, depth: int, programs: Collection[str]) -> Any:
        """Clean one value; ``name`` is the key that it has in its table."""
        if value is None or isinstance(value, bool):
            return value
        self.left -= NODE
        if self.left < 0:
            return LEFT_OUT
        if name and value and is_secret_name(name):
            if not isinstance(value, Mapping):
                return HIDDEN
            if depth < DEEPEST:  # ``{"token": {"value": "…"}}``
                return {
                    self.text(str(key)): self.clean(
                        item, "" if isinstance(item, int | float) else name, depth + 1, programs
                    )
                    for key, item in islice(value.items(), MOST)
                }
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)  # JSON has no such numbers (infinity, not a number)
        if type(value) in (int, float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth < DEEPEST and isinstance(value, Mapping):
            return self.table(value, depth + 1, programs)
        if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return self.list(list(value)[:MOST], name, depth + 1, programs)
        try:
            return self.text(str(value))
        except Exception as error:  # noqa: BLE001 - from a plugin's __str__; cleaning never raises
            return f"<{type(value).__name__} whose text cannot be read: {type(error).__name__}>"

    def text(self, text: str) -> str:
        """Clean a text."""
        self.left -= min(len(text), self.longest)
        return clean(text, lines=self.lines, longest=self.longest) if self.left >= 0 else LEFT_OUT

    def table(self, table: Mapping[Any, Any], depth: int, programs: Collection[str]) -> Any:
        """Clean a table. If it names a command, that decides which of its options are passwords."""
        if called := [name for name in _COMMANDS if name in table]:
            programs = {*programs, *(word for name in called for word in _words(table[name]))}
        said = next((table[key] for key in _NAMES if isinstance(table.get(key), str)), "")
        return {
            self.text(str(key)): self.clean(
                item, said if key in _VALUES and is_secret_name(said) else str(key), depth, programs
            )
            for key, item in islice(table.items(), MOST)
        }

    def list(self, items: list[Any], name: str, depth: int, programs: Collection[str]) -> list[Any]:
        """Clean a list: an environment, arguments, or any other list."""
        if name == "Env":  # all values are hidden: a list of secret names would miss some
            return [_ENVIRONMENT.sub(rf"\1={HIDDEN}", self.text(str(item))) for item in items]
        if (len(items) > 1 or programs) and all(isinstance(item, str) for item in items):
            few: list[str] = []
            for item in items:
                self.left -= min(len(item), self.longest) + NODE
                if self.left < 0:
                    break
                few.append(item)
            shown = clean_arguments(few, programs, longest=self.longest)
            return shown if len(few) == len(items) else [*shown, LEFT_OUT]
        return [self.clean(item, name, depth, programs) for item in items]


def _words(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [str(text).rpartition("/")[2][:60] for text in texts[:50]]


def clean_arguments(
    items: Collection[str], programs: Collection[str] = (), *, longest: int = LONGEST
) -> list[str]:
    """Return a program's arguments without passwords.

    Args:
        items: the arguments.
        programs: further words of the same command, if the program is named elsewhere.
        longest: maximum length of one argument, in characters.
    """
    names = " ".join([*programs, *_words(list(items))])
    letters = "".join(one for program, one, _ in PROGRAMS if program.search(names))
    shown: list[str] = []
    before = second = ""
    key = False
    for item in items:
        plain, text = str.__str__(item), clean(item, lines=True, longest=longest)
        if key or _in_header(before, second, plain):
            text = HIDDEN
        key = (key or "-----BEGIN" in plain) and "-----END" not in plain
        option, value = _split(plain, before)
        user = _USER.match(value)
        if (not plain.startswith("-") and _takes_secret(before, letters, plain)) or (
            POSITIONAL.fullmatch(second)
        ):
            text = HIDDEN
        elif option and user and is_pair(option, user[0], value[user.end() :], names.lower()):
            text = f"{clean(plain.removesuffix(value) + user[0])}{HIDDEN}"
        elif plain[:1] == "-" and plain[1:2] in letters and len(plain) > 2 and plain[1:2] != "b":
            text = f"{plain[:2]}{HIDDEN}"
        shown.append(text)
        second, before = before, plain
    return shown


def _in_header(before: str, second: str, value: str) -> bool:
    """Return whether an argument belongs to a header that was split at its spaces."""
    if before.lower() in ("bearer", "basic", "token") and second[-1:] == ":":
        return True
    name = before.strip("'\"")
    scheme = value.lower() in ("bearer", "basic", "token")
    return name[-1:] == ":" and not scheme and is_secret_name(name[:-1])


_USER = re.compile(r"[^\s:%,/]{1,80}[:%,]")
_PAIR = re.compile(f"({USER})(=?)")


def _split(plain: str, before: str) -> tuple[str, str]:
    """Return the option that takes a user and a password, and its value, which are in one argument
    or in two; empty if there is none."""
    if _PAIR.fullmatch(before) and plain[:1] != "-":
        return before, plain
    option = _PAIR.match(plain)
    return ("", "") if option is None else (option[1], plain[option.end() :])


def _takes_secret(option: str, letters: str, value: str) -> bool:
    if option[:1] != "-" or PORTS.fullmatch(value):
        return False
    if len(option) == 2:
        return option[1] in letters and (option != "-b" or "=" in value)
    return OPTION.fullmatch(option) is not None and is_secret_name(option.lstrip("-"))
