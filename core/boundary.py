"""The boundary: what plugins, engines and people hand over is cleaned here, once, where it enters.

Live state, rules, journal, history, messages, API and command line all hold what has passed. Rows
of an earlier version are cleaned when they are read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from attrs import evolve, fields

from tocsin.core.contracts.model import (
    CONTAINER_METRICS,
    AuditEntry,
    Container,
    Event,
    LogLine,
    Observation,
    Result,
)
from tocsin.core.contracts.rule import Verdict
from tocsin.core.hiding import are_plain, clean, clean_data, hide, visible

LONGEST_LINE = 16_000
"""Characters of a log line that are kept."""

MOST_OF_LOG = 2_000_000
"""Characters of all log lines of one request."""


_NUMBERS = {
    field.name: field.default
    for field in fields(Container)
    if field.name in ("exit_code", *CONTAINER_METRICS)
}
"""A container's numbers, and what stands for one that is none."""

_MOST = 1e18
"""No container has so much of anything, and no database column holds more."""


def cleaned_result(result: Result) -> Result:
    """A result without secrets and harmful characters; mostly the same one."""
    changed: dict[str, Any] = {}
    if (message := clean(result.message)) != result.message:
        changed["message"] = message
    if not are_plain(result.metrics):
        metrics = result.metrics.items()
        changed["metrics"] = {hide(visible(str(name))): value for name, value in metrics}
    if result.attributes:
        changed["attributes"] = plain(result.attributes)
    facts = result.container
    if facts is not None:  # Compose's project and service are labels, which anybody may write
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
    """An observation with a clean result."""
    result = cleaned_result(observation.result)
    return observation if result is observation.result else evolve(observation, result=result)


def cleaned_event(event: Event) -> Event:
    """An event without secrets and harmful characters."""
    return evolve(event, action=clean(event.action), attributes=plain(event.attributes))


def cleaned_verdict(verdict: Verdict) -> Verdict:
    """A rule's verdict without secrets and harmful characters."""
    if not (verdict.message or verdict.details or verdict.rule_state):
        return verdict
    return evolve(
        verdict,
        message=clean(verdict.message),
        details=plain(verdict.details),
        rule_state=plain(verdict.rule_state),
    )


def cleaned_entry(entry: AuditEntry) -> AuditEntry:
    """What a person changed, likewise."""
    return evolve(
        entry, actor=clean(entry.actor), subject=clean(entry.subject),
        outcome=clean(entry.outcome), details=plain(entry.details),
    )  # fmt: skip


def cleaned_lines(lines: Iterable[LogLine]) -> list[LogLine]:
    """Log lines likewise, each a line, none endless; of more than :data:`MOST_OF_LOG` characters
    the newest. A key in PEM format goes over several lines. Takes up to a second: not for the event
    loop."""
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


def cleaned_rows(rows: Iterable[Mapping[str, Any]], *, raw: Iterable[str] = ()) -> list[Any]:
    """Rows of history, which an earlier version may have written."""
    kept = frozenset(raw)
    return [
        {name: value if name in kept else _cell(value) for name, value in row.items()}
        for row in rows
    ]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    return clean_data(value) if isinstance(value, dict | list) else value


def plain(value: Mapping[str, Any]) -> Any:
    """Data of a plugin as clean JSON, whatever it was."""
    with suppress(Exception):  # what a plugin says may be anything
        value = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    return clean_data(value) if value else {}
