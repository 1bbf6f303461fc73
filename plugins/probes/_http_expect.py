"""What an HTTP answer is expected to be: status ranges, and values of a JSON body."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(-?\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_COMPARISON = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*(.+?)\s*")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def parse_statuses(value: Sequence[int | str]) -> list[range]:
    """Status codes and ranges such as ``200``, ``"301"``, ``"200-299"``. Raises ValueError."""
    found = []
    for item in value:
        match = re.fullmatch(r"(\d{3})(?:\s*-\s*(\d{3}))?", str(item).strip())
        if match is None or (match[2] and match[2] < match[1]):
            raise ValueError(f'{item!r} is no status; write 200 or "200-299"')
        found.append(range(int(match[1]), int(match[2] or match[1]) + 1))
    if not found:
        raise ValueError('give at least one status, such as "200-299"')
    return found


def show_statuses(value: Sequence[int | str]) -> str:
    """The same, for people."""
    return " or ".join(str(item) for item in value)


@frozen
class Expectation:
    """A value in a JSON document, and what it must be."""

    path: str
    steps: tuple[str | int, ...]
    compare: Callable[[Any, Any], bool]
    sign: str
    wanted: Any

    def trouble(self, text: str) -> str | None:
        """What is wrong with a body, or None."""
        try:
            value = json.loads(text)
        except ValueError:
            return "the body is not JSON"
        for step in self.steps:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return f"the body has no {self.path}"
        try:
            if type(value) is bool or type(self.wanted) is bool:
                right = self.compare(value is self.wanted, True)
            else:
                right = self.compare(value, self.wanted)
        except TypeError:
            right = False
        if right:
            return None
        shown = json.dumps(value)[:80]
        return f"{self.path} is {shown}, expected {self.sign} {self.wanted!r}".replace("== ", "")


def json_expectation(path: str, wanted: str | int | float | bool) -> Expectation:
    """A path such as ``$.queue[0].depth`` and a value, or a comparison such as ``"< 100"``.

    The paths are the name and index selectors of RFC 9535, nothing more. Raises ValueError.
    """
    if not path.startswith("$"):
        raise ValueError(f"{path!r} is no path; write it as $.name[0].other")
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError(
                f"{path!r} cannot be used: only names and indexes, such as $.name[0].other"
            )
        name, index, *quoted = match.groups()
        steps.append(int(index) if index is not None else next(x for x in (name, *quoted) if x))
        position = match.end()
    sign = "=="
    comparison = _COMPARISON.fullmatch(wanted) if isinstance(wanted, str) else None
    if comparison is not None:
        sign = comparison[1]
        try:
            wanted = json.loads(comparison[2])
        except ValueError:
            wanted = comparison[2]
    return Expectation(path, tuple(steps), _OPERATORS[sign], sign, wanted)
