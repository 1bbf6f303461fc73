"""The contract of a history: it stores what tocsin observes and sends, and answers queries.

A running tocsin has at most one. The core passes it batches, restores alerts from it if its own
journal is lost, and answers the API's questions about the past with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Protocol
from uuid import UUID

from attrs import frozen

from tocsin.core.contracts.base import Variable
from tocsin.core.contracts.context import Context
from tocsin.core.contracts.history_records import (
    AlertCount,
    AlertFilter,
    AlertRecord,
    HistoryBatch,
    HistoryState,
    NotificationFilter,
    NotificationRecord,
    Unfinished,
)
from tocsin.core.contracts.history_series import Chart, Trends, Uptimes
from tocsin.core.contracts.model import AuditEntry, Event, Observation


class HistoryUnavailable(Exception):
    """History cannot be read or written now; the message is a sentence for people, without
    secrets."""


class HistoryContext(Context, Protocol):
    """What the core gives to a history."""

    @property
    def data_dir(self) -> Path:
        """Return tocsin's data directory. A new plugin keeps its files in :attr:`directory`."""


class HistoryReader(ABC):
    """Answers queries. All times are aware; a range includes its start and excludes its end. Every
    query may raise :class:`HistoryUnavailable`."""

    __slots__ = ()

    @abstractmethod
    async def alerts(self, wanted: AlertFilter) -> Sequence[AlertRecord]:
        """Return alerts, newest first: by ``created_at``, then by id."""

    @abstractmethod
    async def alert(self, alert_id: UUID) -> AlertRecord | None:
        """Return one alert; None if history has none with this id."""

    @abstractmethod
    async def alert_counts(self, since: datetime, until: datetime) -> Sequence[AlertCount]:
        """Count the alerts that began, by quarter-hour: some time zones are offset by 15 minutes.

        Args:
            since: start of the time range.
            until: its end.
        """

    @abstractmethod
    async def notifications(self, wanted: NotificationFilter) -> Sequence[NotificationRecord]:
        """Return notifications, newest first (by id)."""

    @abstractmethod
    async def events(
        self, target: str | None, since: datetime, until: datetime, limit: int, before: UUID | None
    ) -> Sequence[Event]:
        """Return events, newest first.

        Args:
            target: name of the target; None: of all.
            since: start of the time range.
            until: its end.
            limit: most events to return.
            before: id of the last event of the previous page.
        """

    @abstractmethod
    async def audit(self, limit: int, before: UUID | None) -> Sequence[AuditEntry]:
        """Return entries of the audit log, newest first.

        Args:
            limit: most entries to return.
            before: id of the last entry of the previous page.
        """

    @abstractmethod
    async def results(
        self, target: str, check: str, since: datetime, until: datetime, limit: int
    ) -> Sequence[Observation]:
        """Return results of a check, newest first.

        Args:
            target: name of the target.
            check: name of the check.
            since: start of the time range.
            until: its end.
            limit: most results to return.
        """

    @abstractmethod
    async def chart(
        self, target: str, check: str | None, since: datetime, until: datetime, points: int
    ) -> Chart:
        """Return the course of a check.

        Args:
            target: name of the target.
            check: name of the check; None: the one that reports the target as a container.
            since: start of the time range.
            until: its end.
            points: about how many points to return.
        """

    @abstractmethod
    async def uptimes(
        self, checks: Collection[tuple[str, str]], since: datetime, until: datetime, points: int
    ) -> Uptimes:
        """Count the results of targets by status and point.

        If a target has several checks, each point shows the worst one: the one with the largest
        share of down results, then of degraded, then of unknown ones.

        Args:
            checks: target and name of each check.
            since: start of the time range.
            until: its end.
            points: about how many points to return.
        """

    @abstractmethod
    async def availability(
        self, checks: Collection[tuple[str, str, float]], since: datetime, until: datetime
    ) -> Mapping[str, float | None]:
        """Return for each target that has results the share of the known time in which no check was
        down, 0 to 1; None if all results are unknown.

        Args:
            checks: target, name and interval in seconds of each check.
            since: start of the time range.
            until: its end.
        """

    @abstractmethod
    async def trends(
        self,
        checks: Collection[tuple[str, str]],
        metric: str,
        since: datetime,
        until: datetime,
        *,
        top: int,
        points: int,
    ) -> Trends:
        """Return the course of a metric for the targets with its highest averages.

        Args:
            checks: target and name of each check.
            metric: name of the metric.
            since: start of the time range.
            until: its end.
            top: most targets to return.
            points: about how many points of each to return.
        """

    @abstractmethod
    async def unfinished(
        self, since: datetime, alerts: Collection[UUID], notifications: Collection[UUID]
    ) -> Unfinished:
        """Return what an earlier run left open, to be restored because the journal is lost.

        Args:
            since: queued notifications that are older are left out.
            alerts: ids of alerts to return even if they have ended.
            notifications: ids of notifications to return even if they are not queued or older.
        """

    @abstractmethod
    async def recent(
        self, targets: Collection[str], since: datetime, until: datetime, most: int
    ) -> Sequence[Observation | Event]:
        """Return the newest results and events of targets, in order of time, for rules after a
        start.

        A result needs only what history keeps of it; of a container: state, reason, health and
        number of restarts.

        Args:
            targets: names of the targets.
            since: start of the time range.
            until: its end.
            most: most results of each check, and most events of each target.
        """

    @abstractmethod
    def past(
        self, since: datetime, until: datetime, actions: Collection[str]
    ) -> AsyncIterator[Sequence[Observation | Event]]:
        """Yield all results, and the events with one of these actions, in order of time, in parts
        of any length, for ``tocsin replay``.

        Args:
            since: start of the time range.
            until: its end.
            actions: actions of the events.
        """

    async def close(self) -> None:
        """Release the resources."""


class HistoryRuntime(HistoryReader):
    """A history that is open for writing, too."""

    __slots__ = ()

    @abstractmethod
    async def write(self, batch: HistoryBatch) -> None:
        """Take over a batch; the core then forgets it. Called with one batch at a time, about every
        second.

        Raises:
            HistoryUnavailable: it cannot be taken over now. The core keeps a limited number of
                records and passes the same batch again. Any other exception is a fault: the
                records of the batch are lost.
        """

    @abstractmethod
    async def state(self) -> HistoryState:
        """Return the present state, without waiting for anything. Called about every second."""

    async def close(self) -> None:
        """Store what was taken over, and release the resources."""


@frozen(kw_only=True)
class HistoryStore(ABC):
    """The options of a history, from the table ``[database]``.

    Attributes:
        environment: class variable; by option, the environment variable that gives it.
    """

    environment: ClassVar[Mapping[str, Variable]] = {}

    @abstractmethod
    def place(self) -> str:
        """Return where history is kept, such as "the configured database".

        Raises:
            HistoryUnavailable: nowhere; the message says what to do.
        """

    @property
    def start_seconds(self) -> float:
        """Seconds for which notifications wait at a start without a journal, until the open alerts
        of the earlier run can be read."""
        return 2.0

    @abstractmethod
    async def open(self, context: HistoryContext) -> HistoryRuntime:
        """Return the runtime, within ten seconds: it connects to a database in the background.

        Args:
            context: what the core gives to the runtime.
        """

    @abstractmethod
    async def open_reader(self, context: HistoryContext, hold: Callable[[], bool]) -> HistoryReader:
        """Return what answers queries of a command, which may come while tocsin runs.

        Args:
            context: what the core gives to the reader.
            hold: to be called before a server is started in the data directory: no tocsin can then
                start until the reader is closed. Returns False if one runs; the server, which it
                has started, is then to be left running.

        Raises:
            HistoryUnavailable: there is no history, or it cannot be read.
        """
