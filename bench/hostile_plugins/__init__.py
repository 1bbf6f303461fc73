"""The misbehaving plugins of ``bench/hostile.py``, in one table.

What each does is bounded by itself: some hundred megabytes, some hundred thousand lines, some
thousand descriptors, some dozen children that end within a minute. None of them looks for a process
that is not its own.
"""

from __future__ import annotations

from hostile_plugins import checks, floods, holding, leaks, loading, others, process
from hostile_plugins.kinds import Hostile

PLUGINS: dict[str, Hostile] = {
    made.name: made
    for group in (loading, checks, holding, leaks, floods, others, process)
    for made in group.TABLE
}
"""Every misbehaving plugin, by name."""

__all__ = ["PLUGINS", "Hostile"]
