"""What the API needs of the rest of tocsin; the composition root provides it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from tocsin.core.alerting import Alerting
from tocsin.core.auth import TokenStore
from tocsin.core.bus import Bus
from tocsin.core.checks.runs import SchedulerStats
from tocsin.core.clock import Clock
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.model import AuditEntry, Beat, ComponentHealth, LogLine
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.state import LiveState
from tocsin.core.store import Store


class Monitor(Protocol):
    """See ``app.Tocsin``."""

    version: str
    started_at: datetime
    settings: Settings
    bus: Bus
    store: Store
    tokens: TokenStore
    alerting: Alerting
    plugins: PluginManager
    isolation: Isolation

    @property
    def state(self) -> LiveState:
        """What is known now of targets and checks."""

    @property
    def clock(self) -> Clock:
        """Where the time comes from; read only, so that any kind of clock will do."""

    def health(self) -> dict[str, ComponentHealth]:
        """How each part fares."""

    def stats(self) -> SchedulerStats:
        """How the scheduler fares."""

    def audit(self, entry: AuditEntry) -> None:
        """Keep what a person changed."""

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """The last lines of a target. Raises ActionError."""

    async def restart(self, target: str, actor: str, role: str) -> None:
        """Restart a target for somebody, audited. Raises ActionError."""

    def may_restart(self, target: str) -> bool:
        """Whether the configuration allows restarting a target."""

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """All that is known of a target. Raises ActionError."""

    def beat(self, key: str, beat: Beat) -> str:
        """Take in a heartbeat. Raises KeyError."""

    async def reload(self) -> Settings:
        """Read the configuration again. Raises ConfigError."""

    def dependents(self, target: str) -> list[str]:
        """Who depends on a target."""
