"""Checks that run without being configured, because their probes declare ``autostart``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from tocsin.core.config.checks import bad_name, make_check
from tocsin.core.config.errors import Catalog, Problems
from tocsin.core.config.settings import TargetSettings


def automatic_targets(
    tables: Mapping[str, Any], catalog: Catalog, interval: float, warnings: list[str]
) -> dict[str, TargetSettings]:
    """Return the targets of automatic checks, by name.

    A target or probe that the file mentions, disabled or not, is left to the file. An invalid
    autostart is the plugin's fault, not the user's: it becomes a warning, and its check is left
    out.

    Args:
        tables: the file's ``[targets.NAME]``.
        catalog: the plugins.
        interval: default interval of a check, in seconds.
        warnings: collects what is wrong.
    """
    named = {probe for table in tables.values() for probe in _probes(table)}
    targets: dict[str, TargetSettings] = {}
    for probe, entry in catalog.probes.items():
        wanted = getattr(entry.cls, "autostart", {})
        if not isinstance(wanted, Mapping):
            warnings.append(
                f"plugin {entry.plugin}: autostart of {probe!r} is not a table of checks"
            )
            continue
        for check_id, options in wanted.items():
            target, _, name = str(check_id).partition("/")
            if target in tables or probe in named:
                continue
            problems = Problems(f"plugin {entry.plugin}")
            if reason := bad_name(target):
                problems.at_line(None, reason)
            table = {**options, "probe": probe} if isinstance(options, Mapping) else options
            check = make_check(name, table, (target, name), catalog, problems, interval)
            warnings += [f"{problem}; the check is left out" for problem in problems.found]
            if check is not None and not problems.found:
                known = targets.get(target) or TargetSettings(name=target, automatic=True)
                targets[target] = evolve(known, checks={name: check, **known.checks})
    return targets


def _probes(table: Any) -> list[Any]:
    """Return the probes that a target's checks name, whether or not these tables are valid."""
    checks = table.get("checks") if isinstance(table, Mapping) else None
    if not isinstance(checks, Mapping):
        return []
    probes = [check.get("probe") for check in checks.values() if isinstance(check, Mapping)]
    return [probe for probe in probes if isinstance(probe, str)]
