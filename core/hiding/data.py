"""Cleaning data: what a plugin or an engine hands over as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from attrs import define

from tocsin.core.hiding.names import HIDDEN, is_secret_name
from tocsin.core.hiding.text import LONGEST, clean

DEEPEST = 20
MOST = 2000
"""Items of one list or table that are kept."""

MOST_IN_ALL = 200_000
"""Characters of all texts together."""

NODE = 10
"""Characters that a value counts for besides its text."""

LEFT_OUT = "…"

_ENVIRONMENT = re.compile(r"([A-Za-z_][\w.-]{0,200})=(.*)", re.DOTALL)
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
_COMMANDS = ("Path", "Entrypoint", "Cmd", "Args", "Test", "command", "args")
_ATTACHED = re.compile(r"mysql|mariadb|mycli|sshpass|7z")
_SEPARATE = {
    "-p": re.compile(r"sshpass|mongo|rabbitmq|docker|podman|check_(?:my|pg)sql"),
    "-a": re.compile(r"(?:redis|valkey|keydb)-cli"),
    "-w": re.compile(r"ldap"),
    "-P": re.compile(r"mosquitto|zip"),
}
"""Options whose argument is a password, and the programs that take them so."""


def clean_data(
    value: Any, *, longest: int = LONGEST, lines: bool = True, most: int = MOST_IN_ALL
) -> Any:
    """Data with every text in it clean, and nothing shown under a name such as ``password``, in an
    environment, or as an argument that is a password. What JSON does not know becomes text; what
    is past ``most`` characters in all is left out."""
    return _Cleaner(longest, lines, most).clean(value, "", 0, frozenset())


@define
class _Cleaner:
    longest: int
    lines: bool
    left: int

    def clean(self, value: Any, name: str, depth: int, programs: Collection[str]) -> Any:
        """One value, by the name it stands under."""
        if value is None or isinstance(value, bool):
            return value
        self.left -= NODE
        if self.left < 0:
            return LEFT_OUT
        if name and is_secret_name(name) and value and not isinstance(value, Mapping):
            return HIDDEN
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)  # JSON has no such numbers
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
        except Exception as error:  # noqa: BLE001 - a plugin's __str__; cleaning never raises
            return f"<{type(value).__name__} whose text cannot be had: {type(error).__name__}>"

    def text(self, text: str) -> str:
        """A text."""
        self.left -= min(len(text), self.longest)
        return clean(text, lines=self.lines, longest=self.longest) if self.left >= 0 else LEFT_OUT

    def table(self, table: Mapping[Any, Any], depth: int, programs: Collection[str]) -> Any:
        """A table; what it says of a command tells which of its options are passwords."""
        if called := [name for name in _COMMANDS if name in table]:
            programs = {*programs, *(word for name in called for word in _words(table[name]))}
        return {
            self.text(str(key)): self.clean(item, str(key), depth, programs)
            for key, item in islice(table.items(), MOST)
        }

    def list(self, items: list[Any], name: str, depth: int, programs: Collection[str]) -> list[Any]:
        """A list: an environment, arguments, or anything."""
        if name == "Env":  # every value: a list of secret-looking names would miss one
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
    """A program's arguments without those that are passwords. ``programs``: further words of the
    same command, where the program itself stands elsewhere."""
    names = " ".join([*programs, *_words(list(items))])
    shown: list[str] = []
    before = ""
    for item in items:
        plain, text = str.__str__(item), clean(item, lines=True, longest=longest)
        if _takes_secret(before, names) and not plain.startswith("-"):
            text = HIDDEN
        elif before in ("-u", "-U", "--user", "--proxy-user", "-a", "--auth") and ":" in plain:
            user, _, password = plain.partition(":")
            text = text if (user + password).isdigit() else f"{clean(user)}:{HIDDEN}"
        elif plain.startswith("-p") and len(plain) > 2 and _ATTACHED.search(names):
            text = f"-p{HIDDEN}"
        shown.append(text)
        before = plain
    return shown


def _takes_secret(option: str, names: str) -> bool:
    if not option.startswith("-"):
        return False
    if option in _SEPARATE:
        return _SEPARATE[option].search(names) is not None
    return _OPTION.fullmatch(option) is not None and is_secret_name(option.lstrip("-"))
