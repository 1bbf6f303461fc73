"""Filters of what misbehaving or too many clients cause in the log."""

from __future__ import annotations

import logging
import time

from aiohttp.http import HttpProcessingError

from tocsin.core.http.connections import SAY_EVERY


class _NoTraceback(logging.Filter):
    """Logs what is not HTTP (a port scan, TLS on this port) at level debug, without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
            record.exc_info = None
            return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
        return True


class _Rarely(logging.Filter):
    """Limits asyncio's repeated errors about missing file descriptors to one a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "socket.accept() out of system resource" not in text:
            return "_start_serving" not in text
        record.exc_info = None
        now = time.monotonic()
        if now - self._said < SAY_EVERY:
            return False
        self._said = now
        return True


def quieten() -> None:
    """Shorten what misbehaving or too many clients cause in the log. The loggers keep the filters
    until the next server brings its own: asyncio still logs after a listener is closed."""
    for name, own in {"aiohttp.server": _NoTraceback(), "asyncio": _Rarely()}.items():
        logger = logging.getLogger(name)
        logger.filters = [one for one in logger.filters if type(one) is not type(own)] + [own]
