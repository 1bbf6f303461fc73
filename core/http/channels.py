"""Channels: how they fare, and a test of each."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.auth import Role
from tocsin.core.http.problems import not_found
from tocsin.core.http.routing import Call, Routes
from tocsin.core.notify import Channel

routes = Routes()


@frozen(kw_only=True)
class ChannelView:
    """A channel: ``status`` is ok, failing (``reason`` says why), disabled (its provider wants no
    more messages) or broken (it cannot work)."""

    name: str
    notifier: str
    status: str
    reason: str | None
    min_severity: str
    waiting: int
    sent: int
    failed: int
    last_sent: datetime | None
    fallback: str | None


@frozen(kw_only=True)
class ChannelList:
    """Channels, by name."""

    items: list[ChannelView]


@frozen(kw_only=True)
class TestBody:
    """Which channel; unset, every one."""

    channel: Annotated[str, msgspec.Meta(max_length=100)] | None = None


@frozen(kw_only=True)
class TestOutcome:
    """What one channel's provider answered, in a sentence."""

    channel: str
    delivered: bool
    answer: str


@frozen(kw_only=True)
class TestReport:
    """A test of one or all channels."""

    items: list[TestOutcome]


@routes.get("/api/v1/channels")
async def list_channels(call: Call) -> ChannelList:
    """List the channels and how they fare."""
    items = []
    for name, channel in sorted(call.monitor.alerting.channels.items()):
        settings = channel.settings
        items.append(
            ChannelView(
                name=name,
                notifier=settings.notifier_name,
                status=_status(channel),
                reason=settings.broken or channel.availability.trouble,
                min_severity=settings.min_severity.value,
                waiting=len(channel.queue.rows),
                sent=channel.record.sent_total,
                failed=channel.record.failed_total,
                last_sent=channel.record.last_sent,
                fallback=settings.fallback,
            )
        )
    return ChannelList(items=items)


def _status(channel: Channel) -> str:
    if channel.settings.broken is not None:
        return "broken"
    if channel.availability.disabled is not None:
        return "disabled"
    return "ok" if channel.availability.trouble is None else "failing"


@routes.post("/api/v1/test-notification", role=Role.OPERATOR, errors=(404,))
async def test_notification(call: Call, body: TestBody) -> TestReport:
    """Send a test message by one channel, or by all, and tell what the providers answered."""
    alerting = call.monitor.alerting
    if body.channel is not None and body.channel not in alerting.channels:
        raise not_found("channel", body.channel)
    names = sorted(alerting.channels) if body.channel is None else [body.channel]
    # All at once: one that hangs keeps nobody waiting for the others.
    outcomes = await asyncio.gather(*(alerting.test(name) for name in names))
    items = []
    for name, (delivered, answer) in zip(names, outcomes, strict=True):
        items.append(TestOutcome(channel=name, delivered=delivered, answer=answer))
        call.audit("test-notification", name, "ok" if delivered else "failed")
    return TestReport(items=items)
