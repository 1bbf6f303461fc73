"""The HTTP API: one file per resource; ``server`` puts them together."""

from tocsin.core.http.server import ROUTES, ApiServer

__all__ = ["ROUTES", "ApiServer"]
