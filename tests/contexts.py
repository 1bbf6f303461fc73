"""Contexts for tests in which no runtime uses more than its name."""

from __future__ import annotations

from pathlib import Path

from tocsin import Probe
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.clock import SystemClock
from tocsin.core.plugin.contexts import Contexts


def contexts() -> Contexts:
    """Return contexts without a data directory."""
    return Contexts(Path("/proc/no-such-directory"), SystemClock())


def polled(probe: Probe) -> PolledCheck:
    """Return the check of a probe, as the runner takes it."""
    return PolledCheck(probe, contexts().of("tests", "tests/check"))
