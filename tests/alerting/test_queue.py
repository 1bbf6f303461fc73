"""What a channel still has to deliver."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.notify.queue import Queue


def test_what_is_given_up_leaves_one_by_one() -> None:
    """Who is interrupted after the first message that is given up still finds the others."""
    settings = ChannelSettings(
        name="ops", notifier_name="x", plugin=None, notifier=None, broken=None, options={},
        give_up_after=60.0,
    )  # fmt: skip
    queue = Queue(settings)
    rows = [
        Row(alert=uuid4(), channel="ops", transition="fired", at=datetime.now(UTC), steady=0.0,
            decision=Decision.QUEUED, message=message)
        for message in (uuid4(), uuid4(), uuid4(), None)
    ]  # fmt: skip
    queue.resume(rows, now=0.0)
    assert next(queue.give_up(60.0, is_failing=True)) == rows[:1]
    assert queue.rows == rows[1:]
    assert list(queue.give_up(60.0, is_failing=True)) == [[row] for row in rows[1:]]
    assert queue.rows == []
