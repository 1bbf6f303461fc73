"""SIGKILL between a transition and its mark loses nothing; see ``kill`` for how, and for many."""

from __future__ import annotations

import os
import socket
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.alerting.kill import caught_up, receive, run
from tests.conftest import eventually

pytestmark = pytest.mark.kill

RUNS = int(os.environ.get("TOCSIN_KILL_RUNS", "40"))


def test_a_kill_at_any_point_loses_nothing() -> None:
    """At each labelled point, over seeded runs: nothing lost, doubles only in the one window and
    under the same id. That kills did happen, at several points, is part of the test."""
    points = Counter(run(seed) for seed in range(RUNS))
    assert len(points.keys() - {"survived"}) >= min(5, RUNS // 5)


async def test_what_a_dead_child_had_sent_counts_as_accepted(tmp_path: Path) -> None:
    """A message that is still on its way when its sender is gone is in the ledger before anybody
    asks what the receiver had accepted at the kill; asking leaves no trace."""
    path, ledger = tmp_path / "receiver", tmp_path / "ledger"
    receiver = get_context("fork").Process(
        target=receive, args=(str(path), str(ledger)), daemon=True
    )
    receiver.start()
    try:
        await eventually(ledger.exists)
        await eventually(path.exists)
        for number in range(20):
            with socket.socket(socket.AF_UNIX) as gone:
                gone.connect(str(path))
                gone.sendall(b"{}\n")
            caught_up(path)
            assert ledger.read_text() == "{}\n" * (number + 1)
    finally:
        receiver.kill()
        receiver.join()
