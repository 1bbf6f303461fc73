"""Validation of what probes, rules and notifiers return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.model import Result, Status
from tocsin.core.contracts.notifier import Receipt
from tocsin.core.contracts.rule import Verdict, VerdictState
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes.look import (
    LONGEST_REFERENCE,
    LONGEST_TEXT,
    LONGEST_WAIT,
    MOST_STATE,
    Look,
    are_numbers,
    guarded,
    is_aware,
    is_name,
    read_as,
    show,
)

LONGEST_REASON = 300
"""Maximum length of the reason of a reviewer, and of a reported trouble, in characters."""


def fit_reason(given: object) -> str | None:
    """Return a reviewer's reason as one line of text, or None.

    Raises:
        PluginFault: it is neither text nor None.
    """
    return _sentence(given, "returned {} from review, neither a reason nor None")


def fit_trouble(given: object) -> str | None:
    """Return a trouble that a runtime reports as one line of text, or None.

    Raises:
        PluginFault: it is neither text nor None.
    """
    return _sentence(given, "reported the trouble {}, neither a sentence nor None")


def _sentence(given: object, fault: str) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not (text := " ".join(str.split(str(given)))):
        raise PluginFault(fault.format(show(given)))
    return text[:LONGEST_REASON]


def fit_result(given: object, hook: str = "check") -> tuple[Result, str | None]:
    """Return the usable part of a probe's or source's result, and what was invalid, or None.

    Args:
        given: the value.
        hook: the method that returned it.

    Raises:
        PluginFault: it is not a result, or has no valid status.
    """
    try:
        if type(given) is Result and _is_plain(given):  # the usual case
            return given, None
    except Exception:  # noqa: BLE001, S110 - the validation below says what is wrong
        pass
    return guarded(lambda: _fit_result(read_as(Result, given, hook)), "its result")


def _is_plain(result: Result) -> bool:
    """Return whether a result is valid and reading it runs no code of a plugin."""
    message, latency, attributes = result.message, result.latency, result.attributes
    return (
        type(result.status) is Status
        and type(message) is str
        and len(message) <= LONGEST_TEXT
        and (latency is None or (type(latency) is float and 0 <= latency <= LONGEST_WAIT))
        and type(attributes) is dict
        and not attributes
        and result.container is None
        and are_numbers(result.metrics)
    )


def _fit_result(result: Result) -> tuple[Result, str | None]:
    if type(result.status) is not Status:
        raise PluginFault(f"gave a result whose status is {show(result.status)}, not a Status")
    look = Look.new()
    look.text("message", result.message)
    look.seconds("latency", result.latency)
    look.numbers("metrics", result.metrics)
    look.data("attributes", result.attributes)
    if result.container is not None:
        _fit_container(look, result.container)
    return look.done(result, "a result")


_TEXTS = ("id", "image", "state", "health", "restart_policy")
_TIMES = ("created_at", "started_at", "finished_at")


def _fit_container(look: Look, given: object) -> None:
    """Validate a container's facts; its numbers are validated by ``boundary.cleaned_result``."""
    facts = read_as(Container, given, "check")
    inner = Look.new()
    for name in _TEXTS:
        inner.text(name, getattr(facts, name), 1000)
    for name in ("project", "service"):
        if getattr(facts, name) is not None:
            inner.text(name, getattr(facts, name), 1000)
    if type(facts.reason) is not Reason:
        raise PluginFault(f"gave a container whose reason is {show(facts.reason)}, not a Reason")
    for name in _TIMES:
        if (at := getattr(facts, name)) is not None and not is_aware(at):
            inner.instead(name, None, at, "an aware datetime")
    if type(facts.oom_killed) is not bool:
        inner.instead("oom_killed", False, facts.oom_killed, "true or false")
    if type(facts.ports) is not tuple or not all(is_name(port, 1000) for port in facts.ports):
        inner.instead("ports", (), facts.ports, "a tuple of texts")
    facts, _ = inner.done(facts, "")
    look.wrong.extend(inner.wrong)
    if facts is not given:
        look.changed["container"] = facts


def fit_verdict(given: object, least_again: float = 0.0) -> tuple[Verdict, str | None]:
    """Return the usable part of a rule's verdict, and what was invalid, or None.

    Args:
        given: the value.
        least_again: minimum of ``recheck_after``, in seconds.

    Raises:
        PluginFault: it is not a verdict, or has no valid state.
    """

    def look_at() -> tuple[Verdict, str | None]:
        verdict = read_as(Verdict, given, "evaluate")
        if type(verdict.state) is not VerdictState:
            why = f"gave a verdict whose state is {show(verdict.state)}, not a VerdictState"
            raise PluginFault(why)
        look = Look.new()
        look.text("message", verdict.message)
        look.data("details", verdict.details)
        look.data("rule_state", verdict.rule_state, whole=True)
        state = look.changed.get("rule_state", verdict.rule_state)
        if state and (size := _size(state)) > MOST_STATE:
            look.changed["rule_state"] = {}
            look.wrong.append(f"{size} characters of rule_state, more than {MOST_STATE}")
        again = verdict.recheck_after
        look.seconds("recheck_after", again)
        if "recheck_after" not in look.changed and again is not None and again < least_again:
            look.changed["recheck_after"] = least_again
        return look.done(verdict, "a verdict")

    return guarded(look_at, "its verdict")


def _size(value: Any) -> int:
    """Return the estimated size of a value, in characters."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, Mapping):
        return sum(_size(key) + _size(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return sum(_size(item) for item in value)
    return 10


def fit_receipt(given: object) -> tuple[Receipt, str | None]:
    """Return the usable part of a notifier's receipt, and what was invalid, or None.

    Raises:
        PluginFault: it is not a receipt.
    """

    def look_at() -> tuple[Receipt, str | None]:
        receipt = read_as(Receipt, given, "send")
        look = Look.new()
        look.text("answer", receipt.answer)
        if receipt.reference is not None and not is_name(receipt.reference, LONGEST_REFERENCE):
            look.instead("reference", None, receipt.reference, "one short line of text")
        return look.done(receipt, "a receipt")

    return guarded(look_at, "its receipt")
