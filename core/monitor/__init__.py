"""The monitor: one event in, effects out.

``events`` defines the input, ``monitor`` the function, ``effects`` the output; ``resume`` continues
an earlier run, ``recent_alerts`` and ``underway`` hold parts of the monitor's state.
"""

from tocsin.core.monitor.effects import Effects
from tocsin.core.monitor.monitor import Monitor
from tocsin.core.monitor.past import Past

__all__ = ["Effects", "Monitor", "Past"]
