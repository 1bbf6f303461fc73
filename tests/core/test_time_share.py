"""Shares of the core's time."""

from __future__ import annotations

import pytest

from tocsin.core.runtime import time_share
from tocsin.core.runtime.time_share import TimeShare


def test_what_was_spent_has_to_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the time may be spent, a slice of it at once; what goes beyond is waited for."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    share = TimeShare(0.1)
    assert share.shortage() == 0
    share.spend(0.15)  # the slice is 0.1
    assert share.shortage() == pytest.approx(0.5 + time_share.LEAST_WAIT)
    now[0] += 0.4
    assert share.shortage() == pytest.approx(0.1 + time_share.LEAST_WAIT)
    now[0] += 0.2
    assert share.shortage() == 0
    now[0] += 1000  # what is not used does not add up
    assert share.shortage() == 0
    share.spend(0.2)
    assert share.shortage() == pytest.approx(1.0 + time_share.LEAST_WAIT)
