"""The misbehaving plugins of ``bench/hostile.py``, in one table.

What each does is bounded by itself: some hundred megabytes, some hundred thousand lines, some
thousand descriptors, some dozen children that end within a minute. None of them looks for a process
that is not its own.
"""

from __future__ import annotations

from attrs import evolve

from hostile_plugins import checks, floods, holding, leaks, loading, others, process
from hostile_plugins.kinds import Hostile

NEEDS = {
    "check-hang": 15.0, "check-deaf": 15.0, "open-hang": 14.0, "route-hang": 14.0,
    "observer-hang": 16.0, "observer-spin": 12.0, "notifier-hang": 40.0, "notifier-spin": 12.0,
    "flood-sink": 20.0, "flood-changes": 20.0,
}  # fmt: skip
"""Seconds that some have to be watched alone."""

PLUGINS: dict[str, Hostile] = {
    made.name: evolve(made, needs=NEEDS.get(made.name, 0.0))
    for group in (loading, checks, holding, leaks, floods, others, process)
    for made in group.TABLE
}
"""Every misbehaving plugin, by name."""

__all__ = ["PLUGINS", "Hostile"]
