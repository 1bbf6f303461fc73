"""Alerts that no rule or check will ever resolve, after a restart or a change of the
configuration."""

from __future__ import annotations

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Key
from tocsin.core.config.alerting import OWN_ALERTS
from tocsin.core.state import LiveState


def abandoned(engine: Engine, state: LiveState) -> dict[Key, str]:
    """Return alerts without a target, rule or check, each with the reason.

    The result is valid only while every source works, so that no target is missing by error.
    """
    gone: dict[Key, str] = {}
    for key in engine.alerts:
        rule, target = key
        known = state.targets.get(target)
        if rule in OWN_ALERTS:
            continue
        if target not in engine.evaluator.targets:
            gone[key] = "the target is no longer watched"
        elif not engine.evaluator.watches(key):
            gone[key] = "its rule was removed"
        elif known is not None and not known.checks:
            gone[key] = "its checks were removed"
    return gone
