"""Conformance suites for rules and notifiers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from attrs import evolve

from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.message import Kind, Message, Notice, TargetStatus
from tocsin.core.contracts.model import Event, LogLine, Observation, Result, Status, Target
from tocsin.core.contracts.notifier import Notifier, NotifyError, Receipt
from tocsin.core.contracts.rule import History, Rule, Severity, Verdict
from tocsin.core.hiding import clean
from tocsin.core.ids import new_id
from tocsin.core.templates.checks import check_declared
from tocsin.core.templates.declared import TemplateProblem
from tocsin.core.templates.renderer import Renderer
from tocsin.core.testing.conformance import (
    MESSAGE_LIMIT,
    _secrets,
    check_class,
    check_no_tasks_left,
    check_secrets_hidden,
)
from tocsin.core.testing.context import RecordingContext, opened
from tocsin.core.testing.controls import RecordingControls, check_listen

_AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
GRACE = 1.0


def check_verdict(verdict: object) -> None:
    """Check that a verdict can be stored and shown.

    Raises:
        AssertionError: it cannot.
    """
    assert isinstance(verdict, Verdict), f"evaluate() returned {type(verdict).__name__}"
    assert len(verdict.message) <= MESSAGE_LIMIT, f"the message has over {MESSAGE_LIMIT} characters"
    assert "\n" not in verdict.message, f"the message has line breaks: {verdict.message!r}"
    for what in (verdict.details, verdict.rule_state):
        again = msgspec.json.decode(msgspec.json.encode(what))
        assert msgspec.json.encode(again) == msgspec.json.encode(what), (
            "details or rule_state is not JSON"
        )
    assert verdict.recheck_after is None or verdict.recheck_after > 0, (
        "recheck_after is not positive"
    )


def histories() -> list[History]:
    """Return histories that a rule may meet: no results, healthy ones, all kinds of failures."""
    target = Target(name="conformance", kind="container", expected={"cpu_percent": 5.0})
    facts = Container(id="1", image="i", state="running", reason=Reason.RUNNING)
    dead = evolve(facts, state="exited", reason=Reason.CRASHED, exit_code=1)
    results = [
        Result.up("up", metrics={"cpu_percent": 1.0}, container=facts),
        Result.up("up"),
        Result.degraded("slow", metrics={"cpu_percent": 400.0}),
        Result.down("down", container=dead),
        Result.down("down"),
        Result.unknown("cannot see"),
    ]
    made = [History(target=target, latest={}, source="docker")]
    for result in results:
        seen = tuple(
            Observation(target=target.name, check=c, at=_AT - timedelta(seconds=s), result=result)
            for s, c in ((30, "docker"), (20, "http"), (10, "docker"), (5, "http"))
        )
        events = tuple(
            Event(target=target.name, source="docker", action=action, at=o.at)
            for o in seen
            for action in ("die", "start")
        )
        for firing in (False, True):
            made.append(
                History(
                    target=target,
                    latest={o.check: o for o in seen},
                    observations=seen,
                    events=events,
                    failures={"http": 3},
                    source="docker",
                    firing=firing,
                )
            )
    return made


def check_rule_conformance(rule: Rule, more: Iterable[History] = ()) -> list[Verdict]:
    """Check a rule against its contract.

    It has to judge every history without side effects: the same verdict twice, the history
    unchanged, also when the state it asked to keep comes back after a restart, as JSON. Its
    templates have to render messages of every kind, whatever the verdict's details have.

    Args:
        rule: the rule.
        more: further histories to judge.

    Returns:
        The rule's verdicts.

    Raises:
        AssertionError: it violates the contract.
    """
    check_class(type(rule))
    assert not inspect.iscoroutinefunction(rule.evaluate), "evaluate() is async; it must be pure"
    assert rule.lookback >= 0, "lookback is negative"
    check_templates(rule)
    verdicts = []
    for history in [*histories(), *more]:
        assert rule.applies(history.target) in (True, False)
        before = repr(history)
        verdict = rule.evaluate(history, _AT)
        check_verdict(verdict)
        assert verdict == rule.evaluate(history, _AT), "evaluate() is not pure"
        assert repr(history) == before, "evaluate() changed its history"
        rule_state = msgspec.json.decode(msgspec.json.encode(verdict.rule_state))
        check_verdict(rule.evaluate(evolve(history, rule_state=rule_state), _AT))
        verdicts.append(verdict)
    return verdicts


def check_templates(plugin: Rule | Notifier) -> None:
    """Check that the templates of a rule or notifier render messages of every kind.

    Raises:
        AssertionError: one does not.
    """
    try:
        check_declared(plugin.templates)
    except TemplateProblem as problem:
        raise AssertionError(f"a template cannot be used: {problem}") from problem


NASTY = "<b>&\"'\\ \u202e\x1b[2J\x00\r\nBcc: x@example.org\n🚨 " + "x" * 10_000


def message_of(*kinds: Kind, text: str = "killed, exit code 137", target: str = "web") -> Message:
    """Return a message for a test, with one notification for each kind (default: fired)."""
    notices = tuple(
        Notice(
            id=new_id(), alert=new_id(), kind=kind, rule="container_down", target=target,
            severity=Severity.CRITICAL, message=text, at=_AT, since=_AT - timedelta(minutes=1),
            downtime=61.0 if kind is Kind.RESOLVED else None, affected=("api", "shop"),
            details={"exit_code": 137, "reason": "crashed", "image": "nginx", "text": text},
            flaps=2, repeats=1, critical=True, target_kind="container", can_restart=True,
            has_logs=True,
            logs=(LogLine(text="started"), LogLine(text=text[:500], stream="stderr")),
        )
        for kind in (kinds or (Kind.FIRED,))
    )  # fmt: skip
    standing = (
        TargetStatus(
            target=target, kind="container", status=Status.DOWN, message=text, critical=True
        ),
        TargetStatus(target="db", kind="container", status=Status.UP, message="running"),
    )
    message = Message(
        id=new_id(), channel="conformance", notices=notices, created_at=_AT, system=standing
    )
    return evolve(message, words=Renderer(clean=clean).words(message))


async def check_notifier_conformance(
    notifier: Notifier,
    context: RecordingContext | None = None,
    controls: RecordingControls | None = None,
) -> list[Receipt]:
    """Check a notifier whose provider accepts everything against its contract.

    It has to deliver every kind of notification, many at once, and hostile text; return valid
    receipts; accept the same message twice; end when it is cancelled; leave no tasks behind; and
    show no secrets. One that receives commands has to listen until it is cancelled. How refusals of
    a provider become a :class:`NotifyError`, permanent or not, is for its own tests, with
    :func:`check_refusal`.

    Args:
        notifier: the notifier.
        context: what its runtime is given; None for one that records.
        controls: what ``listen`` is given; None for ones that record.

    Returns:
        The receipts.

    Raises:
        AssertionError: it violates the contract.
    """
    check_class(type(notifier))
    check_templates(notifier)
    check_secrets_hidden(notifier)
    before = asyncio.all_tasks()
    context = context or RecordingContext()
    runtime = await opened(notifier, context)
    receipts = []
    messages = [message_of(kind) for kind in Kind]
    messages += [message_of(*Kind), message_of(Kind.FIRED, text=NASTY, target=NASTY[:100])]
    messages.append(message_of(*[Kind.FIRED] * 500))
    again = message_of()
    for message in [*messages, again, again]:
        async with asyncio.timeout(notifier.timeout + GRACE):
            receipt = await runtime.send(message)
        assert isinstance(receipt, Receipt), f"send() returned {type(receipt).__name__}"
        assert receipt.answer, "the receipt has no answer"
        for secret in _secrets(notifier):
            assert secret.reveal() not in repr(receipt), "the receipt shows a secret"
        receipts.append(receipt)
    task = asyncio.ensure_future(runtime.send(message_of()))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GRACE)
    assert done, f"send() ignored its cancellation for {GRACE:g} s"
    await check_listen(runtime, controls or RecordingControls())
    await runtime.close()
    await context.close()
    await check_no_tasks_left(before, "send()")
    return receipts


async def check_refusal(
    notifier: Notifier,
    *,
    permanent: bool,
    retry_after: float | None = None,
    context: RecordingContext | None = None,
) -> NotifyError:
    """Check that a refusal by the provider becomes the right NotifyError, without a secret in it.

    Args:
        notifier: a notifier whose provider refuses.
        permanent: whether the error has to be permanent.
        retry_after: the delay in seconds that the error has to carry; None for none.
        context: what its runtime is given; None for one that records.

    Returns:
        The error.

    Raises:
        AssertionError: it is not raised, or is wrong.
    """
    found: NotifyError | None = None
    receipt: object = None
    context = context or RecordingContext()
    runtime = await opened(notifier, context)
    try:
        async with asyncio.timeout(notifier.timeout + GRACE):
            receipt = await runtime.send(message_of())
    except NotifyError as error:
        found = error
    await runtime.close()
    await context.close()
    assert found is not None, f"send() did not raise NotifyError but returned {receipt!r}"
    assert found.permanent is permanent, f"permanent is {found.permanent}: {found}"
    assert found.retry_after == retry_after, f"retry_after is {found.retry_after}"
    text = str(found)
    assert text, "the error has no text"
    assert "\n" not in text, "the error has line breaks"
    for secret in _secrets(notifier):
        assert secret.reveal() not in text, "the error shows a secret"
    return found
