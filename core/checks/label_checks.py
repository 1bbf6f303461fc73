"""The checks that labels of discovered targets request, within the limits of their source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from attrs import define, evolve, field

from tocsin.core.checks.naming import Own
from tocsin.core.config.by_label import label_check
from tocsin.core.config.checks import MAX_CHECK_NAME, bad_name, broken_check
from tocsin.core.config.errors import Catalog
from tocsin.core.config.label_bounds import UNSAID, out_of_bounds, too_many
from tocsin.core.config.settings import CheckSettings, SourceSettings
from tocsin.core.contracts.source import Source
from tocsin.core.hiding import clean

LABELS = "labels"
"""Name of the check that says which labels were ignored, and why."""

TOLD, LONGEST = 5, 300
"""Maximum number of ignored labels that it lists, and of characters of a reason."""


@define
class LabelChecks:
    """Creates the checks, and counts them by source."""

    catalog: Catalog
    _counts: dict[Own, int] = field(init=False, factory=dict)
    _in_all: Counter[str] = field(init=False, factory=Counter)
    _short: dict[Own, None] = field(init=False, factory=dict)
    """Targets whose labels request more checks than are allowed."""

    def build(
        self,
        own: Own,
        name: str,
        tables: Mapping[str, Mapping[str, Any]],
        refused: Sequence[str],
        *,
        source: SourceSettings | None,
        interval: float,
    ) -> dict[str, CheckSettings]:
        """Return the checks of a target, with one that lists the rejected labels, if any.

        Args:
            own: the target, by its source and its own name.
            name: the name of the target.
            tables: the checks that its labels request, by name.
            refused: sentences about labels that are ignored.
            source: settings of its source; None if it has none any more.
            interval: seconds between two runs of a check that sets no interval.
        """
        self.forget(own)
        running = None if source is None else source.source
        bounds = running or UNSAID
        left = bounds.label_checks_in_all - self._in_all[own[0]]
        taken, beyond = too_many(len(tables), left, own[0], bounds)
        checks, reasons = {}, list(refused)
        if beyond is not None:
            reasons.insert(0, beyond)  # first, so that it is shown even among many reasons
            self._short[own] = None
        for check_name, table in islice(tables.items(), taken):
            if check_name in (own[0], LABELS) or bad_name(check_name, MAX_CHECK_NAME):
                reasons.append(
                    f"the label tocsin.check.{check_name} has a check name that is not allowed"
                )
                continue
            check = self._one(own[0], name, check_name, table, running or UNSAID, interval)
            if check is not None and check.broken is not None:
                check = evolve(check, broken=_readable(check.broken))
            if check is not None:
                checks[check_name] = check
        self._counts[own] = len(checks)
        self._in_all[own[0]] += len(checks)
        if reasons:
            told = [_readable(reason) for reason in reasons[:TOLD]]
            more = [f"and {len(reasons) - TOLD} more"] if len(reasons) > TOLD else []
            broken = broken_check(LABELS, LABELS, "; ".join([*told, *more]), {}, 3600.0)
            checks[LABELS] = broken
        return checks

    def forget(self, own: Own) -> None:
        """Remove the checks of a target that is gone, or whose checks are built anew."""
        self._in_all[own[0]] -= self._counts.pop(own, 0)
        self._short.pop(own, None)

    def short_of(self, source: str) -> list[Own]:
        """Return the targets of a source whose labels request more checks than are allowed."""
        return [own for own in self._short if own[0] == source]

    def _one(
        self,
        source: str,
        target: str,
        name: str,
        table: Mapping[str, Any],
        bounds: Source,
        interval: float,
    ) -> CheckSettings | None:
        if not isinstance(table, Mapping):
            table = {}
        if (reason := out_of_bounds(name, table, source, bounds)) is not None:
            return broken_check(name, str(table.get("probe")), reason, {}, interval)
        return label_check(
            target,
            name,
            table,
            self.catalog,
            interval=interval,
            source=source,
            allowed=bounds.label_probes,
        )


def _readable(reason: str) -> str:
    """Return a reason that quotes labels, cleaned and shortened for display."""
    return clean(reason[: 2 * LONGEST])[:LONGEST]
