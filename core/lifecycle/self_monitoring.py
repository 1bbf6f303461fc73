"""Alerts about tocsin itself: ``monitor_impaired`` and ``plugin_failed``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from tocsin.core.alerts.model import Key
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.contracts.rule import Verdict
from tocsin.core.plugin.catalog import PluginRecord

SELF = "tocsin"
"""The target of alerts about tocsin as a whole."""

PLUGIN = "plugin "
"""Prefix of the target name in alerts about a plugin."""


class SelfView(Protocol):
    """tocsin's view of its own state."""

    def health(self) -> Mapping[str, ComponentHealth]:
        """Return the health of its components, by name."""

    def has_looked_around(self) -> bool:
        """Return whether every source and check has reported since the start."""

    def sees_all(self) -> bool:
        """Return whether every source works now, so that a target that none reports was removed."""


_ELSEWHERE = ("plugins", "service")
"""Components that do not impair monitoring, or have an alert of their own."""


PATIENCE = 300.0
"""Seconds for which a channel or the dead man's ping may fail, while it is retried."""


def _passing(part: ComponentHealth) -> bool:
    return float(part.details.get("failing_seconds", PATIENCE)) < PATIENCE


def verdicts(
    health: Mapping[str, ComponentHealth],
    plugins: Iterable[PluginRecord],
    open_alerts: Iterable[Key],
) -> Iterator[tuple[Key, Verdict]]:
    """Yield the verdicts of the rules about tocsin itself."""
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
