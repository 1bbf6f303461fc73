"""Checks that wait for the reports of a job."""

from __future__ import annotations

import pytest

from tests.config.conftest import Entry, Shelves, Wrong
from tocsin.plugins.probes.heartbeat import HeartbeatProbe


@pytest.mark.parametrize(
    ("probe", "words"),
    [("beat", "must be more than 0 s"), ("heartbeat", "must be more than 0, not 0")],
)
def test_a_period_of_nothing_is_refused(
    probe: str, words: str, wrong: Wrong, catalog: Shelves
) -> None:
    """Of any push probe: no job can report all the time."""
    catalog.probes["heartbeat"] = Entry(HeartbeatProbe, "heartbeat")
    (problem,) = wrong(f'[targets.job.checks.run]\nprobe = "{probe}"\nperiod = 0\n')
    assert (problem.path, problem.message) == ("targets.job.checks.run.period", words)
