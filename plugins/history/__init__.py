"""History in PostgreSQL: in a database of yours, or in an embedded server.

Results, events, alerts and notifications are written in batches, rolled up by minute, hour and day,
and dropped after their retention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from attrs import Attribute, field, frozen

from tocsin import (
    Bytes,
    Context,
    DoctorCheck,
    Finding,
    Installation,
    Seconds,
    Secret,
    Variable,
    hookimpl,
)
from tocsin.history import HistoryContext, HistoryReader, HistoryStore, HistoryUnavailable
from tocsin.plugins.dsn import check_dsn
from tocsin.plugins.history.embedded import EmbeddedPostgres
from tocsin.plugins.history.embedded_host import MISSING, EmbeddedError, is_installed
from tocsin.plugins.history.reader import DAY, RETENTION, RETENTION_MINUTES, CommandReader
from tocsin.plugins.history.store import SPOOL_SIZE, EmbeddedStore, Store

tocsin_api = "1"


def _check_url(_: object, __: Attribute[Secret | None], value: Secret | None) -> None:
    if value is not None:
        check_dsn(value.reveal())


def _check_retention(_: object, __: Attribute[Seconds], value: Seconds) -> None:
    if value < DAY:
        raise ValueError("must be at least '1d'")


@frozen(kw_only=True)
class PostgresHistory(HistoryStore):
    """Keep history in PostgreSQL.

    Attributes:
        url: the database; None: the embedded server's.
        retention: how long raw results, container metrics and events are kept, in seconds.
        retention_minutes: how long roll-ups by minute are kept, in seconds.
        spool_size: bytes that may wait on disk while the database is unavailable; beyond that the
            oldest results are dropped.
    """

    environment: ClassVar[Mapping[str, Variable]] = {
        "url": Variable("DATABASE_URL", overrides=True, default="TOCSIN_DEFAULT_DATABASE_URL")
    }

    url: Secret | None = field(default=None, validator=_check_url)
    retention: Seconds = field(default=RETENTION, validator=_check_retention)
    retention_minutes: Seconds = RETENTION_MINUTES
    spool_size: Bytes = SPOOL_SIZE

    def place(self) -> str:
        """Return where history is kept. Raises HistoryUnavailable."""
        if self.url is not None:
            return "the configured PostgreSQL"
        if is_installed():
            return "the embedded PostgreSQL"
        raise HistoryUnavailable(MISSING)

    @property
    def start_seconds(self) -> float:
        """Seconds for which notifications wait: the embedded server has to be started first."""
        return 20.0 if self.url is None else 2.0

    async def open(self, context: HistoryContext) -> Store:
        """Return the store; it connects, or starts the embedded server, in the background."""
        spool = context.data_dir / "spool"
        options: dict[str, Any] = {
            "clock": context.clock,
            "retention": self.retention,
            "retention_minutes": self.retention_minutes,
            "spool_size": self.spool_size,
        }
        if self.url is not None:
            store: Store = Store(self.url.reveal(), spool, **options)
        else:
            store = EmbeddedStore(context.data_dir / "postgres", spool, **options)
        await store.start()
        return store

    async def open_reader(self, context: HistoryContext, hold: Callable[[], bool]) -> HistoryReader:
        """Return a reader. Raises HistoryUnavailable."""
        if self.url is not None:
            return CommandReader(self.url.reveal(), context.clock, None)
        directory = context.data_dir / "postgres"
        if not directory.is_dir():
            raise HistoryUnavailable(f"there is no history yet: {directory} does not exist")
        is_own, server = hold(), EmbeddedPostgres()
        try:
            dsn = await server.start(directory)
        except EmbeddedError as error:
            if is_own:
                await server.stop()
            raise HistoryUnavailable(str(error)) from error
        return CommandReader(dsn, context.clock, server if is_own else None)


@hookimpl
def tocsin_histories() -> dict[str, type[HistoryStore]]:
    """Return the history."""
    return {"postgresql": PostgresHistory}


async def check_database(_: Context, installation: Installation) -> Sequence[Finding]:
    """Check that there is a database, if this history is the configured one."""
    found: list[Finding] = []
    for history in installation.parts_of(PostgresHistory).values():
        try:
            found.append(Finding.ok(history.place()))
        except HistoryUnavailable as error:
            found.append(Finding.warning("none", str(error)))
    return found


@hookimpl
def tocsin_doctor() -> Sequence[DoctorCheck]:
    """Provide the check of the database."""
    return [DoctorCheck(name="database", handler=check_database)]
