"""Matchers: conditions that select the alerts of a silence or maintenance window.

Syntax: ``field=pattern`` or ``field!=pattern``; fields are ``target``, ``rule``, ``severity``,
``kind``, ``project`` and ``label.NAME``; patterns have ``*``, ``?`` and ``[…]`` as in file names.
Unlike a regular expression, such a pattern cannot take exponential time to match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from attrs import frozen

from tocsin.core.alerts.model import Alert
from tocsin.core.contracts.model import Target
from tocsin.core.contracts.rule import Severity

FIELDS = ("target", "rule", "severity", "kind")
MOST = 20
"""Maximum number of matchers of one silence."""

_FORM = re.compile(r"\s*([A-Za-z_]+(?:\.[^=!\s]{1,200})?)\s*(!?=)\s*(.{1,200}?)\s*", re.DOTALL)


@frozen
class Matcher:
    """One condition on an alert."""

    field: str
    pattern: str
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.field}{'!=' if self.negated else '='}{self.pattern}"

    def matches(self, alert: Alert, target: Target | None) -> bool:
        """Return whether an alert matches. ``target`` None: a removed target, without kind and
        labels."""
        return fnmatchcase(self._value(alert, target), self.pattern) is not self.negated

    def _value(self, alert: Alert, target: Target | None) -> str:
        if self.field == "target":
            return alert.target
        if self.field == "rule":
            return alert.rule
        if self.field == "severity":
            return alert.severity.value
        if target is None:
            return ""
        if self.field == "kind":
            return target.kind
        return target.labels.get(self.field.removeprefix("label."), "")


def parse(text: str) -> Matcher:
    """Parse the text form of a matcher.

    Raises:
        ValueError: the text is not a matcher; the message explains the syntax.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text[:80]!r} is no matcher; write one as 'target=web*' or 'rule!=high_cpu'"
        )
    name, sign, pattern = found.groups()
    if name not in FIELDS and not name.startswith("label."):
        raise ValueError(
            f"{name!r} is no field of an alert; known are {', '.join(FIELDS)} and label.NAME"
        )
    if name == "severity" and not any(fnmatchcase(s.value, pattern) for s in Severity):
        raise ValueError(f"{pattern!r} is no severity; known are {', '.join(Severity)}")
    return Matcher(name, pattern, sign == "!=")


def parse_all(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Parse several matchers, all of which must match an alert.

    Raises:
        ValueError: a text is not a matcher, or there are none or more than ``MOST``.
    """
    found = tuple(parse(text) for text in texts)
    if not found:
        raise ValueError("at least one matcher is needed, such as 'target=web*'")
    if len(found) > MOST:
        raise ValueError(f"there are more than {MOST} matchers")
    return found


def match_all(matchers: Iterable[Matcher], alert: Alert, target: Target | None) -> bool:
    """Return whether every matcher matches the alert."""
    return all(matcher.matches(alert, target) for matcher in matchers)
