"""The configuration in force: immutable and complete, with plugins' options already built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, evolve, field, frozen

from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.silences import Window
from tocsin.core.config.core_settings import (
    ActionSettings,
    AlertSettings,
    ApiSettings,
    DeadmanSettings,
    LogSettings,
    MessageSettings,
    PluginSettings,
)
from tocsin.core.contracts.history import HistoryStore
from tocsin.core.contracts.model import Target
from tocsin.core.contracts.notifier import Notifier
from tocsin.core.contracts.observer import Observer
from tocsin.core.contracts.probe import Probe, PushProbe
from tocsin.core.contracts.reviewer import Reviewer
from tocsin.core.contracts.rule import Rule, Severity
from tocsin.core.contracts.service import Service
from tocsin.core.contracts.source import Source

DAY = 86400.0


@frozen(kw_only=True)
class CheckSettings:
    """One check. ``probe`` is None if it cannot run; ``broken`` then says why.

    ``interval`` and ``timeout`` are in seconds, with defaults applied. ``options`` are as written,
    for display only.
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
        """Return whether a result of one check is also a valid result of the other."""
        return (self.probe, self.broken, self.interval, self.plugin) == (
            other.probe, other.broken, other.interval, other.plugin,
        )  # fmt: skip


@frozen(kw_only=True)
class RuleSettings:
    """One rule under its own name. ``rule`` is None if it cannot run; ``broken`` then says why.

    ``table`` holds the options as written, merged with the defaults. ``lookback`` is in seconds.
    """

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
    """What the configuration sets for a target; None leaves a property to discovery.

    ``automatic``: the target exists only because of automatic checks. ``match``: patterns that a
    container has to match, all of them, if its label asks to be this target; without patterns no
    label may ask.
    """

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
    """Rules as changed for this target only."""
    match: Mapping[str, str] = Factory(dict)
    automatic: bool = False

    def refine(self, found: Target) -> Target:
        """Return a discovered or empty target with the properties that are set here."""
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
    """One source. ``automatic``: it starts without being configured."""

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
    """One channel; ``notifier`` is None if it cannot be used, ``broken`` then says why.

    Durations are in seconds. An idle channel holds a notification for ``hold`` (one that is not
    critical for ``batch``, if that is set). What arrives within ``window`` after a message is
    grouped into the next one. At most ``max_messages`` are sent in ``per`` seconds. A message that
    cannot be delivered goes to ``fallback`` and, after ``give_up_after``, to the dead letters.
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
    """One service; ``service`` is None if it cannot run, ``broken`` then says why.
    ``is_configured``: whether it has a table; otherwise it runs by default."""

    name: str
    plugin: str | None
    service: Service | None
    broken: str | None
    options: Mapping[str, Any]
    is_configured: bool = False


@frozen(kw_only=True)
class ObserverSettings:
    """One observer; ``observer`` is None if it cannot be used, ``broken`` then says why."""

    name: str
    plugin: str | None
    observer: Observer | None
    broken: str | None
    options: Mapping[str, Any]


@frozen(kw_only=True)
class ReviewerSettings:
    """One reviewer; ``reviewer`` is None if it cannot be used, ``broken`` then says why.
    ``section`` is the top-level table of its options; None: ``[reviewers.NAME]``."""

    name: str
    plugin: str | None
    reviewer: Reviewer | None
    broken: str | None
    options: Mapping[str, Any]
    section: str | None = None


@frozen(kw_only=True)
class HistorySettings:
    """The history; ``store`` is None if none is kept. If that is for a fault, ``broken`` says
    which: as a clause about ``plugin``, or else about another one that it names."""

    name: str = ""
    plugin: str | None = None
    store: HistoryStore | None = None
    broken: str | None = None
    options: Mapping[str, Any] = field(factory=dict, eq=False)

    @property
    def why_none(self) -> str | None:
        """Why no history is kept, if that is for a fault, with the name of the plugin."""
        if self.broken is None or self.plugin is None:
            return self.broken
        return f"plugin {self.plugin!r} {self.broken}"


@frozen(kw_only=True)
class Settings:
    """The whole configuration. ``interval`` is in seconds."""

    data_dir: Path
    file: Path | None = None
    interval: float = 30.0
    timezone: str = "UTC"
    api: ApiSettings = Factory(ApiSettings)
    database: HistorySettings = Factory(HistorySettings)
    plugins: PluginSettings = Factory(PluginSettings)
    actions: ActionSettings = Factory(ActionSettings)
    log: LogSettings = Factory(LogSettings)
    alerts: AlertSettings = Factory(AlertSettings)
    messages: MessageSettings = Factory(MessageSettings)
    deadman: DeadmanSettings = Factory(DeadmanSettings)
    observers: Mapping[str, ObserverSettings] = Factory(dict)
    reviewers: Mapping[str, ReviewerSettings] = Factory(dict)
    rules: Mapping[str, RuleSettings] = Factory(dict)
    own_alerts: Mapping[str, Policy] = Factory(dict)
    maintenance: tuple[Window, ...] = ()
    targets: Mapping[str, TargetSettings] = Factory(dict)
    sources: Mapping[str, SourceSettings] = Factory(dict)
    channels: Mapping[str, ChannelSettings] = Factory(dict)
    services: Mapping[str, ServiceSettings] = Factory(dict)
    idle: Mapping[str, str] = Factory(dict)
    """What would run by default, by component of ``/health``, and which option it lacks."""
    warnings: tuple[str, ...] = ()
    secrets: frozenset[str] = field(factory=frozenset, repr=False)
    """All known secrets, which are hidden wherever text is shown."""

    def declared(self) -> tuple[int, int]:
        """Return the number of targets that the file declares, and of their checks."""
        said = [target for target in self.targets.values() if not target.automatic]
        return len(said), sum(len(target.checks) for target in said)

    def unbuilt(self) -> dict[str, str]:
        """Return the plugins of which an object could not be built although its options are valid.

        Returns:
            The reason for each plugin, as a clause.
        """
        parts: Mapping[str, Mapping[str, Any]] = {
            "observer": self.observers,
            "reviewer": self.reviewers,
            "service": self.services,
            "source": self.sources,
            "channel": self.channels,
            "rule": self.rules,
            "history": {self.database.name: self.database},
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
        """Return the ids of the automatic checks."""
        own = [target for target in self.targets.values() if target.automatic]
        return [f"{target.name}/{check}" for target in own for check in target.checks]
