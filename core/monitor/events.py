"""Events: all that enters the monitor, one class for each kind. See :mod:`tocsin.core.monitor`."""

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
    """Something happened to a target, as its source tells it."""

    event: ContainerEvent


@frozen
class BeatReceived:
    """A job has reported, by the key of its heartbeat check."""

    key: str
    beat: Heartbeat


@frozen
class TargetPut:
    """A target has come, or has changed. ``source`` sees it, if any; ``declared``: it is named in
    the configuration."""

    target: Target
    source: str | None = None
    declared: bool = True


@frozen
class TargetGone:
    """A target is watched no more; ``why`` says it in a clause."""

    name: str
    why: str = "the target was removed"


@frozen
class CheckPut:
    """A target that is there has a new check, or a changed one."""

    check: CheckState


@frozen
class CheckGone:
    """A check of a target is made no more."""

    target: str
    check: str


@frozen
class RunsSkipped:
    """Runs of a check were left out: the one before was still going, or they came too late."""

    target: str
    check: str
    missed: int


@frozen
class Judged:
    """A rule that runs elsewhere, or tocsin about itself, has come to a verdict."""

    key: Key
    verdict: Verdict


@frozen
class Started:
    """A run begins, after its first ``Configured``. ``saved``: what the journal holds of an earlier
    one; ``is_settled``: no looking around is needed; ``reads_until``: steady time until which
    targets that come wait for what history has of them."""

    saved: Saved
    is_settled: bool = True
    reads_until: float = -inf


@frozen
class LookedBack:
    """What history has of the time before the start was read, or cannot be: the results and events
    of targets, oldest first. Their rules judge anew."""

    seen: Mapping[str, tuple[Sequence[Observation], Sequence[ContainerEvent]]]


@frozen
class Ticked:
    """Time has passed."""


@frozen
class Settled:
    """Looking around after a start is over. ``freeze``: everything has been looked at."""

    freeze: bool


@frozen
class Configured:
    """A configuration is in force. ``grace``: see ``Inhibition``."""

    rules: RuleSet
    channels: Mapping[str, ChannelSettings]
    windows: tuple[Window, ...]
    grace: float


@frozen
class Rechecked:
    """What suppresses alerts may have changed, of all targets."""


@frozen
class SilencePut:
    """A person has made, changed or ended a silence or a window. ``audit``: the row that says so,
    written where it is not refused."""

    silence: Silence
    audit: AuditEntry | None = None


@frozen
class Audited:
    """A person has done something else."""

    audit: AuditEntry


@frozen
class SilencesForgotten:
    """Silences that ended long ago; history keeps them."""

    ids: tuple[UUID, ...]


@frozen
class Acknowledged:
    """A person looks after an alert, or (``by`` None) does no more. ``audit``: see SilencePut."""

    alert: UUID
    by: str | None
    comment: str = ""
    audit: AuditEntry | None = None


@frozen
class MessageDue:
    """A channel is about to send rows. ``message``: the id under which they lie on disk already;
    None: they become a message now. ``digest``: the channel is past its rate limit."""

    channel: str
    rows: tuple[Row, ...]
    message: UUID | None = None
    digest: bool = False


@frozen
class RowsTried:
    """Rows that a channel has tried in vain and tries again, perhaps in other messages."""

    rows: tuple[Row, ...]


@frozen
class RowsLate:
    """Rows that a channel could not deliver for so long that others are to be told of them."""

    rows: tuple[Row, ...]


@frozen
class RowsFinished:
    """Rows that a channel is done with: delivered, dead or superseded."""

    rows: tuple[Row, ...]


@frozen
class ChannelChanged:
    """A channel begins to fail, or delivers again."""

    channel: str
    is_failing: bool


@frozen
class ChannelShut:
    """A channel's provider wants nothing until a steady time."""

    channel: str
    until: float


@frozen
class Restored:
    """What history remembers of an earlier run whose journal is gone or damaged."""

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
