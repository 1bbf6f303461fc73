"""The HTTP API. Each resource has a separate file; ``server`` joins them into one application."""

from tocsin.core.http.server import ROUTES, ApiServer

__all__ = ["ROUTES", "ApiServer"]
