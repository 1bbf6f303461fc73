"""Checks that container labels ask for.

Labels come with images from third parties. What they ask for must be harmless unless the
configuration allows it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from tocsin.core.config.checks import broken_check, make_check
from tocsin.core.config.errors import Catalog, ConfigError, Problems
from tocsin.core.config.settings import CheckSettings
from tocsin.core.contracts.probe import PushProbe

SHORT = ("http", "tcp")
"""Checks for which one-word labels exist (``tocsin.http``)."""


def label_check(
    target: str,
    name: str,
    table: Mapping[str, Any],
    catalog: Catalog,
    *,
    interval: float,
    source: str,
    allowed: Collection[str] = (),
) -> CheckSettings | None:
    """Build one check that labels ask for, whatever they hold.

    A check that cannot be built is returned as broken, with the reason. A disabled one is None. See
    :func:`build_check` for the arguments.
    """
    try:
        if table.get("enabled") is False:
            return None
        return build_check(
            target, name, table, catalog, interval=interval, source=source, allowed=allowed
        )
    except Exception as error:  # noqa: BLE001 - labels may hold anything
        reason = _explained(name, error)
        probe = table.get("probe") if isinstance(table, Mapping) else None
        known = isinstance(probe, str) and probe in catalog.probes
        return broken_check(name, str(probe) if known else "?", reason, {}, interval)


def _explained(name: str, error: Exception) -> str:
    """Describe which labels of a check are invalid, and why."""
    if not isinstance(error, ConfigError):
        return f"the labels tocsin.check.{name} cannot be understood: {type(error).__name__}"
    reasons = []
    for problem in error.problems:
        option = problem.path.removeprefix(problem.path[: problem.path.rfind(".") + 1])
        label = f"tocsin.check.{name}.{option}"
        if name in SHORT:
            label += f" (or tocsin.{name})"
        reasons.append(f"the label {label} cannot be understood: {problem.message}")
    return "; ".join(reasons)


def build_check(
    target: str,
    name: str,
    table: Mapping[str, Any],
    catalog: Catalog,
    *,
    interval: float,
    source: str,
    allowed: Collection[str] = (),
) -> CheckSettings:
    """Build one check that labels ask for.

    A check that labels may not ask for, or that its source marks as ``unable``, is returned as
    broken, with the reason. ``${VAR}`` in a value is literal text here, so it reveals no secret.

    Args:
        target: name of the target.
        name: name of the check.
        table: the options from the labels.
        catalog: the plugins.
        interval: default interval, in seconds.
        source: name of the source that found the labels.
        allowed: the source's ``label_probes``.

    Raises:
        ConfigError: the table is wrong.
    """
    probe = str(table.get("probe"))
    reason = refusal(name, table, catalog, source, allowed)
    if reason is None and isinstance(unable := table.get("unable"), str):
        reason = unable
    if reason is not None:
        return broken_check(name, probe, reason, {}, interval)
    problems = Problems(f"labels of {target}", is_live=True)
    check = make_check(name, table, (target, name), catalog, problems, interval)
    if check is None:
        if not problems.found:
            problems.at_line(None, "the check is disabled")
        raise ConfigError(tuple(problems.found))
    return check


def refusal(
    name: str, table: Mapping[str, Any], catalog: Catalog, source: str, allowed: Collection[str]
) -> str | None:
    """Return why labels may not ask for a check, with the remedy; None if they may.

    See :func:`build_check` for the arguments.
    """
    probe = table.get("probe")
    entry = catalog.probes.get(probe) if isinstance(probe, str) else None
    if entry is None or probe in allowed:
        return None  # make_check reports an unknown probe
    remedy = f"label_probes = [{json.dumps(probe)}] in [sources.{source}] allows it"
    if entry.cls.by_label is not True:
        return f"the label tocsin.check.{name}.probe asks for {probe}, which no label may; {remedy}"
    own = ("key",) if issubclass(entry.cls, PushProbe) else ()
    for option in (*entry.cls.config_only, *own):
        if option in table:
            label = f"tocsin.check.{name}.{option}"
            return f"the label {label} sets an option of {probe} that no label may; {remedy}"
    return None
