"""Checks and sources from their tables: finds the plugin's class and builds it with its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unicodedata import category

from tocsin.core.config.construct import construct
from tocsin.core.config.environment import Interpolated
from tocsin.core.config.errors import Catalog, Path, Problems
from tocsin.core.config.find_plugin import find_plugin
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import CheckSettings, SourceSettings
from tocsin.core.contracts.probe import Probe
from tocsin.core.contracts.source import Source
from tocsin.core.units import format_duration

MIN_INTERVAL = 1.0
"""Shortest interval of a check, in seconds. Faster changes are reported by events."""

MAX_TIMEOUT = 86400.0
"""Longest timeout of a check, in seconds; a run that hangs keeps its slot for so long."""

MAX_NAME = 100
MAX_CHECK_NAME = 64


def bad_name(name: str, longest: int = MAX_NAME) -> str | None:
    """Return why a name of a target, check or source is invalid, or None."""
    if not name or len(name) > longest:
        return f"a name has 1 to {longest} characters"
    if "/" in name or any(category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name):
        return "a name has no '/' and no control characters, since check ids read target/check"
    return None


def _options(name: str, table: Any, path: Path, problems: Problems) -> dict[str, Any] | None:
    """Return a copy of a table's options; None if it is no table, badly named or disabled."""
    if not isinstance(table, Mapping):
        problems.add(path, f"expected a table with a probe, got {show(table)}")
        return None
    if reason := bad_name(name, MAX_CHECK_NAME):
        problems.add(path, reason)
        return None
    options = dict(table)
    return options if enabled(options, path, problems) else None


def make_check(
    name: str,
    table: Any,
    path: Path,
    catalog: Catalog,
    problems: Problems,
    interval: float,
) -> CheckSettings | None:
    """Build one check.

    Args:
        name: name of the check.
        table: its table.
        path: where the table is in the file.
        catalog: the plugins.
        problems: collects what is wrong.
        interval: default interval, in seconds.

    Returns:
        The check, perhaps a broken one; None if its table is wrong or has ``enabled = false``.
    """
    options = _options(name, table, path, problems)
    if options is None:
        return None
    probe_name = options.pop("probe", None)
    if not isinstance(probe_name, str):
        problems.missing((*path, "probe"), "must be given: the name of a probe in quotes")
        return None
    probe_name = str(probe_name)
    entry, broken = find_plugin("probe", probe_name, catalog, (*path, "probe"), problems)
    if entry is None:
        if broken is None:
            return None
        return broken_check(name, probe_name, broken, options, interval)
    also = ("probe", "enabled")
    probe, broken = construct(entry.cls, options, path, problems, also=also)
    if broken is not None:
        return broken_check(name, probe_name, broken, options, interval, entry.plugin)
    if probe is None:
        return None
    if isinstance(probe, Probe):
        every = probe.interval if probe.interval is not None else interval
        timeout, retries = probe.timeout, probe.retries
        if every < MIN_INTERVAL:
            problems.add((*path, "interval"), f"must be at least {MIN_INTERVAL:g} s")
        if timeout > MAX_TIMEOUT:
            problems.add((*path, "timeout"), f"must be at most {format_duration(MAX_TIMEOUT)}")
        if timeout <= 0:
            problems.add((*path, "timeout"), "must be more than 0 s")
        if not 0 <= retries <= 10:
            problems.add((*path, "retries"), "must be from 0 to 10")
    else:
        if probe.period <= 0:
            problems.add((*path, "period"), "must be more than 0 s")
        every, timeout, retries = max(MIN_INTERVAL, min(probe.period, interval)), 0.0, 0
    return CheckSettings(
        name=name, probe_name=probe_name, plugin=entry.plugin, probe=probe, broken=None,
        options=options, interval=every, timeout=timeout, retries=retries,
    )  # fmt: skip


def broken_check(
    name: str,
    probe_name: str,
    reason: str,
    options: Mapping[str, Any],
    interval: float,
    plugin: str | None = None,
) -> CheckSettings:
    """Return a check that cannot run, with the reason.

    Args:
        name: name of the check.
        probe_name: name of its probe.
        reason: why it cannot run, as a clause.
        options: its options as written.
        interval: its interval, in seconds.
        plugin: the plugin whose fault it is, if any.
    """
    return CheckSettings(
        name=name, probe_name=probe_name, plugin=plugin, probe=None, broken=reason,
        options=options, interval=interval, timeout=0.0, retries=0,
    )  # fmt: skip


def make_source(
    name: str,
    table: Any,
    path: Path,
    catalog: Catalog,
    problems: Problems,
    interval: float,
    automatic: bool = False,
) -> SourceSettings | None:
    """Build one source.

    Args:
        name: name of the source.
        table: its table.
        path: where the table is in the file.
        catalog: the plugins.
        problems: collects what is wrong.
        interval: default interval, in seconds.
        automatic: whether the source starts without being configured.

    Returns:
        The source, perhaps a broken one; None if its table is wrong or has ``enabled = false``.
    """
    options = _options(name, table, path, problems)
    if options is None:
        return None
    own = next((n for n, e in catalog.sources.items() if e.cls.autostart == name), None)
    probe_name = options.pop("probe", own)
    if not isinstance(probe_name, str):
        problems.missing((*path, "probe"), "must be given: the name of a source in quotes")
        return None
    probe_name = str(probe_name)
    entry, broken = find_plugin("source", probe_name, catalog, (*path, "probe"), problems)
    if entry is None:
        if broken is None:
            return None
        return SourceSettings(
            name=name, probe_name=probe_name, plugin=None, source=None, broken=broken,
            options=options, interval=interval,
        )  # fmt: skip
    source, broken = construct(
        entry.cls, options, path, problems, asked_for=not automatic, also=("probe", "enabled")
    )
    if broken is not None:
        return SourceSettings(
            name=name, probe_name=probe_name, plugin=entry.plugin, source=None, broken=broken,
            options=options, interval=interval, target_kind=entry.cls.target_kind,
            automatic=automatic,
        )  # fmt: skip
    if not isinstance(source, Source):
        return None
    every = source.interval if source.interval is not None else interval
    if every < MIN_INTERVAL:
        problems.add((*path, "interval"), f"must be at least {MIN_INTERVAL:g} s")
    for option in ("label_checks", "label_checks_in_all"):
        if getattr(source, option) < 0:
            problems.add((*path, option), "must be 0 or more")
    for probe in source.label_probes:
        find_plugin("probe", probe, catalog, (*path, "label_probes"), problems)
    return SourceSettings(
        name=name, probe_name=probe_name, plugin=entry.plugin, source=source, broken=None,
        options=options, interval=every, target_kind=entry.cls.target_kind, automatic=automatic,
    )  # fmt: skip


def enabled(options: dict[str, Any], path: Path, problems: Problems) -> bool:
    """Remove ``enabled`` from the options and return it; True also if it is not a truth value, so
    that the other options are checked."""
    enabled = options.pop("enabled", True)
    if isinstance(enabled, Interpolated) and enabled.lower() in ("true", "false"):
        return enabled.lower() == "true"
    if not isinstance(enabled, bool):
        problems.add((*path, "enabled"), f"expected true or false, got {show(enabled)}")
    return enabled is not False
