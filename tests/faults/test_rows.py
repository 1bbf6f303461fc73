"""Each row but those that others stand in for, once, in its short form: what it injects is there,
and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REQUIRE_REAL
from tests.faults.fault import ENGINE, Fault, all_rows
from tests.faults.needs import lacking
from tests.faults.run import run

pytestmark = pytest.mark.slow
SEED = 3

ELSEWHERE = frozenset(
    "clock-ahead clock-change crash-loop dead-resolver embedded-trouble engine-clock "
    "few-descriptors half-open journal-vanished memory-limit paused plugins-hostile "
    "postgres-away-first postgres-killed postgres-stopped read-only read-only-root replaced "
    "small-spool socket-permissions stream-cut stream-silent tarpit tls-stalled".split()
)
"""Rows that ``make faults`` alone runs: a test of their own injects the same, or nearly all of it,
into the real parts (tests/alerting, tests/alerts, tests/app, tests/core, tests/notifiers,
tests/plugins, tests/probes/docker, tests/store), or another row is nearly as good: ``killed`` in
place of memory-limit and read-only-root, ``postgres-frozen`` and ``receiver-500`` in place of
half-open."""


def rows() -> list[Any]:
    """The rows as parameters, with the marks of what they need."""
    return [
        pytest.param(row, id=name, marks=[pytest.mark.docker] if ENGINE in row.needs else [])
        for name, row in all_rows().items()
        if name not in ELSEWHERE
    ]


@pytest.mark.parametrize("row", rows())
def test_nothing_is_lost(row: type[Fault], tmp_path: Path) -> None:
    """Nothing is lost, doubled, out of order, wrongly down, held up, missing or leaked; and there
    was something to be told."""
    if reason := lacking(row.needs):
        if REQUIRE_REAL:
            pytest.fail(reason)
        pytest.skip(reason)
    verdict = run(row, SEED, tmp_path, short=True)
    assert verdict.wrong == {}, "\n".join(verdict.notes)
    assert verdict.changes > 0
    assert verdict.checks > 0
