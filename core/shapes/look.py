"""Validation of one value that a plugin handed over: what is invalid, and which part is usable."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from math import isfinite
from numbers import Real
from typing import Any, TypeGuard, TypeVar

from attrs import evolve, fields, frozen

from tocsin.core.boundary import plain
from tocsin.core.hiding import visible
from tocsin.core.plugin.faults import PluginFault, describe

T = TypeVar("T")

LONGEST_NAME = 100
"""Maximum length of a name, in characters."""

LONGEST_TARGET = 255
"""Maximum length of a discovered target's name, in characters: engines allow that many."""

LONGEST_LINE = 1_000_000
"""Maximum length of a log line, in characters, before it is shortened for display."""

LONGEST_TEXT = 20_000
"""Maximum length of a text, in characters; it is shortened further for display."""

LONGEST_REFERENCE = 1000
"""Maximum length of a provider's id of a message, in characters."""

MOST_METRICS = 500
"""Maximum number of metrics of one result."""

MOST_ITEMS = 5000
"""Maximum number of values in one table of data, over all levels."""

MOST_LEVELS = 20
"""Maximum depth of nested tables and lists."""

MOST_DEPENDENCIES = 1000
MOST_TARGETS = 100_000
"""Maximum number of names in one inventory."""

MOST_STATE = 64_000
"""Maximum size of a rule's state, in characters (estimated)."""

LARGEST = 1e300
"""Maximum of a metric; sums of such numbers are still finite."""

LARGEST_WHOLE = 2**63
LONGEST_WAIT = 366 * 86400.0
"""Maximum length of a duration, in seconds."""

AHEAD = timedelta(hours=1)
"""An observation whose time is further in the future is given the present time."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""What the text form of an object says about its place in memory."""

_PLAIN = (str, int, float, bool, type(None))


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a finite number; booleans are not numbers."""
    if type(value) is float:
        return isfinite(value)
    return type(value) is int and -LARGEST_WHOLE < value < LARGEST_WHOLE


def are_numbers(given: object) -> bool:
    """Return whether a value is a plain dict of at most MOST_METRICS finite numbers."""
    if type(given) is not dict or len(given) > MOST_METRICS:
        return False
    for key, value in given.items():
        if type(key) is not str or not 0 < len(key) <= 200:
            return False
        if not (isfinite(value) if type(value) is float else is_number(value)):
            return False
    return True


def is_name(value: object, longest: int = LONGEST_NAME) -> bool:
    """Return whether a value is one line of text with at most ``longest`` characters."""
    return type(value) is str and 0 < len(value) <= longest and visible(value) == value


def show(value: object) -> str:
    """Return a short text form of any value, for an error message."""
    if type(value) is int and abs(value) >= LARGEST_WHOLE:
        return f"a number of {value.bit_length()} bits"
    try:
        text = repr(value[:60] if isinstance(value, str) else value)
    except BaseException:  # noqa: BLE001 - a third-party repr
        return f"a {type(value).__name__}"
    text = _ADDRESS.sub("", text)
    return text if len(text) <= 60 else f"{text[:57]}…"


@frozen
class Look:
    """Collects the invalid parts of one object, and the values that replace them."""

    wrong: list[str]
    changed: dict[str, Any]

    @classmethod
    def new(cls) -> Look:
        """Return an empty one."""
        return cls([], {})

    def instead(self, name: str, value: Any, given: object, wanted: str) -> None:
        """Replace an invalid value.

        Args:
            name: the field.
            value: the replacement.
            given: the invalid value.
            wanted: what would be valid, as in "a number".
        """
        self.changed[name] = value
        self.wrong.append(f"{name} {show(given)}, not {wanted}")

    def text(self, name: str, given: object, longest: int = LONGEST_TEXT) -> None:
        """Validate a text; shorten it if it is too long."""
        if type(given) is str:
            if len(given) > longest:
                self.changed[name] = given[:longest]
        elif isinstance(given, str):
            self.changed[name] = str(given)[:longest]  # str() of a Secret is three asterisks
        else:
            self.instead(name, "", given, "text")

    def seconds(self, name: str, given: object) -> None:
        """Validate a number of seconds, or None."""
        if given is not None and not (is_number(given) and 0 <= given <= LONGEST_WAIT):
            self.instead(name, None, given, "a number of seconds")

    def numbers(self, name: str, given: object) -> None:
        """Validate a table of numbers by name."""
        if are_numbers(given):
            return
        kept: dict[str, float] = {}
        self.changed[name] = kept
        if not isinstance(given, Mapping):
            self.wrong.append(f"{name} {show(given)}, not a table of numbers")
            return
        for key, value in islice(given.items(), MOST_METRICS + 1):
            if len(kept) == MOST_METRICS:
                self.wrong.append(f"more than {MOST_METRICS} {name}")
                break
            number = _number(value)
            if not isinstance(key, str) or not 0 < len(key) <= 200:
                self.wrong.append(f"{name} called {show(key)}, not a short text")
            elif number is None:
                self.wrong.append(f"{name} {show(key)} = {show(value)}, not a finite number")
            else:
                kept[str(key)] = number

    def data(self, name: str, given: object, *, whole: bool = False) -> None:
        """Validate data as JSON; what JSON cannot represent becomes text.

        Args:
            name: the field.
            given: its value.
            whole: whether data of which only a part fits is of no use, and replaced by nothing.
        """
        if not given and type(given) is dict:
            return
        if not isinstance(given, Mapping):
            self.instead(name, {}, given, "a table")
            return
        room = _Room(MOST_ITEMS, MOST_STATE if whole else LONGEST_TEXT)
        bounded = room.copy(given, 0)
        if room.left < 0:
            self.wrong.append(f"{name} of more than {MOST_ITEMS} values")
        if room.is_too_deep:
            self.wrong.append(f"{name} of more than {MOST_LEVELS} levels")
        if whole and room.is_cut:
            self.wrong.append(f"{name} with a text of more than {room.longest} characters")
        if whole and (room.left < 0 or room.is_too_deep or room.is_cut):
            bounded = {}
        if not all(type(value) in _PLAIN for value in bounded.values()):
            bounded = plain(bounded)
        if bounded != given:
            self.changed[name] = bounded

    def done(self, given: T, what: str) -> tuple[T, str | None]:
        """Return the usable object, and a clause that says what was invalid, or None.

        Args:
            given: the object.
            what: what it is, as in "a result".
        """
        if self.changed:
            given = evolve(given, **self.changed)  # type: ignore[misc]
        if not self.wrong:
            return given, None
        more = f", and {len(self.wrong) - 3} more" if len(self.wrong) > 3 else ""
        return given, f"gave {what} with {'; '.join(self.wrong[:3])}{more}"


class _Room:
    """Copies data up to a maximum number of values, with texts up to a maximum length."""

    def __init__(self, left: int, longest: int) -> None:
        self.left, self.longest = left, longest
        self.is_too_deep = self.is_cut = False

    def copy(self, value: Any, depth: int) -> Any:
        """Return a copy of the part that fits."""
        self.left -= 1
        if self.left < 0:
            return None
        if isinstance(value, str):
            text = value[: self.longest] if type(value) is str else str(value)[: self.longest]
            self.left -= len(text) // 100
            self.is_cut = self.is_cut or len(value) > self.longest
            return text
        if isinstance(value, int) and not -LARGEST_WHOLE < value < LARGEST_WHOLE:
            return show(int(value))
        if not isinstance(value, Mapping | list | tuple | set | frozenset):
            return value
        if depth >= MOST_LEVELS:
            self.is_too_deep = True
            return "…"
        if isinstance(value, Mapping):
            few = islice(value.items(), max(0, self.left) + 1)
            return {
                key[:200] if type(key) is str else key: self.copy(item, depth + 1)
                for key, item in few
            }
        return [self.copy(item, depth + 1) for item in islice(value, max(0, self.left) + 1)]


def _number(value: object) -> float | int | None:
    if is_number(value):
        return value
    if not isinstance(value, Real):  # numpy's numbers are Real
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError, TypeError):
        return None
    return number if isfinite(number) and abs(number) <= LARGEST else None


def read_as(cls: type[T], given: object, hook: str) -> T:
    """Return an object of exactly the class ``cls``, so that reading it runs no code of a plugin.

    Args:
        cls: the class.
        given: an object of the class or of a subclass.
        hook: the method that returned it.

    Raises:
        PluginFault: it is no such object, or cannot be read.
    """
    if type(given) is cls:
        return given
    if not isinstance(given, cls):
        name = f"an {cls.__name__}" if cls.__name__[0] in "AEO" else f"a {cls.__name__}"
        raise PluginFault(f"returned {type(given).__name__} from {hook}, not {name}")
    try:
        names = [field.name for field in fields(cls) if field.init]  # type: ignore[arg-type]
        return cls(**{name: getattr(given, name) for name in names})
    except BaseException as error:
        raise PluginFault(describe(error, f"when its {cls.__name__} was read")) from error


def guarded(look: Callable[[], T], what: str) -> T:
    """Call a function that may run code of a plugin.

    Args:
        look: the function.
        what: what it reads, as in "its result".

    Raises:
        PluginFault: the function raised an exception.
    """
    try:
        return look()
    except PluginFault:
        raise
    except Exception as error:
        raise PluginFault(describe(error, f"when {what} was read")) from error


def is_aware(given: object) -> TypeGuard[datetime]:
    """Return whether a value is a datetime with a time zone."""
    try:
        return type(given) is datetime and given.utcoffset() is not None
    except Exception:  # noqa: BLE001 - a third-party time zone
        return False
