"""Channels: their status, and test notifications."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.contracts.route import Role, Routes
from tocsin.core.http.problems import not_found
from tocsin.core.http.routing import Call
from tocsin.core.notify import Channel

routes = Routes()


@frozen(kw_only=True)
class ChannelView:
    """A channel. ``status`` is ok, failing, disabled or broken.

    failing: messages are not delivered now, or commands not received (``reason`` says why);
    disabled: the provider refuses all further messages; broken: the channel's configuration cannot
    work. ``waiting`` counts notifications that are not delivered yet, ``sent`` and ``failed``
    messages and failed attempts since the start.
    """

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
    """The channels, sorted by name."""

    items: list[ChannelView]


@frozen(kw_only=True)
class TestBody:
    """The channel to test; if it is not given, all channels are tested."""

    channel: Annotated[str, msgspec.Meta(max_length=100)] | None = None


@frozen(kw_only=True)
class TestOutcome:
    """The outcome for one channel; ``answer`` is the provider's answer in a sentence."""

    channel: str
    delivered: bool
    answer: str


@frozen(kw_only=True)
class TestReport:
    """The outcomes of a test of one or all channels."""

    items: list[TestOutcome]


@routes.get("/api/v1/channels")
async def list_channels(call: Call) -> ChannelList:
    """List the channels with their status."""
    items = []
    for name, channel in sorted(call.monitor.alerting.channels.items()):
        settings = channel.settings
        items.append(
            ChannelView(
                name=name,
                notifier=settings.notifier_name,
                status=_status(channel),
                reason=channel.trouble,
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
    return "ok" if channel.trouble is None else "failing"


@routes.post("/api/v1/test-notification", role=Role.OPERATOR, errors=(404,))
async def test_notification(call: Call, body: TestBody) -> TestReport:
    """Send a test message through one channel or all, and return the providers' answers."""
    alerting = call.monitor.alerting
    if body.channel is not None and body.channel not in alerting.channels:
        raise not_found("channel", body.channel)
    names = sorted(alerting.channels) if body.channel is None else [body.channel]
    # All at once, so that a channel that hangs does not delay the others.
    outcomes = await asyncio.gather(*(alerting.test(name) for name in names))
    items = []
    for name, (delivered, answer) in zip(names, outcomes, strict=True):
        items.append(TestOutcome(channel=name, delivered=delivered, answer=answer))
        call.audit("test-notification", name, "ok" if delivered else "failed")
    return TestReport(items=items)
