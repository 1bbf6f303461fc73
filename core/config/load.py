"""Loading a configuration: file, environment and plugins' schemas into :class:`Settings`."""

from __future__ import annotations

import os
import zoneinfo
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from attrs import Factory, evolve, frozen

from tocsin.core.config.checks import bad_name, make_check, make_source
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Catalog, ConfigError, ConfigProblem, Path, Problems
from tocsin.core.config.settings import (
    ActionSettings,
    ApiSettings,
    ChannelSettings,
    CheckSettings,
    DatabaseSettings,
    LogSettings,
    PluginSettings,
    Settings,
    SourceSettings,
    TargetSettings,
)
from tocsin.core.config.structure import build, show
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.config.toml import parse
from tocsin.core.contracts import Secret
from tocsin.core.units import Seconds, parse_duration, parse_size

SECTIONS = ("api", "database", "plugins", "actions", "log", "targets", "sources", "channels")


@frozen(kw_only=True)
class _Top:
    """The keys that stand before the first table."""

    interval: Seconds = 30.0
    timezone: str = "UTC"
    data_dir: FilePath | None = None
    alert_cooldown: Seconds = 900.0


@frozen(kw_only=True)
class _TargetTable:
    kind: str | None = None
    critical: bool | None = None
    depends_on: tuple[str, ...] | None = None
    expected: Mapping[str, Any] = Factory(dict)
    labels: Mapping[str, str] = Factory(dict)
    enabled: bool = True
    source: str | None = None
    checks: Mapping[str, Any] = Factory(dict)


def find_config(explicit: FilePath | None, env: Mapping[str, str]) -> FilePath | None:
    """The file to use: the named one, ``$TOCSIN_CONFIG``, ./tocsin.toml, /etc/tocsin/tocsin.toml.

    Raises:
        ConfigError: a file was named and is not there.
    """
    named = explicit or (FilePath(env["TOCSIN_CONFIG"]) if env.get("TOCSIN_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(
                (ConfigProblem(file=str(named), message="there is no such file; create it"),)
            )
        return named
    usual = (FilePath("tocsin.toml"), FilePath("/etc/tocsin/tocsin.toml"))
    return next((path for path in usual if path.is_file()), None)


def _read(path: FilePath | None, problems: Problems) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        problems.at_line(None, f"the file cannot be read ({error.strerror})")
        return {}
    except UnicodeDecodeError:
        problems.at_line(None, "the file is not UTF-8 text; save it as UTF-8")
        return {}
    return parse(text.replace("\r\n", "\n"), problems)


def read_plugin_settings(
    path: FilePath | None, env: Mapping[str, str], *, external: bool = True
) -> PluginSettings:
    """Which plugins may load. Errors are left to :func:`load_config`, which tells them all."""
    problems = Problems(str(path))
    tree = _read(path, problems)
    table = Environment(env, problems).fill(tree.get("plugins", {}))
    settings = build(PluginSettings, table, ("plugins",), problems) or PluginSettings()
    return _with_plugin_variables(settings, env, external)


def _with_plugin_variables(
    settings: PluginSettings, env: Mapping[str, str], external: bool = True
) -> PluginSettings:
    more = [name.strip() for name in env.get("TOCSIN_PLUGINS_DISABLED", "").split(",")]
    return evolve(
        settings,
        disabled=(*settings.disabled, *(name for name in more if name)),
        external=settings.external and external,
    )


def load_config(path: FilePath | None, env: Mapping[str, str], catalog: Catalog) -> Settings:
    """Load everything.

    Raises:
        ConfigError: with every problem there is, each with its place.
    """
    problems = Problems(str(path) if path is not None else "environment")
    environment = Environment(env, problems)
    tree = environment.fill(_read(path, problems))
    settings = _Loader(tree, environment, catalog, problems).settings(path)
    if problems.found:
        raise ConfigError(tuple(sorted(problems.found, key=lambda p: (p.line or 0, p.path))))
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
        known = {field.name for field in _Top.__attrs_attrs__}
        for name in self.tree.keys() - known - set(SECTIONS):
            hint = did_you_mean(name, known | set(SECTIONS))
            self.problems.add((name,), f"there is no such key; {hint}")
        top = self._section(_Top, {k: v for k, v in self.tree.items() if k in known}, ())
        interval = self._number("MONITOR_INTERVAL", parse_duration, top.interval)
        if interval < 1:
            self.problems.add(("interval",), "must be at least 1 s")
        self._check_timezone(top.timezone)
        targets = self._targets(interval)
        sources = self._sources(interval)
        self._check_dependencies(targets)
        return Settings(
            file=path,
            data_dir=self._data_dir(top.data_dir),
            interval=interval,
            timezone=top.timezone,
            alert_cooldown=self._number("ALERT_COOLDOWN", parse_duration, top.alert_cooldown),
            api=self._api(),
            database=self._database(),
            plugins=_with_plugin_variables(
                self._section(PluginSettings, *self._table("plugins")), self.env.variables
            ),
            actions=self._section(ActionSettings, *self._table("actions")),
            log=self._log(),
            targets=targets,
            sources=sources,
            channels=self._channels(),
            warnings=tuple(self.warnings),
            secrets=frozenset(self.env.secrets),
        )

    def _table(self, name: str) -> tuple[Any, Path]:
        return self.tree.get(name, {}), (name,)

    def _tables(self, name: str) -> dict[str, Any]:
        table, path = self._table(name)
        if isinstance(table, dict):
            return table
        self.problems.add(path, f"expected tables such as [{name}.NAME], got {show(table)}")
        return {}

    def _section(self, cls: Any, table: Any, path: Path) -> Any:
        """One section, its defaults where it is wrong (the problem being noted)."""
        built = build(cls, table, path, self.problems)
        return cls() if built is None else built

    def _number(self, name: str, read: Any, default: float) -> float:
        value = self.env.get(name)
        if value is None:
            return default
        try:
            return float(read(value))
        except ValueError as error:
            self.problems.environment(name, str(error))
            return default

    def _check_timezone(self, name: str) -> None:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            message = f"no time zone is called {show(name)}; write one such as 'Europe/Berlin'"
            self.problems.add(("timezone",), message)

    def _data_dir(self, said: FilePath | None) -> FilePath:
        if value := self.env.get("TOCSIN_DATA_DIR"):
            return FilePath(value).expanduser().absolute()
        if said is not None:
            return said.absolute()
        if value := self.env.get("XDG_DATA_HOME"):
            return FilePath(value) / "tocsin"
        if os.geteuid() == 0:
            return FilePath("/var/lib/tocsin")
        return FilePath.home() / ".local/share/tocsin"

    def _api(self) -> ApiSettings:
        api: ApiSettings = self._section(ApiSettings, *self._table("api"))
        if host := self.env.get("TOCSIN_API_HOST"):
            api = evolve(api, host=host)
        port = self._number("TOCSIN_API_PORT", int, api.port)
        if not 0 <= port <= 65535:
            self.problems.add(("api", "port"), "must be from 0 to 65535")
        return evolve(api, port=int(port))

    def _database(self) -> DatabaseSettings:
        database: DatabaseSettings = self._section(DatabaseSettings, *self._table("database"))
        if url := self.env.get("DATABASE_URL"):
            database = evolve(database, url=Secret(url))
        if database.url is not None and not database.url.reveal().startswith(
            ("postgresql://", "postgres://")
        ):
            self.problems.add(
                ("database", "url"), "must read postgresql://user:password@host:port/database"
            )
        if database.retention < 86400:
            self.problems.add(("database", "retention"), "must be at least '1d'")
        return database

    def _log(self) -> LogSettings:
        table, path = self._table("log")
        if isinstance(table, dict):
            for key in ("level", "format"):
                if value := self.env.get(f"TOCSIN_LOG_{key.upper()}"):
                    table = {**table, key: value.lower()}
        log: LogSettings = self._section(LogSettings, table, path)
        return log

    def _targets(self, interval: float) -> dict[str, TargetSettings]:
        targets = {}
        for name, table in self._tables("targets").items():
            path = ("targets", name)
            if reason := bad_name(name):
                self.problems.add(path, reason)
                continue
            said = build(_TargetTable, table, path, self.problems)
            if said is None:
                # The table itself is wrong; its checks are looked at all the same.
                checks = table.get("checks", {}) if isinstance(table, dict) else {}
                self._checks(checks, path, interval)
                continue
            targets[name] = TargetSettings(
                name=name,
                kind=said.kind,
                critical=said.critical,
                depends_on=said.depends_on,
                expected=self._expected(said.expected, (*path, "expected")),
                labels=said.labels,
                enabled=said.enabled,
                source=said.source,
                checks=self._checks(said.checks, path, interval),
            )
            if said.enabled and said.kind is None and not said.checks:
                self.warnings.append(
                    f"target {name!r} has no checks and no kind: it is watched only if a source "
                    'finds it; write kind = "container" to be told when it is missing'
                )
        return targets

    def _checks(self, tables: Any, path: Path, interval: float) -> dict[str, CheckSettings]:
        checks = {}
        if isinstance(tables, dict):
            for name, table in tables.items():
                place = (*path, "checks", name)
                check = make_check(name, table, place, self.catalog, self.problems, interval)
                if check is not None:
                    checks[name] = check
        return checks

    def _expected(self, table: Mapping[str, Any], path: Path) -> dict[str, float]:
        expected = {}
        for key, value in table.items():
            try:
                if isinstance(value, bool) or not isinstance(value, int | float | str):
                    raise ValueError(f"expected a number, got {show(value)}")
                if key.endswith("_bytes"):
                    expected[key] = float(parse_size(value))
                elif key.endswith("_seconds"):
                    expected[key] = parse_duration(value)
                else:
                    expected[key] = float(value)
            except ValueError as error:
                self.problems.add((*path, key), str(error))
        return expected

    def _sources(self, interval: float) -> dict[str, SourceSettings]:
        sources = {}
        tables = self._tables("sources")
        for name, table in tables.items():
            path = ("sources", name)
            source = make_source(name, table, path, self.catalog, self.problems, interval)
            if source is not None:
                sources[name] = source
        named = {table.get("probe") for table in tables.values() if isinstance(table, dict)}
        for probe, entry in self.catalog.sources.items():
            name = entry.cls.autostart
            if name is None or name in tables or probe in named:
                continue
            source = make_source(
                name, {"probe": probe}, (), self.catalog, self.problems, interval, automatic=True
            )
            if source is not None:
                sources[name] = source
        return sources

    def _channels(self) -> dict[str, ChannelSettings]:
        channels = {}
        for name, table in self._tables("channels").items():
            if not isinstance(table, dict) or not isinstance(table.get("notifier", name), str):
                self.problems.add(("channels", name), "expected a table with notifier = 'NAME'")
                continue
            options = {key: value for key, value in table.items() if key != "notifier"}
            channels[name] = ChannelSettings(
                name=name, notifier=table.get("notifier", name), options=options
            )
        for name, options in self._plan_channels().items():
            channels.setdefault(name, ChannelSettings(name=name, notifier=name, options=options))
        return channels

    def _plan_channels(self) -> dict[str, dict[str, Any]]:
        """Channels that the plan's environment variables describe."""
        found: dict[str, dict[str, Any]] = {}
        token, chat = self.env.get("TELEGRAM_BOT_TOKEN"), self.env.get("TELEGRAM_CHAT_ID")
        if token and chat:
            found["telegram"] = {"token": Secret(token), "chat_id": chat}
        elif token or chat:
            missing = "TELEGRAM_CHAT_ID" if token else "TELEGRAM_BOT_TOKEN"
            self.warnings.append(f"{missing} is not set: there is no telegram channel")
        host, to = self.env.get("SMTP_HOST"), self.env.get("ADMIN_EMAIL")
        port = int(self._number("SMTP_PORT", int, 587))
        user, password = self.env.get("SMTP_USER"), self.env.get("SMTP_PASSWORD")
        if host and to:
            found["email"] = {"host": host, "port": port, "to": [to]}
            if user:
                found["email"]["user"] = user
            if password:
                found["email"]["password"] = Secret(password)
        elif host or to:
            missing = "ADMIN_EMAIL" if host else "SMTP_HOST"
            self.warnings.append(f"{missing} is not set: there is no email channel")
        return found

    def _check_dependencies(self, targets: Mapping[str, TargetSettings]) -> None:
        for target in targets.values():
            for other in target.depends_on or ():
                if other == target.name:
                    path = ("targets", target.name, "depends_on")
                    self.problems.add(path, "a target cannot depend on itself")
                elif other not in targets:
                    self.warnings.append(
                        f"target {target.name!r} depends on {other!r}, which is not declared; "
                        "it counts once a source finds it"
                    )


def build_check(
    target: str,
    name: str,
    table: Mapping[str, Any],
    catalog: Catalog,
    *,
    interval: float,
    where: str,
) -> CheckSettings:
    """One check that labels ask for. Raises ConfigError, whose ``file`` is ``where``."""
    problems = Problems(where)
    check = make_check(name, table, (target, name), catalog, problems, interval)
    if check is None:
        if not problems.found:
            problems.at_line(None, "the check is switched off")
        raise ConfigError(tuple(problems.found))
    return check
