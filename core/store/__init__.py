"""History in PostgreSQL. Writing never delays checks or alerts.

Rows are written in batches; charts are read from a suitable resolution.
"""

from tocsin.core.store.connection import StoreUnavailable
from tocsin.core.store.history import Chart, Point, Uptime
from tocsin.core.store.store import Store

__all__ = ["Chart", "Point", "Store", "StoreUnavailable", "Uptime"]
