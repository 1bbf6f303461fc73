"""Captures what Apprise logs during one call, and keeps it out of every log.

Apprise's plugins return only whether they succeeded. The reason is in their log: a warning with the
status, and records of level DEBUG with the exception or the provider's answer. These also contain
the URL with its secrets, and the message, so that they must not reach a log.
"""

from __future__ import annotations

import contextvars
import logging
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from apprise import LOGGER_NAME

MOST = 200
"""Records that are kept of one call; the oldest are dropped."""

LONGEST = 8000
"""Characters that are kept of one record."""

Records = deque[tuple[int, str]]
"""Level and text of each record."""

_current: contextvars.ContextVar[Records | None] = contextvars.ContextVar(
    "tocsin_apprise_records", default=None
)


class _Capture(logging.Filter):
    """A filter of Apprise's logger that takes the records of this package's calls.

    A filter, since it can drop a record before any handler sees it. Records of others who use
    Apprise in this process pass as they would without it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record goes on to the handlers."""
        records = _current.get()
        if records is None:
            return record.levelno >= logging.getLogger().getEffectiveLevel()
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit
            text = str(record.msg)
        records.append((record.levelno, text[:LONGEST]))
        return False


_capture = _Capture()


@contextmanager
def captured() -> Generator[Records]:
    """Capture what Apprise logs in this thread within the block."""
    logger = logging.getLogger(LOGGER_NAME)
    # Again for each call: logging.config.dictConfig of another package may have reset them.
    if _capture not in logger.filters:
        logger.addFilter(_capture)
    if logger.level == logging.NOTSET or logger.level > logging.DEBUG:
        logger.setLevel(logging.DEBUG)
    records: Records = deque(maxlen=MOST)
    token = _current.set(records)
    try:
        yield records
    finally:
        _current.reset(token)
