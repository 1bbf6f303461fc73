"""Effects: the output of the monitor. The executor performs them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.model import Alert, Transition
from tocsin.core.alerts.outbox import Row
from tocsin.core.alerts.rule_set import Judge
from tocsin.core.history.records import Stored
from tocsin.core.journal.file import Entry
from tocsin.core.monitor.past import Past


@frozen
class SendMessage:
    """The message that a channel may send once the journal has it: the answer to ``MessageDue``."""

    id: UUID
    rows: tuple[Row, ...]


@frozen(kw_only=True)
class Outcome:
    """The outcome of a person's request.

    Attributes:
        alert: the alert after the change; None if the request was refused.
        refused: why it was refused, as a sentence; empty if it was not.
        is_missing: whether it was refused because there is no such alert.
    """

    alert: Alert | None = None
    refused: str = ""
    is_missing: bool = False


UNASKED = Outcome()
"""The outcome of events that are no person's request."""


@frozen(kw_only=True)
class Effects:
    """The effects of one event.

    Attributes:
        entry: to be committed to the journal in one transaction; None if nothing changed.
        stored: to be stored in history.
        published: to be published on the bus, as kind and data.
        judge: rules to evaluate elsewhere.
        transitions: changes of alerts; observers are notified once the journal has committed.
        queued: rows to give to their channels once the journal has committed.
        send: the message that the requesting channel is to send; None: nothing.
        outcome: the answer to a person's request.
        past: the state restored from an earlier run.
        look_at: steady time, in seconds, of the earliest recheck of a rule; None: there is none.
    """

    entry: Entry | None = None
    stored: tuple[Stored, ...] = ()
    published: tuple[tuple[str, Any], ...] = ()
    judge: tuple[Judge, ...] = ()
    transitions: tuple[Transition, ...] = ()
    queued: tuple[Row, ...] = ()
    send: SendMessage | None = None
    outcome: Outcome = UNASKED
    past: Past | None = None
    look_at: float | None = None


NOTHING = Effects()
"""No effects."""
