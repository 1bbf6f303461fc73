"""Cleaning data: what a plugin or an engine hands over as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from tocsin.core.hiding.names import HIDDEN, is_secret_name
from tocsin.core.hiding.text import LONGEST, clean

DEEPEST = 20
MOST = 2000
"""Items of one list or table that are kept."""

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


def clean_data(value: Any, *, longest: int = LONGEST, lines: bool = True) -> Any:
    """Data with every text in it clean, and nothing shown under a name such as ``password``, in an
    environment, or as an argument that is a password. What JSON does not know becomes text."""
    return _clean(value, "", 0, longest, lines, frozenset())


def _clean(
    value: Any, name: str, depth: int, longest: int, lines: bool, programs: Collection[str]
) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if name and is_secret_name(name) and value and not isinstance(value, Mapping):
        return HIDDEN
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if type(value) in (int, float):
        return value
    if isinstance(value, str):
        return clean(value, lines=lines, longest=longest)
    if depth < DEEPEST:
        if isinstance(value, Mapping):
            if called := [n for n in _COMMANDS if n in value]:
                programs = {*programs, *(w for n in called for w in _words(value[n]))}
            return {
                clean(str(key)): _clean(item, str(key), depth + 1, longest, lines, programs)
                for key, item in list(value.items())[:MOST]
            }
        if isinstance(value, list | tuple | set | frozenset):
            items = list(value)[:MOST]
            if name == "Env":  # every value: a list of secret-looking names would miss one
                return [_ENVIRONMENT.sub(rf"\1={HIDDEN}", clean(str(item))) for item in items]
            if len(items) > 1 and all(isinstance(item, str) for item in items):
                return clean_arguments(items, programs, longest=longest)
            if len(items) == 1 and programs and isinstance(items[0], str):
                return clean_arguments(items, programs, longest=longest)
            return [_clean(item, name, depth + 1, longest, lines, programs) for item in items]
    try:
        return clean(str(value), lines=lines, longest=longest)
    except Exception as error:  # noqa: BLE001 - a plugin's __str__; cleaning never raises
        return f"<{type(value).__name__} whose text cannot be had: {type(error).__name__}>"


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
