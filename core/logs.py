"""Structured logs: readable text on a terminal, else JSON lines. Secrets are removed from both."""

from __future__ import annotations

import contextlib
import logging
import stat
import sys
import time
from collections.abc import MutableMapping
from logging.handlers import RotatingFileHandler
from typing import IO, Any

import structlog

from tocsin.core import hiding
from tocsin.core.config.core_settings import Format, LogSettings
from tocsin.core.contracts.base import Secret

LONGEST = 16_000
"""Longest value in a log line, in characters."""

MINUTE = 60.0
MOST_OURS, MOST_THEIRS = 2000, 1000
"""Most lines per minute: of one event of tocsin, and of one third-party package."""

MOST_SOURCES = 500
PLUGINS = "tocsin.plugin."
"""Begin of the names of the logs that plugins are given; each counts as one source."""

OTHERS = "others"
"""The name under which all sources beyond :data:`MOST_SOURCES` are counted together."""


def clean(text: str, *, lines: bool = False) -> str:
    """Remove secrets and control characters from a text for the log.

    Args:
        text: the text.
        lines: whether to keep line breaks, as in tracebacks, with further lines indented. Otherwise
            they are escaped, so that no text can imitate a log line.
    """
    return hiding.clean(text, lines=lines, longest=LONGEST).replace("\n", "\n  ")


def _clean(value: Any, name: str = "") -> Any:
    if isinstance(value, str) and name in ("exception", "stack"):
        return clean(value, lines=True)
    if isinstance(value, Secret) or (name and hiding.is_secret_name(name) and value):
        return hiding.HIDDEN
    return hiding.clean_data(value, lines=False, longest=LONGEST)


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Clean all keys and values of a log event."""
    return {clean(str(k)): _clean(v, str(k)) for k, v in event.items()}


def _arguments(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Insert ``%s`` arguments; if that fails, log them separately: a log call must not raise."""
    if arguments := event.pop("positional_args", None):
        try:
            event["event"] %= arguments
        except Exception:  # noqa: BLE001 - wrong count, wrong type, or a third-party __str__ that raises
            event["arguments"] = list(arguments)
    return event


def _tell_wrong_call(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
    """Log which log call is wrong, without its arguments.

    logging's own message would print the arguments, including secrets.
    """
    kind = getattr(sys.exc_info()[0], "__name__", "an error")
    text = f"a log call in {record.filename}:{record.lineno} is wrong ({kind})"
    again = logging.LogRecord(record.name, logging.WARNING, "", 0, text, None, None)
    # If the stream itself is broken, it cannot be reported anywhere.
    with contextlib.suppress(Exception):
        handler.stream.write(handler.format(again) + handler.terminator)


class _Bound(logging.Filter):
    """Limits the lines per minute of each third-party package and of each event of tocsin.

    After the minute, one line says how many were dropped.
    """

    def __init__(self, handler: logging.StreamHandler[Any]) -> None:
        super().__init__()
        self._handler = handler
        self._seen: dict[str, int] = {}
        self._began = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line passes. With several threads, counts may be off by a line."""
        now = time.monotonic()
        if now - self._began >= MINUTE:
            seen, self._seen, self._began = self._seen, {}, now
            for source, count in seen.items():
                if count > (most := _most(source)):
                    self._say(f"{count - most} lines of {source} were left out of the log")
        source = _source(record)
        # Third parties cannot take the places of the core's own events.
        places = 2 * MOST_SOURCES if _is_ours(source) else MOST_SOURCES
        if source not in self._seen and len(self._seen) >= places:
            source = OTHERS
        count = self._seen[source] = self._seen.get(source, 0) + 1
        if count == _most(source) + 1:
            self._say(
                f"{source} writes too much; its lines are left out of the log for up to a minute"
            )
        return count <= _most(source)

    def _say(self, text: str) -> None:
        line = logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None)
        with self._handler.lock or contextlib.nullcontext():  # bypasses this filter
            self._handler.emit(line)


def _source(record: logging.LogRecord) -> str:
    """Return what a line is counted for: an event of tocsin, or a third-party package."""
    package = record.name.partition(".")[0]
    if package != "tocsin":
        return package[:100]
    if record.name.startswith(PLUGINS):
        return record.name[:100]
    event = record.msg.get("event") if isinstance(record.msg, dict) else record.msg
    return f"{record.name}: {str(event)[:100]}"


def _is_ours(source: str) -> bool:
    return source.startswith("tocsin.") and not source.startswith(PLUGINS)


def _most(source: str) -> int:
    return MOST_OURS if _is_ours(source) else MOST_THEIRS


class _Handler(logging.StreamHandler[IO[str]]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        _tell_wrong_call(self, record)


class _File(RotatingFileHandler):
    """The log file. If it cannot be written, the stream still is."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        _tell_wrong_call(self, record)


def configure(settings: LogSettings, stream: IO[str]) -> None:
    """Send all logs, of tocsin and of libraries, to a stream and to the configured file.

    It may be called again on a reload.

    Args:
        settings: level, format and file.
        stream: usually standard error.

    Raises:
        OSError: the file cannot be written.
    """
    terminal = stream.isatty()
    people = settings.format is Format.CONSOLE or (settings.format is Format.AUTO and terminal)
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _arguments,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )

    def formatter(renderer: Any) -> logging.Formatter:
        remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[remove, _redact, renderer]
        )

    json = structlog.processors.JSONRenderer(ensure_ascii=False)
    handlers: list[logging.Handler] = [_Handler(stream)]
    handlers[0].setFormatter(
        formatter(structlog.dev.ConsoleRenderer(colors=terminal) if people else json)
    )
    if settings.file is not None:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(
            _File(
                settings.file,
                maxBytes=int(settings.max_size),
                backupCount=settings.keep,
                encoding="utf-8",
                errors="backslashreplace",
            )
        )
        handlers[1].setFormatter(formatter(json))
        status = settings.file.stat()
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o007:  # made by an earlier version
            with contextlib.suppress(OSError):
                settings.file.chmod(stat.S_IMODE(status.st_mode) & ~0o007)
    for handler in handlers:
        handler.addFilter(_Bound(handler))  # type: ignore[arg-type] # both write to a stream
    root = logging.getLogger()
    before, root.handlers[:] = root.handlers[:], handlers
    for handler in before:
        if isinstance(handler, _File):
            handler.close()
    root.setLevel(settings.level.value.upper())
    for noisy in ("asyncio", "urllib3", "docker", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))


def get_logger(name: str) -> Any:
    """Return a structured logger: ``log.info("what happened", key=value)``."""
    return structlog.stdlib.get_logger(name)
