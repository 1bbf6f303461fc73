"""Conformance suite for reviewers."""

from __future__ import annotations

import asyncio

from tocsin.core.contracts.model import Result, Target
from tocsin.core.contracts.reviewer import Reviewer, ReviewRequest
from tocsin.core.shapes import fit_reason
from tocsin.core.testing.conformance import check_class, check_no_tasks_left, check_secrets_hidden
from tocsin.core.testing.context import RecordingContext, opened

PATIENCE = 40.0
"""Seconds that a review may take."""


def requests() -> list[ReviewRequest]:
    """Return results of checks of this machine, of outside hosts, without hosts, and with hostile
    text."""
    text = "<b>&\"'\\ \u202e\x1b[2J\r\n" + "x" * 5000
    return [
        ReviewRequest(
            target=Target(name=target), check="reachable", result=Result.down(message), hosts=hosts
        )
        for target, message in (("web", "refused"), (text[:100], text))
        for hosts in ((), ("127.0.0.1",), ("::1", "localhost"), ("shop.invalid", "not a host"))
    ]


async def check_reviewer_conformance(
    reviewer: Reviewer, context: RecordingContext | None = None
) -> None:
    """Check a reviewer against its contract.

    It has to answer every request with one line of text or None within its deadline, also several
    at a time, end when it is cancelled, show no secrets, and leave no tasks behind after it was
    closed.

    Args:
        reviewer: the reviewer.
        context: what its runtime is given; None for one that records.

    Raises:
        AssertionError: it violates the contract.
        PluginFault: it answered with something else.
    """
    check_class(type(reviewer))
    check_secrets_hidden(reviewer)
    before = asyncio.all_tasks()
    context = context or RecordingContext()
    runtime = await opened(reviewer, context)
    async with asyncio.timeout(PATIENCE):
        for answer in await asyncio.gather(*map(runtime.review, requests())):
            fit_reason(answer)
    task = asyncio.ensure_future(runtime.review(requests()[0]))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)
    assert done, "review() ignored its cancellation for 10 s"
    await runtime.close()
    await context.close()
    await check_no_tasks_left(before, "review()")
