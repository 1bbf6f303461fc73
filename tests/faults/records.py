"""What a run leaves behind, and what the judge makes of it. All times are monotonic seconds of this
machine, which every process of a run shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

NEVER = float("inf")


@frozen
class Answer:
    """What a target really answered. ``number`` counts the target's answers and comes back in the
    history of the check; None where the target is a container, whose state is no answer."""

    at: float
    target: str
    up: bool
    number: int | None = None


@frozen
class Told:
    """One notice in a message."""

    id: str
    kind: str
    rule: str
    target: str


@frozen
class Delivery:
    """A message as a receiver got it; ``message`` is its ``webhook-id``, ``status`` the answer."""

    at: float
    channel: str
    message: str
    status: int
    notices: tuple[Told, ...]

    @property
    def accepted(self) -> bool:
        """The receiver took it, and its ledger had it on disk before the answer."""
        return 200 <= self.status < 300


@frozen
class Life:
    """One process of tocsin, from its start to its end. ``killed``: the end was a SIGKILL."""

    begun: float
    ended: float = NEVER
    killed: bool = False


@frozen
class Outage:
    """The time in which a fault was fully there. ``deaf``: channels whose receiver was broken;
    ``blind``: targets that nobody could see."""

    begun: float
    ended: float
    deaf: frozenset[str] = frozenset()
    blind: frozenset[str] = frozenset()
    rings: bool = True
    """Alerts are promised to go out while it lasts."""


@frozen
class HistoryRow:
    """A row of ``check_results``. ``number`` is that of the answer, None where there was none."""

    target: str
    number: int | None
    down: bool


@frozen
class OutboxRow:
    """A row of the journal's outbox that was, or was to be, told."""

    id: str
    channel: str
    notice: str
    kind: str
    target: str
    decision: str


@frozen(kw_only=True)
class Evidence:
    """All that the judge looks at.

    Attributes:
        channels: those that had to hear of everything.
        answers: what the targets answered, in the order of time.
        deliveries: what the receivers got, in the order of time.
        lives: the processes of tocsin, in the order of time.
        outages: when the fault was there.
        heals: moments from which everything could be well again: heals and restarts.
        unmarked: channel and id of each notice that its receiver had accepted and that was not
            marked on disk at a kill, and the moment of that kill; once for each such kill.
        outbox: the rows of the journal, those of its copies taken at kills included.
        rows: history.
        health: moments, and whether /health said ``ok``.
        leaks: sentences, one for each thing that leaked.
        tracebacks: how many tracebacks tocsin logged.
        deaths: sentences, one for each end of a process that was none of ours, or not in order.
        refused: channels and targets whose notices the channel's receiver refuses for good: they
            are to become dead letters, and nothing else is.
        dropped: rows of history that tocsin said it has dropped, the oldest of an outage.
    """

    channels: tuple[str, ...]
    answers: tuple[Answer, ...]
    deliveries: tuple[Delivery, ...]
    lives: tuple[Life, ...]
    outages: tuple[Outage, ...] = ()
    heals: tuple[float, ...] = ()
    unmarked: tuple[tuple[str, str, float], ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    rows: tuple[HistoryRow, ...] = ()
    health: tuple[tuple[float, bool], ...] = ()
    leaks: tuple[str, ...] = ()
    tracebacks: int = 0
    deaths: tuple[str, ...] = ()
    refused: frozenset[tuple[str, str]] = frozenset()
    dropped: int = 0


@frozen(kw_only=True)
class Verdict:
    """What the judge found: counts, and seconds. ``notes`` has a sentence for each thing counted.

    Attributes:
        checks: checks that were answered.
        changes: changes (a failure or its end, for one channel) that had to be told.
        lost: such changes that were not accepted; rows of the journal that never arrived.
        doubled_same: notices accepted again under the same id, outside the allowed window.
        doubled_other: notices told again under another id.
        doubled_in_window: notices accepted again where that is allowed.
        wrong_order: a recovery before its failure, or a last word that is not the truth.
        wrongly_down: failures told, or rows of history, of what had not failed.
        held_up: changes that waited for the end of a fault in which alerts must go out.
        gaps: answered checks without a row of history, outside the allowed window.
        gaps_in_window: those within.
        history_doubles: rows too many for an answered check.
        leaked: processes, descriptors, threads, secrets.
        tracebacks: a traceback is a bug.
        unrecovered: health that did not become ``ok`` again; a process that ended by itself, or
            not in order.
        notice: the longest from the first failing answer to a receiver's acceptance, in seconds.
        recover: the longest from a heal or a restart until health is ``ok`` and what was to be told
            from before is delivered, in seconds.
        impaired: the longest from an injection until /health was no longer ``ok``, in seconds; None
            where it stayed so, as it may through a short fault.
    """

    checks: int = 0
    changes: int = 0
    lost: int = 0
    doubled_same: int = 0
    doubled_other: int = 0
    doubled_in_window: int = 0
    wrong_order: int = 0
    wrongly_down: int = 0
    held_up: int = 0
    gaps: int = 0
    gaps_in_window: int = 0
    history_doubles: int = 0
    leaked: int = 0
    tracebacks: int = 0
    unrecovered: int = 0
    notice: float | None = None
    recover: float | None = None
    impaired: float | None = None
    notes: tuple[str, ...] = Factory(tuple)

    @property
    def wrong(self) -> dict[str, int]:
        """The counts that must be 0 and are not."""
        return {name: n for name in MUST_BE_ZERO if (n := getattr(self, name))}


MUST_BE_ZERO = (
    "lost", "doubled_same", "doubled_other", "wrong_order", "wrongly_down", "held_up", "gaps",
    "history_doubles", "leaked", "tracebacks", "unrecovered",
)  # fmt: skip


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a ledger; one that is still being written is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def answer_of(line: Mapping[str, Any]) -> Answer:
    """A line of the targets' ledger."""
    return Answer(line["at"], line["target"], line["up"], line["number"])


def delivery_of(line: Mapping[str, Any], channel: str) -> Delivery:
    """A line of a receiver's ledger."""
    alerts = json.loads(line["body"])["data"]["alerts"]
    notices = tuple(Told(a["notice_id"], a["kind"], a["type"], a["target"]) for a in alerts)
    return Delivery(line["at"], channel, line["message"], line["status"], notices)
