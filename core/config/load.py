"""Loads the configuration (file, environment, options of plugins) into :class:`Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from attrs import evolve

from tocsin.core.config.alerting import make_windows
from tocsin.core.config.automatic import automatic_targets
from tocsin.core.config.channel_names import check_channel_names, named_channels
from tocsin.core.config.channels import make_channels
from tocsin.core.config.checks import MIN_INTERVAL, make_source
from tocsin.core.config.core_settings import (
    ActionSettings,
    AlertSettings,
    ApiSettings,
    DeadmanSettings,
    Format,
    GroupSettings,
    Level,
    LogSettings,
    PluginSettings,
)
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Catalog, ConfigError, Path, Problems
from tocsin.core.config.find import beside, data_directory, read, with_variables
from tocsin.core.config.history import make_history
from tocsin.core.config.messages import make_messages
from tocsin.core.config.observers import make_observers
from tocsin.core.config.redact import secrets_of
from tocsin.core.config.references import check_references
from tocsin.core.config.reviewers import make_reviewers, sections_of
from tocsin.core.config.rules import RuleMaker
from tocsin.core.config.scalars import MAX_PORT, any_port, choose, show
from tocsin.core.config.sections import SECTIONS, TOP_KEYS, Top
from tocsin.core.config.services import make_services
from tocsin.core.config.settings import (
    ChannelSettings,
    ObserverSettings,
    ReviewerSettings,
    Settings,
    SourceSettings,
    TargetSettings,
)
from tocsin.core.config.structure import build
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.config.targets import TargetMaker
from tocsin.core.config.values import check_timezone, interval_of
from tocsin.core.hiding import Known, hide, parts_of
from tocsin.core.units import parse_duration


def load_config(path: FilePath | None, env: Mapping[str, str], catalog: Catalog) -> Settings:
    """Load the configuration from a file, if there is one, and the environment.

    Raises:
        ConfigError: something is wrong; it lists all errors, each with its place.
    """
    problems = Problems(str(path) if path is not None else "environment")
    environment = Environment(env, problems)
    tree = environment.fill(read(path, problems))
    settings = _Loader(tree, environment, catalog, problems).settings(path)
    if problems.found:
        raise ConfigError(problems.sorted(settings.secrets))
    return settings


class _Loader:
    def __init__(
        self, tree: dict[str, Any], environment: Environment, catalog: Catalog, problems: Problems
    ) -> None:
        self.tree = tree
        self.env = environment
        self.catalog = catalog
        self.problems = problems
        self.warnings: list[str] = []

    def settings(self, path: FilePath | None) -> Settings:
        self._check_keys()
        top = self._section(Top, {k: v for k, v in self.tree.items() if k in TOP_KEYS}, ())
        if top.interval < MIN_INTERVAL:
            self.problems.add(("interval",), f"must be at least {MIN_INTERVAL:g} s")
        interval = self.env.read("MONITOR_INTERVAL", interval_of, top.interval)
        check_timezone(top.timezone, self.problems)
        alerts = self._alerts(top.alert_cooldown)
        self.maker = RuleMaker(self.catalog, self.problems, alerts, self.warnings)
        rule_tables = self._tables("rules")
        self.rules = self.maker.rules(rule_tables)
        for rule in self.rules.values():
            self._tell_broken(f"rule {rule.name}", rule.broken)
        maker = TargetMaker(
            self.catalog, self.problems, self.maker, self.rules, self.warnings, interval
        )
        targets = maker.targets(self._tables("targets"))
        targets |= automatic_targets(self._tables("targets"), self.catalog, interval, self.warnings)
        sources = self._sources(interval)
        check_references(targets, sources, self.problems, self.warnings)
        channels = self._channels(alerts, targets)
        settings = Settings(
            file=path,
            data_dir=data_directory(top.data_dir, self.env, self.problems, path),
            interval=interval,
            timezone=top.timezone,
            api=self._api(),
            database=make_history(
                self.tree.get("database", {}), self.env, self.catalog, self.problems, self.warnings
            ),
            plugins=self._plugins(),
            actions=self._section(ActionSettings, *self._table("actions")),
            log=self._log(path),
            alerts=alerts,
            messages=make_messages(
                self.tree.get("messages", {}),
                path.parent if path else FilePath(),
                self.problems,
                self.rules,
                channels,
                self.catalog,
            ),
            deadman=self._deadman(),
            observers=self._observers(),
            reviewers=self._reviewers(),
            rules=self.rules,
            own_alerts=self.maker.own(rule_tables),
            maintenance=make_windows(self._tables("maintenance"), self.problems, top.timezone),
            targets=targets,
            sources=sources,
            channels=channels,
            services=make_services(
                self._tables("services"), self.catalog, self.problems, self.warnings
            ),
            warnings=tuple(self.warnings),
        )
        names_without_channel = check_channel_names(
            settings, self._tables("channels"), rule_tables, self.catalog, self.problems
        )
        settings = evolve(settings, warnings=(*settings.warnings, *names_without_channel))
        # A password that equals a name is not hidden where that name appears: this would reveal the
        # password and hide the name.
        names = {*targets, *sources, *(c for target in targets.values() for c in target.checks)}
        secrets = secrets_of(self.tree, settings, self.env.filled)
        secrets |= {part for secret in self.env.secrets for part in parts_of(secret)}
        hidden = frozenset(secrets - names - {""})
        hider = Known(hidden)
        warnings = tuple(hide(warning, hider) for warning in settings.warnings)
        return evolve(settings, secrets=hidden, warnings=warnings)

    def _check_keys(self) -> None:
        """Report top-level keys that are unknown; a table may belong to a plugin that is not
        loaded."""
        known = {*TOP_KEYS, *SECTIONS, *sections_of(self.catalog)}
        for name in sorted(self.tree.keys() - known):
            reason = self.catalog.missing(name) if isinstance(self.tree[name], Mapping) else None
            if reason is not None:
                self.warnings.append(f"[{name}] has no effect: {reason}")
            else:
                hint = did_you_mean(name, known)
                self.problems.add((name,), f"there is no such key; {hint}")

    def _table(self, name: str) -> tuple[Any, Path]:
        return self.tree.get(name, {}), (name,)

    def _tables(self, name: str) -> dict[str, Any]:
        table, path = self._table(name)
        if isinstance(table, dict):
            return table
        self.problems.add(path, f"expected tables such as [{name}.NAME], got {show(table)}")
        return {}

    def _section(self, cls: Any, table: Any, path: Path) -> Any:
        """Build one section; if it is wrong, report that and return the defaults."""
        built = build(cls, table, path, self.problems)
        return cls() if built is None else built

    def _api(self) -> ApiSettings:
        api: ApiSettings = self._section(ApiSettings, *self._table("api"))
        if not api.host:
            message = "must be given; '0.0.0.0' listens on every IPv4 address"
            self.problems.add(("api", "host"), message)
        if not 0 <= api.port <= MAX_PORT:
            self.problems.add(("api", "port"), f"must be from 0 (any free one) to {MAX_PORT}")
        return evolve(
            api,
            host=self.env.read("TOCSIN_API_HOST", str, api.host),
            port=self.env.read("TOCSIN_API_PORT", any_port, api.port),
        )

    def _plugins(self) -> PluginSettings:
        plugins: PluginSettings = self._section(PluginSettings, *self._table("plugins"))
        if plugins.inline is None:
            plugins = evolve(plugins, inline=tuple(sorted(self.catalog.inline)))
        return with_variables(plugins, self.env.variables)

    def _alerts(self, cooldown: float | None) -> AlertSettings:
        alerts: AlertSettings = self._section(AlertSettings, *self._table("alerts"))
        if cooldown is not None:
            alerts = evolve(alerts, cooldown=cooldown)
        given = self.env.read("ALERT_COOLDOWN", parse_duration, alerts.cooldown)
        if given < 1:
            self.problems.add(("alerts", "cooldown"), "must be at least 1 s")
            given = 900.0
        if alerts.escalate_after < 0:
            self.problems.add(("alerts", "escalate_after"), "must be 0 (never) or more")
        return evolve(alerts, cooldown=given)

    def _deadman(self) -> DeadmanSettings:
        deadman: DeadmanSettings = self._section(DeadmanSettings, *self._table("deadman"))
        if deadman.interval < 1:
            self.problems.add(("deadman", "interval"), "must be at least 1 s")
        if deadman.url is not None and not deadman.url.reveal().startswith(("http://", "https://")):
            self.problems.add(("deadman", "url"), "must begin with http:// or https://")
        return deadman

    def _observers(self) -> dict[str, ObserverSettings]:
        observers = make_observers(self._tables("observers"), self.catalog, self.problems)
        for observer in observers.values():
            self._tell_broken(f"observer {observer.name}", observer.broken)
        return observers

    def _reviewers(self) -> dict[str, ReviewerSettings]:
        reviewers = make_reviewers(
            self.tree, self._tables("reviewers"), self.catalog, self.problems
        )
        for reviewer in reviewers.values():
            self._tell_broken(f"reviewer {reviewer.name}", reviewer.broken)
        return reviewers

    def _channels(
        self, alerts: AlertSettings, targets: Mapping[str, TargetSettings]
    ) -> dict[str, ChannelSettings]:
        group = GroupSettings(hold=alerts.hold, window=alerts.window)
        named = {name for *_, name in named_channels(self.rules.values(), targets.values())}
        return make_channels(
            self._tables("channels"), self.env, self.catalog, self.problems, self.warnings, group,
            named,
        )  # fmt: skip

    def _log(self, path: FilePath | None) -> LogSettings:
        log: LogSettings = self._section(LogSettings, *self._table("log"))
        for key, value, least in (("max_size", log.max_size, 10_000), ("keep", log.keep, 0)):
            if value < least:
                self.problems.add(("log", key), f"must be at least {least}")
        return evolve(
            log,
            level=self.env.read("TOCSIN_LOG_LEVEL", lambda x: choose(x, Level), log.level),
            format=self.env.read("TOCSIN_LOG_FORMAT", lambda x: choose(x, Format), log.format),
            file=self.env.read("TOCSIN_LOG_FILE", FilePath, beside(path, log.file)),
        )

    def _tell_broken(self, what: str, reason: str | None) -> None:
        if reason is not None:
            self.warnings.append(f"{what} cannot run: {reason}")

    def _sources(self, interval: float) -> dict[str, SourceSettings]:
        sources = {}
        tables = self._tables("sources")
        for name, table in tables.items():
            path = ("sources", name)
            source = make_source(name, table, path, self.catalog, self.problems, interval)
            if source is not None:
                sources[name] = source
                self._tell_broken(f"source {name}", source.broken)
        named = [table.get("probe") for table in tables.values() if isinstance(table, dict)]
        for probe, entry in self.catalog.sources.items():
            name = entry.cls.autostart
            if name is None or name in tables or probe in named:
                continue
            source = make_source(
                name, {"probe": probe}, (), self.catalog, self.problems, interval, automatic=True
            )
            if source is not None:
                sources[name] = source
                self._tell_broken(f"source {name}", source.broken)
        return sources
