"""What tocsin raises about itself: ``monitor_impaired`` and ``plugin_failed``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from tocsin.core.alerts.model import Key
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.contracts.rule import Verdict
from tocsin.core.plugin.manager import PluginRecord

SELF = "tocsin"
"""The target of alerts about tocsin as a whole."""

PLUGIN = "plugin "
"""What the target's name of a plugin's alert begins with."""


class SelfView(Protocol):
    """What tocsin can say of itself."""

    def health(self) -> Mapping[str, ComponentHealth]:
        """How its parts fare, by name."""

    def has_looked_around(self) -> bool:
        """Whether every source and check has been heard of since the start."""

    def sees_all(self) -> bool:
        """Whether every source sees now, so that a target that none reports is gone."""


_ELSEWHERE = ("plugins", "service")
"""Components that do not keep tocsin from seeing, or have an alert of their own."""


PATIENCE = 300.0
"""Seconds for which a channel, or the dead man's ping, may fail: they are tried again."""


def _passing(part: ComponentHealth) -> bool:
    return float(part.details.get("failing_seconds", PATIENCE)) < PATIENCE


def verdicts(
    health: Mapping[str, ComponentHealth],
    plugins: Iterable[PluginRecord],
    open_alerts: Iterable[Key],
) -> Iterator[tuple[Key, Verdict]]:
    """The verdicts on tocsin itself as it stands."""
    trouble = {
        name: part.message or part.status.value
        for name, part in sorted(health.items())
        if part.status in (Health.DEGRADED, Health.FAILED)
        and name.partition(".")[0] not in _ELSEWHERE
        and not _passing(part)
    }
    if trouble:
        text = "; ".join(f"{name}: {why}" for name, why in trouble.items())
        verdict = Verdict.firing(f"tocsin cannot do all of its work: {text}", details=trouble)
    else:
        verdict = Verdict.clear("tocsin does all of its work again")
    yield ("monitor_impaired", SELF), verdict
    failed = {PLUGIN + r.name: r.reason or "failed" for r in plugins if r.status == "failed"}
    known = {target for rule, target in open_alerts if rule == "plugin_failed"}
    for target in sorted(known | failed.keys()):
        reason = failed.get(target)
        verdict = Verdict.clear("it works again")
        if reason is not None:
            verdict = Verdict.firing(f"the plugin {reason}", details={"reason": reason})
        yield ("plugin_failed", target), verdict
