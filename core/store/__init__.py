"""History in PostgreSQL: written in batches, never a gate; read by resolution."""

from tocsin.core.store.connection import StoreUnavailable
from tocsin.core.store.history import History, Point, Uptime
from tocsin.core.store.store import Store

__all__ = ["History", "Point", "Store", "StoreUnavailable", "Uptime"]
