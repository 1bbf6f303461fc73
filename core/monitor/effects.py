"""Effects: all that leaves the monitor. One executor performs them."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.model import Alert, Transition
from tocsin.core.alerts.outbox import Row
from tocsin.core.alerts.rule_set import Judge
from tocsin.core.alerts.silences import Silence
from tocsin.core.contracts.model import AuditEntry, Event, Observation
from tocsin.core.journal.file import Entry
from tocsin.core.monitor.past import Past

Stored: TypeAlias = Observation | Event | Alert | Row | Silence | AuditEntry


@frozen
class SendMessage:
    """What a channel sends, once the journal has it: the answer to the event ``MessageDue``."""

    id: UUID
    rows: tuple[Row, ...]


@frozen(kw_only=True)
class Outcome:
    """What became of what a person wants.

    Attributes:
        alert: as it is now; None where it was refused.
        refused: why it was, as a sentence; empty where it was not.
        is_missing: it was, because there is no such alert.
    """

    alert: Alert | None = None
    refused: str = ""
    is_missing: bool = False


UNASKED = Outcome()
"""No person asked for anything."""


@frozen(kw_only=True)
class Effects:
    """What follows from one event, in the order in which it is done.

    Attributes:
        entry: what the journal is to hold, in one transaction; None where nothing changed.
        stored: what history is to hold.
        published: news for whoever listens: kind and data.
        judge: rules to be asked elsewhere.
        transitions: changes of alerts; observers hear of them once the journal has committed.
        queued: rows for their channels, after the commit and not before.
        send: what the channel that asked is to send; None: nothing of it.
        outcome: the answer to a person.
        past: what went on of an earlier run.
        look_at: steady seconds at which a rule wants to be asked again first; None: none does.
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
"""Nothing follows."""
