"""Everything around the monitor while tocsin runs: restoring the state of an earlier run, time,
a reload, third-party rules and observers, and what tocsin raises about itself. ``manager`` connects
the parts."""

from tocsin.core.lifecycle.manager import Alerting

__all__ = ["Alerting"]
