"""Alerts that no rule or check will ever resolve, after a restart or a change of the
configuration."""

from __future__ import annotations

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Key
from tocsin.core.config.alerting import OWN_ALERTS
from tocsin.core.contracts.rule import Verdict
from tocsin.core.state import LiveState


def abandoned(engine: Engine, state: LiveState) -> dict[Key, Verdict]:
    """Return alerts without a target, rule or check, each with the verdict on it.

    The result is valid only while every source works, so that no target is missing by error.
    """
    gone: dict[Key, Verdict] = {}
    for key in engine.alerts:
        rule, target = key
        known = state.targets.get(target)
        if rule in OWN_ALERTS:
            continue
        if target not in engine.evaluator.targets:
            gone[key] = Verdict.over("the target is no longer watched")
        elif not engine.evaluator.watches(key):
            gone[key] = engine.evaluator.rules.unwatched(key)
        elif known is not None and not known.checks:
            gone[key] = Verdict.over("its checks were removed")
    return gone
