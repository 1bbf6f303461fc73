"""What goes on around the monitor while tocsin runs: the start with what an earlier run left, time,
a reload, third-party rules and observers, and what tocsin raises about itself. ``manager`` connects
the parts."""

from tocsin.core.lifecycle.manager import Alerting

__all__ = ["Alerting"]
