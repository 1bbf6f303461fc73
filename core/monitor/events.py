"""Events: the input of the monitor, one class for each kind. See :mod:`tocsin.core.monitor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TypeAlias
from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.model import Key
from tocsin.core.alerts.outbox import Row
from tocsin.core.alerts.rule_set import RuleSet
from tocsin.core.alerts.silences import Silence, Window
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.model import AuditEntry, Heartbeat, Observation, Target
from tocsin.core.contracts.model import Event as ContainerEvent
from tocsin.core.contracts.rule import Verdict
from tocsin.core.journal.file import Saved
from tocsin.core.monitor.past import Past
from tocsin.core.state import CheckState


@frozen
class Observed:
    """A check has a result."""

    observation: Observation


@frozen
class Happened:
    """A source reported an event of a target."""

    event: ContainerEvent


@frozen
class BeatReceived:
    """A job has sent a heartbeat. ``key``: of its heartbeat check."""

    key: str
    beat: Heartbeat


@frozen
class TargetPut:
    """A target was added or changed.

    ``source``: the source that reports it, if any; ``declared``: whether the configuration names
    it.
    """

    target: Target
    source: str | None = None
    declared: bool = True


@frozen
class TargetGone:
    """A target was removed; ``why`` is the reason as a clause."""

    name: str
    why: str = "the target was removed"


@frozen
class CheckPut:
    """A check of a known target was added or changed."""

    check: CheckState


@frozen
class CheckGone:
    """A check was removed."""

    target: str
    check: str


@frozen
class RunsSkipped:
    """Runs of a check were skipped: the previous one was still running, or they were too late."""

    target: str
    check: str
    missed: int


@frozen
class Judged:
    """A rule that runs elsewhere, or tocsin's self-monitoring, has returned a verdict."""

    key: Key
    verdict: Verdict


@frozen
class Started:
    """A run begins, after its first ``Configured``.

    Attributes:
        saved: what the journal holds of an earlier run.
        is_settled: whether no settling phase is needed.
        reads_until: steady time until which new targets wait for their stored history.
    """

    saved: Saved
    is_settled: bool = True
    reads_until: float = -inf


@frozen
class LookedBack:
    """The stored history of targets was read, oldest first, or cannot be read (then it is empty).
    Their rules are evaluated again."""

    seen: Mapping[str, tuple[Sequence[Observation], Sequence[ContainerEvent]]]


@frozen
class Ticked:
    """A timer has expired."""


@frozen
class Settled:
    """The settling phase after a start is over. ``freeze``: every check had its chance to run."""

    freeze: bool


@frozen
class Configured:
    """A configuration was loaded. ``grace``: see ``Inhibition``, in seconds."""

    rules: RuleSet
    channels: Mapping[str, ChannelSettings]
    windows: tuple[Window, ...]
    grace: float


@frozen
class Rechecked:
    """Suppressions may have changed, for alerts of any target."""


@frozen
class SilencePut:
    """A person has created, changed or ended a silence or a window. ``audit``: the entry that
    records it."""

    silence: Silence
    audit: AuditEntry | None = None


@frozen
class Audited:
    """A person has done something that changes neither targets nor alerts."""

    audit: AuditEntry


@frozen
class SilencesForgotten:
    """Silences that ended long ago are deleted here; history keeps them."""

    ids: tuple[UUID, ...]


@frozen
class Acknowledged:
    """A person acknowledged an alert, or (``by`` None) withdrew that. ``audit``: records it, if
    accepted."""

    alert: UUID
    by: str | None
    comment: str = ""
    audit: AuditEntry | None = None


@frozen
class MessageDue:
    """A channel is about to send rows.

    Attributes:
        channel: its name.
        rows: the rows.
        message: id of the message that holds them on disk; None: they form a new message now.
        digest: whether they were held back by the channel's rate limit.
    """

    channel: str
    rows: tuple[Row, ...]
    message: UUID | None = None
    digest: bool = False


@frozen
class RowsTried:
    """Rows whose delivery failed and will be tried again, perhaps in other messages."""

    rows: tuple[Row, ...]


@frozen
class RowsLate:
    """Rows that have been failing for so long that other channels have to deliver them, too."""

    rows: tuple[Row, ...]


@frozen
class RowsFinished:
    """Rows that a channel has finished: delivered, dead or superseded."""

    rows: tuple[Row, ...]


@frozen
class ChannelChanged:
    """A channel begins to fail, or delivers again."""

    channel: str
    is_failing: bool


@frozen
class ChannelShut:
    """A channel's provider asked for no request until a steady time."""

    channel: str
    until: float


@frozen
class Restored:
    """The state of an earlier run was read from the database, its journal being missing
    or damaged."""

    past: Past


MonitorEvent: TypeAlias = (
    Observed
    | Happened
    | BeatReceived
    | TargetPut
    | TargetGone
    | CheckPut
    | CheckGone
    | RunsSkipped
    | Judged
    | Started
    | LookedBack
    | Ticked
    | Settled
    | Configured
    | Rechecked
    | SilencePut
    | SilencesForgotten
    | Audited
    | Acknowledged
    | MessageDue
    | RowsTried
    | RowsLate
    | RowsFinished
    | ChannelChanged
    | ChannelShut
    | Restored
)
