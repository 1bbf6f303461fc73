"""Histories of tests: tocsin's own, with its store at hand, and none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import field, frozen

from tests.contexts import contexts
from tocsin.core.clock import Clock
from tocsin.core.config.settings import HistorySettings
from tocsin.core.history.access import HistoryAccess
from tocsin.core.history.plugin import HistoryPlugin
from tocsin.core.plugin.sandbox import Isolation
from tocsin.history import HistoryContext, HistoryReader, HistoryStore
from tocsin.plugins.history.store import Store


@frozen(kw_only=True)
class Given(HistoryStore):
    """Keeps history in a store that is there already."""

    store: Store = field(eq=False)

    def place(self) -> str:
        return "a test's PostgreSQL"

    async def open(self, context: HistoryContext) -> Store:
        await self.store.start()
        return self.store

    async def open_reader(self, context: HistoryContext, hold: Any) -> HistoryReader:
        return self.store


def kept(dsn: Any, spool: Path, clock: Clock) -> HistoryAccess:
    """A history in a database, not started yet."""
    store = Given(store=Store(dsn, spool, clock=clock))
    settings = HistorySettings(name="postgresql", plugin="history", store=store)
    return HistoryAccess(HistoryPlugin(settings, isolation_of("history")), clock)


def store_of(history: HistoryAccess) -> Store:
    """The store of an open history."""
    assert history.plugin._runtime is not None
    store = history.plugin._runtime._opened
    assert isinstance(store, Store)
    return store


async def flush(history: HistoryAccess) -> None:
    """Pass on and write everything that was added so far."""
    await history.plugin.open()
    await history.pass_on()
    await store_of(history).flush()


def no_history(clock: Clock) -> HistoryAccess:
    """What there is without any plugin that keeps history."""
    return HistoryAccess(HistoryPlugin(HistorySettings(), isolation_of()), clock)


def isolation_of(*inline: str) -> Isolation:
    """An isolation with plugins that run in the loop of the test."""
    return Isolation(frozenset(inline), lambda *_: None, contexts())
