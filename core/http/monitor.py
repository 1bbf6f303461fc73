"""The interface through which the API uses the rest of tocsin; ``app.Tocsin`` implements it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from tocsin.core.auth.tokens import TokenStore
from tocsin.core.checks.runs import SchedulerStats
from tocsin.core.clock import Clock
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.model import AuditEntry, ComponentHealth, Heartbeat
from tocsin.core.history.access import HistoryAccess
from tocsin.core.lifecycle import Alerting
from tocsin.core.monitor.bus import Bus
from tocsin.core.notify import controls
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.plugin.services import ServiceSupervisor
from tocsin.core.state import LiveState


class Actions(controls.Actions, Protocol):
    """What people may do with targets; ``checks.target_actions`` implements it."""

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """Return the source's inspect document of a target.

        Raises:
            ActionError: the target is unknown, or its source cannot provide the document.
        """


class Monitor(Protocol):
    """What the API calls and reads; ``app.Tocsin`` implements it."""

    version: str
    started_at: datetime
    settings: Settings
    bus: Bus
    history: HistoryAccess
    tokens: TokenStore
    alerting: Alerting
    plugins: PluginManager
    isolation: Isolation
    services: ServiceSupervisor

    @property
    def state(self) -> LiveState:
        """Return the current state of targets and checks."""

    @property
    def actions(self) -> Actions:
        """Return what performs actions on targets."""

    @property
    def clock(self) -> Clock:
        """Return the clock; read-only, so that any subtype of Clock satisfies the protocol."""

    def health(self) -> dict[str, ComponentHealth]:
        """Return the health of each component, by name."""

    def stats(self) -> SchedulerStats:
        """Return the scheduler's statistics."""

    def audit(self, entry: AuditEntry) -> None:
        """Record a change that a person made."""

    def beat(self, key: str, beat: Heartbeat) -> str:
        """Record a heartbeat and return the id of the check that received it.

        Raises:
            KeyError: no check expects heartbeats with this key.
        """

    async def reload(self) -> Settings:
        """Read the configuration again and apply it.

        Raises:
            ConfigError: the new configuration has errors; the current one stays in force.
        """

    def dependents(self, target: str) -> list[str]:
        """Return the names of the targets that depend on a target, directly or through others."""
