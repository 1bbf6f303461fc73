"""Removes secrets and harmful characters from the data that plugins, engines and people provide.

This is done once, where the data enter tocsin. Live state, rules, journal, history, messages, API
and command line hold cleaned data only. Rows that an earlier version stored are cleaned when they
are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from attrs import evolve, fields

from tocsin.core.contracts.container import CONTAINER_METRICS, Container
from tocsin.core.contracts.model import AuditEntry, Event, LogLine, Observation, Result
from tocsin.core.contracts.rule import Verdict
from tocsin.core.hiding import are_plain, clean, clean_data, hide, visible

LONGEST_LINE = 16_000
"""Longest line of a target's log, in characters; the rest is cut off."""

MOST_OF_LOG = 2_000_000
"""Most characters of all log lines of one request."""


_NUMBERS = {
    field.name: field.default
    for field in fields(Container)
    if field.name in ("exit_code", *CONTAINER_METRICS)
}
"""The numeric fields of a container, with the values that replace an invalid number."""

_MOST = 1e18
"""Numbers from this size on are invalid: implausible, and too large for the database's columns."""


def cleaned_result(result: Result) -> Result:
    """Return the result without secrets and harmful characters; the same object if it is clean."""
    changed: dict[str, Any] = {}
    if (message := clean(result.message)) != result.message:
        changed["message"] = message
    if not are_plain(result.metrics):
        metrics = result.metrics.items()
        changed["metrics"] = {hide(visible(str(name))): value for name, value in metrics}
    if result.attributes:
        changed["attributes"] = plain(result.attributes)
    facts = result.container
    if facts is not None:  # Compose's project and service come from labels, which anyone may set
        said = {name: getattr(facts, name) for name in ("image", "state", "project", "service")}
        clear: dict[str, Any] = {name: text and clean(text) for name, text in said.items()}
        for name, unsaid in _NUMBERS.items():
            value = getattr(facts, name)
            if value is not None and not (type(value) in (int, float) and abs(value) < _MOST):
                clear[name] = unsaid
        if clear != said:
            changed["container"] = evolve(facts, **clear)
    return evolve(result, **changed) if changed else result


def cleaned_observation(observation: Observation) -> Observation:
    """Return the observation with a clean result."""
    result = cleaned_result(observation.result)
    return observation if result is observation.result else evolve(observation, result=result)


def cleaned_event(event: Event) -> Event:
    """Return the event without secrets and harmful characters."""
    return evolve(event, action=clean(event.action), attributes=plain(event.attributes))


def cleaned_verdict(verdict: Verdict) -> Verdict:
    """Return the verdict without secrets and harmful characters."""
    if not (verdict.message or verdict.details or verdict.rule_state):
        return verdict
    return evolve(
        verdict,
        message=clean(verdict.message),
        details=plain(verdict.details),
        rule_state=plain(verdict.rule_state),
    )


def cleaned_entry(entry: AuditEntry) -> AuditEntry:
    """Return the entry of the audit log without secrets and harmful characters."""
    return evolve(
        entry, actor=clean(entry.actor), subject=clean(entry.subject),
        outcome=clean(entry.outcome), details=plain(entry.details),
    )  # fmt: skip


def cleaned_lines(lines: Iterable[LogLine]) -> list[LogLine]:
    """Return log lines without secrets and harmful characters, limited in length.

    Of more than :data:`MOST_OF_LOG` characters the newest lines are kept. Private keys in PEM
    format are removed although they extend over several lines. This takes up to a second; do not
    call it in the event loop.
    """
    kept: list[LogLine] = []
    left = MOST_OF_LOG
    for line in reversed(list(lines)):
        left -= min(len(line.text), LONGEST_LINE)
        if left < 0:
            kept.append(LogLine(text="… (earlier lines are left out)"))
            break
        kept.append(line)
    cleaned, key = [], False
    for line in reversed(kept):
        text = line.text
        key = key or ("-----BEGIN" in text and "PRIVATE KEY" in text)
        shown = "***" if key else clean(text, longest=LONGEST_LINE)
        key = key and "-----END" not in text
        cleaned.append(LogLine(text=shown, stream=line.stream, at=line.at))
    return cleaned


def plain(value: Mapping[str, Any]) -> Any:
    """Return a plugin's data, of any type, as clean JSON-compatible data."""
    with suppress(Exception):  # a plugin may provide any objects
        value = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    return clean_data(value) if value else {}
