"""Validation of what a source tells its sink, as a whole: one function for each method.

Each returns the valid arguments, or None if nothing is valid, and clauses about what was invalid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from attrs import evolve

from tocsin.core.contracts.model import Event, Result, Target
from tocsin.core.contracts.source import Claim
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes.results import fit_result
from tocsin.core.shapes.sources import (
    fit_claim,
    fit_event,
    fit_names,
    fit_own_name,
    fit_tables,
    fit_target,
    fit_time,
)

T = TypeVar("T")

Found = tuple[Target, Mapping[str, Mapping[str, Any]] | None, Claim | None]
Seen = tuple[str, Result, datetime | None]


def fit_discovered(target: object, checks: object, claim: object) -> tuple[Found | None, list[str]]:
    """Validate the arguments of ``Sink.discovered``; the claim says what was invalid, too."""
    wrong: list[str] = []
    known = _valid(lambda: fit_target(target), wrong)
    if known is None:
        return None, wrong
    tables = _valid(lambda: fit_tables(checks), wrong)
    claimed = _valid(lambda: fit_claim(claim), wrong)
    if wrong:
        claimed = claimed or Claim()
        refused = (f"its source's description of it is invalid: {clause}" for clause in wrong)
        claimed = evolve(claimed, refused=(*refused, *claimed.refused))
    return (known, tables, claimed), wrong


def fit_observed(
    target: object, result: object, at: object, now: datetime
) -> tuple[Seen | None, list[str]]:
    """Validate the arguments of ``Sink.observed``; ``now`` replaces an invalid time."""
    wrong: list[str] = []
    own = _valid(lambda: (fit_own_name(target), None), wrong)
    seen = _valid(lambda: fit_result(result, "observed"), wrong)
    if own is None or seen is None:
        return None, wrong
    return (own, seen, None if at is None else fit_time(at, now)), wrong


def fit_happened(event: object, now: datetime) -> tuple[tuple[Event] | None, list[str]]:
    """Validate the argument of ``Sink.happened``; ``now`` replaces an invalid time."""
    wrong: list[str] = []
    known = _valid(lambda: fit_event(event, now), wrong)
    return None if known is None else (known,), wrong


def fit_retired(target: object, message: object) -> tuple[tuple[str, str] | None, list[str]]:
    """Validate the arguments of ``Sink.retired``."""
    wrong: list[str] = []
    own = _valid(lambda: (fit_own_name(target), None), wrong)
    return None if own is None else (own, str(message)), wrong


def fit_synced(
    targets: Any, is_whole: bool = True
) -> tuple[tuple[frozenset[str], bool] | None, list[str]]:
    """Validate the argument of ``Sink.synced``.

    Args:
        targets: the names.
        is_whole: whether none was left out before.

    Returns:
        The valid names and whether none was left out, and what was invalid.
    """
    wrong: list[str] = []
    names = _valid(lambda: fit_names(targets), wrong)
    return None if names is None else (names, is_whole and not wrong), wrong


def _valid(fit: Callable[[], tuple[T, str | None]], wrong: list[str]) -> T | None:
    """Return the valid part of a value, or None; add to ``wrong`` what was invalid."""
    try:
        value, clause = fit()
    except PluginFault as fault:
        value, clause = None, str(fault)
    if clause is not None:
        wrong.append(clause)
    return value
