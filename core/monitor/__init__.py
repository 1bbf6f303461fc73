"""The monitor: one event in, effects out.

``events`` is what enters, ``monitor`` the one function, ``effects`` what leaves; ``resume`` goes on
with an earlier run, ``recent_alerts`` and ``underway`` are a part of what the monitor knows.
"""

from tocsin.core.monitor.effects import Effects
from tocsin.core.monitor.monitor import Monitor
from tocsin.core.monitor.past import Past

__all__ = ["Effects", "Monitor", "Past"]
