"""Conformance suite for observers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from tocsin.core.contracts.observer import AlertChange, Observer
from tocsin.core.contracts.rule import Severity
from tocsin.core.ids import new_id
from tocsin.core.testing.conformance import (
    check_class,
    check_no_tasks_left,
    check_secrets_hidden,
)
from tocsin.core.testing.context import RecordingContext, opened

PATIENCE = 10.0
KINDS = (
    "pending", "cancelled", "fired", "reopened", "released", "repeated", "flapping", "escalated",
    "suppressed", "acknowledged", "unacknowledged", "resolved", "closed",
)  # fmt: skip


def changes() -> list[AlertChange]:
    """Return a change of every kind, once with plain and once with hostile text."""
    text = "<b>&\"'\\ \u202e\x1b[2J\r\n" + "x" * 5000
    return [
        AlertChange(
            id=new_id(), alert=new_id(), kind=kind, rule="container_down", target=target,
            severity=Severity.CRITICAL, message=message, at=datetime(2026, 1, 15, tzinfo=UTC),
            notify=kind == "fired", downtime=61.0 if kind == "resolved" else None,
            details={"exit_code": 137},
        )
        for target, message in (("web", "crashed"), (text[:100], text))
        for kind in KINDS
    ]  # fmt: skip


async def check_observer_conformance(
    observer: Observer, context: RecordingContext | None = None
) -> None:
    """Check an observer against its contract.

    It has to accept every kind of change within its deadline, end when it is cancelled, show no
    secrets, and leave no tasks behind after it was closed.

    Args:
        observer: the observer.
        context: what its runtime is given; None for one that records.

    Raises:
        AssertionError: it violates the contract.
    """
    check_class(type(observer))
    check_secrets_hidden(observer)
    before = asyncio.all_tasks()
    context = context or RecordingContext()
    runtime = await opened(observer, context)
    for change in changes():
        async with asyncio.timeout(PATIENCE):
            await runtime.changed(change)
    task = asyncio.ensure_future(runtime.changed(changes()[0]))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=PATIENCE)
    assert done, f"changed() ignored its cancellation for {PATIENCE:g} s"
    await runtime.close()
    await context.close()
    await check_no_tasks_left(before, "changed()")
