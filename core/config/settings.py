"""The configuration in force: frozen, complete, plugins' own options already built."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import Factory, evolve, field, frozen

from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.silences import Window
from tocsin.core.contracts.base import Probe, PushProbe, Secret, Service, Source
from tocsin.core.contracts.model import Target
from tocsin.core.contracts.notifier import Notifier
from tocsin.core.contracts.observer import Observer
from tocsin.core.contracts.rule import Rule, Severity
from tocsin.core.units import Bytes, Seconds

DAY = 86400.0

BUILT_IN = (
    "backup-script",
    "dashboard",
    "disk",
    "docker-health",
    "down",
    "email",
    "heartbeat",
    "http",
    "postgres-query",
    "restart-loop",
    "tcp",
    "telegram",
    "thresholds",
    "webhook",
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

    def runs_like(self, other: CheckSettings) -> bool:
        """Whether a run of one is a run of the other."""
        return (self.probe, self.broken, self.interval, self.plugin) == (
            other.probe, other.broken, other.interval, other.plugin,
        )  # fmt: skip


@frozen(kw_only=True)
class RuleSettings:
    """One rule under its own name. ``table`` is what was written, defaults included; ``rule`` is
    None where it cannot run, ``broken`` then says why."""

    name: str
    rule_name: str
    plugin: str | None
    rule: Rule | None
    broken: str | None
    table: Mapping[str, Any]
    policy: Policy
    lookback: float = 0.0
    looks_at: tuple[str, ...] | None = None
    enabled: bool = True
    targets: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ()


@frozen(kw_only=True)
class TargetSettings:
    """What the configuration says of a target; None where it leaves the word to discovery.
    ``automatic``: nobody asked for it, its checks are there by themselves. ``match``: patterns, all
    of which fit a container whose label may ask to be this target; none: no label may."""

    name: str
    kind: str | None = None
    critical: bool | None = None
    depends_on: tuple[str, ...] | None = None
    expected: Mapping[str, float] = Factory(dict)
    labels: Mapping[str, str] = Factory(dict)
    enabled: bool = True
    source: str | None = None
    checks: Mapping[str, CheckSettings] = Factory(dict)
    rules: Mapping[str, RuleSettings] = Factory(dict)
    """Rules as changed for this target alone."""
    match: Mapping[str, str] = Factory(dict)
    automatic: bool = False

    def refine(self, found: Target) -> Target:
        """A target as a source found it, or a bare one, with what is said of it here."""
        return evolve(
            found,
            kind=found.kind if self.kind is None else self.kind,
            critical=found.critical if self.critical is None else self.critical,
            depends_on=found.depends_on if self.depends_on is None else self.depends_on,
            expected={**found.expected, **self.expected},
            labels={**found.labels, **self.labels},
        )


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
    """One channel; ``notifier`` is None where it cannot be used, ``broken`` then says why.

    Durations in seconds. An idle channel holds a notice for ``hold`` (what is not critical for
    ``batch``, if that is set), and what comes within ``window`` after a message goes out as the
    next one; at most ``max_messages`` go out in ``per`` seconds. A message that cannot be delivered
    goes to ``fallback`` and, after ``give_up_after``, to the dead letters.
    """

    name: str
    notifier_name: str
    plugin: str | None
    notifier: Notifier | None
    broken: str | None
    options: Mapping[str, Any]
    min_severity: Severity = Severity.INFO
    hold: float = 0.3
    window: float = 5.0
    batch: float | None = None
    max_messages: int = 20
    per: float = 60.0
    fallback: str | None = None
    give_up_after: float = 86400.0


@frozen(kw_only=True)
class ServiceSettings:
    """One service; ``service`` is None where it cannot run, ``broken`` then says why."""

    name: str
    plugin: str | None
    service: Service | None
    broken: str | None
    options: Mapping[str, Any]


@frozen(kw_only=True)
class GroupSettings:
    """How notices are gathered into messages, where a channel says nothing else. Seconds."""

    hold: Seconds = 0.3
    window: Seconds = 5.0


@frozen(kw_only=True)
class AlertSettings:
    """What holds for all alerts. Durations in seconds.

    ``inhibit_grace``: how long targets may take to recover after what they depend on has.
    """

    cooldown: Seconds = 900.0
    escalate_after: int = 3
    escalation_channels: tuple[str, ...] = ()
    inhibit_grace: Seconds = 60.0
    hold: Seconds = 0.3
    window: Seconds = 5.0


@frozen(kw_only=True)
class MessageSettings:
    """What messages say. ``templates``: a directory of texts that go before tocsin's own."""

    templates: Path | None = None


@frozen(kw_only=True)
class DeadmanSettings:
    """A ping that goes out while all is well; whoever waits for it rings when it stays away."""

    url: Secret | None = None
    interval: Seconds = 60.0
    timeout: Seconds = 10.0


@frozen(kw_only=True)
class UplinkSettings:
    """Places outside, as ``host:port``, any of which answers while tocsin's own uplink is there.

    Attributes:
        addresses: none: the uplink is never doubted.
        timeout: seconds for each of them to accept a connection.
    """

    addresses: tuple[str, ...] = ()
    timeout: Seconds = 3.0


@frozen(kw_only=True)
class ObserverSettings:
    """One observer of alerts, ready to be told; or the reason why it cannot be had."""

    name: str
    plugin: str | None
    observer: Observer | None
    broken: str | None
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
    ``spool_size`` in bytes: how much history may wait on disk while the database is away; past
    that the oldest samples give way.
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
    """What is logged, and how.

    ``file``: where logs are kept besides, as JSON lines; at ``max_size`` bytes it is put aside, and
    ``keep`` of those are kept.
    """

    level: Level = Level.INFO
    format: Format = Format.AUTO
    file: Path | None = None
    max_size: Bytes = 10_000_000
    keep: int = 5


@frozen(kw_only=True)
class Settings:
    """The whole configuration. ``interval`` in seconds."""

    data_dir: Path
    file: Path | None = None
    interval: float = 30.0
    timezone: str = "UTC"
    api: ApiSettings = ApiSettings()
    database: DatabaseSettings = DatabaseSettings()
    plugins: PluginSettings = PluginSettings()
    actions: ActionSettings = ActionSettings()
    log: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()
    messages: MessageSettings = MessageSettings()
    deadman: DeadmanSettings = DeadmanSettings()
    uplink: UplinkSettings = UplinkSettings()
    observers: Mapping[str, ObserverSettings] = Factory(dict)
    rules: Mapping[str, RuleSettings] = Factory(dict)
    own_alerts: Mapping[str, Policy] = Factory(dict)
    maintenance: tuple[Window, ...] = ()
    targets: Mapping[str, TargetSettings] = Factory(dict)
    sources: Mapping[str, SourceSettings] = Factory(dict)
    channels: Mapping[str, ChannelSettings] = Factory(dict)
    services: Mapping[str, ServiceSettings] = Factory(dict)
    warnings: tuple[str, ...] = ()
    secrets: frozenset[str] = field(factory=frozenset, repr=False)
    """Values of secret options, of secret-looking variables, of files; hidden wherever shown."""

    def declared(self) -> tuple[int, int]:
        """How many targets, and checks of them, the file declares."""
        said = [target for target in self.targets.values() if not target.automatic]
        return len(said), sum(len(target.checks) for target in said)

    def unbuilt(self) -> dict[str, str]:
        """Plugins of which something could not be made though the configuration is right, each
        with the reason as a clause."""
        parts: Mapping[str, Mapping[str, Any]] = {
            "observer": self.observers,
            "service": self.services,
            "source": self.sources,
            "channel": self.channels,
            "rule": self.rules,
        }
        found: list[tuple[str, Any]] = [
            (f"{kind} {each.name}", each) for kind, one in parts.items() for each in one.values()
        ]
        for target in self.targets.values():
            found += [(f"rule {each.name}", each) for each in target.rules.values()]
            found += [(f"check {target.name}/{c.name}", c) for c in target.checks.values()]
        return {
            each.plugin: f"{each.broken} ({name})"
            for name, each in found
            if each.plugin is not None and each.broken is not None
        }

    def automatic(self) -> list[str]:
        """The ids of the checks that are there by themselves."""
        own = [target for target in self.targets.values() if target.automatic]
        return [f"{target.name}/{check}" for target in own for check in target.checks]
