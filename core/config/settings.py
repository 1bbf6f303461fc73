"""The configuration in force: frozen, complete, plugins' own options already built."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

from tocsin.core.contracts import Probe, PushProbe, Secret, Source
from tocsin.core.units import Bytes, Seconds

DAY = 86400.0

BUILT_IN = (
    "backup-script",
    "disk",
    "docker-health",
    "heartbeat",
    "http",
    "postgres-query",
    "tcp",
)
"""The plugins that come with tocsin; tested by us, so run in the core's own event loop."""


@frozen(kw_only=True)
class CheckSettings:
    """One check. ``probe`` is None where it cannot run; ``broken`` then says why.

    ``interval``, ``timeout`` in seconds, resolved; ``options`` as written, for display only.
    """

    name: str
    probe_name: str
    plugin: str | None
    probe: Probe | PushProbe | None
    broken: str | None
    options: Mapping[str, Any]
    interval: float
    timeout: float
    retries: int


@frozen(kw_only=True)
class TargetSettings:
    """What the configuration says of a target; None where it leaves the word to discovery."""

    name: str
    kind: str | None = None
    critical: bool | None = None
    depends_on: tuple[str, ...] | None = None
    expected: Mapping[str, float] = Factory(dict)
    labels: Mapping[str, str] = Factory(dict)
    enabled: bool = True
    source: str | None = None
    checks: Mapping[str, CheckSettings] = Factory(dict)


@frozen(kw_only=True)
class SourceSettings:
    """One source. ``automatic``: nobody asked for it, its class starts by itself."""

    name: str
    probe_name: str
    plugin: str | None
    source: Source | None
    broken: str | None
    options: Mapping[str, Any]
    interval: float
    target_kind: str = "container"
    automatic: bool = False


@frozen(kw_only=True)
class ChannelSettings:
    """One channel: a notifier's name and the options written for it."""

    name: str
    notifier: str
    options: Mapping[str, Any]


@frozen(kw_only=True)
class ApiSettings:
    """Where the API listens."""

    host: str = "127.0.0.1"
    port: int = 8095


@frozen(kw_only=True)
class DatabaseSettings:
    """History. Without a ``url`` the embedded PostgreSQL is used.

    ``retention`` (raw samples) and ``retention_minutes`` (one-minute roll-ups) in seconds;
    ``spool_size`` in bytes: how much history may wait on disk while the database is away.
    """

    url: Secret | None = None
    retention: Seconds = 30 * DAY
    retention_minutes: Seconds = 90 * DAY
    spool_size: Bytes = 256_000_000


@frozen(kw_only=True)
class PluginSettings:
    """Which plugins may load, and which run in the core's own event loop (``inline``)."""

    disabled: tuple[str, ...] = ()
    allowed: tuple[str, ...] | None = None
    external: bool = True
    inline: tuple[str, ...] = BUILT_IN


@frozen(kw_only=True)
class ActionSettings:
    """What people may do through tocsin: patterns of the targets that may be restarted."""

    restart: tuple[str, ...] = ()


class Level(StrEnum):
    """From which severity on something is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    """How logs look; ``auto``: for people on a terminal, JSON lines elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


@frozen(kw_only=True)
class LogSettings:
    """What is logged, and how."""

    level: Level = Level.INFO
    format: Format = Format.AUTO


@frozen(kw_only=True)
class Settings:
    """The whole configuration. ``interval`` and ``alert_cooldown`` in seconds."""

    data_dir: Path
    file: Path | None = None
    interval: float = 30.0
    timezone: str = "UTC"
    alert_cooldown: float = 900.0
    api: ApiSettings = ApiSettings()
    database: DatabaseSettings = DatabaseSettings()
    plugins: PluginSettings = PluginSettings()
    actions: ActionSettings = ActionSettings()
    log: LogSettings = LogSettings()
    targets: Mapping[str, TargetSettings] = Factory(dict)
    sources: Mapping[str, SourceSettings] = Factory(dict)
    channels: Mapping[str, ChannelSettings] = Factory(dict)
    warnings: tuple[str, ...] = ()
    secrets: frozenset[str] = Factory(frozenset)
    """Values of secret options, secret-looking variables and ``_FILE``; hidden wherever shown."""
