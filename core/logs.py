"""Structured logs: for people on a terminal, JSON lines elsewhere; never a secret in either."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import stat
import sys
import unicodedata
from collections.abc import Iterable, Mapping, MutableMapping
from logging.handlers import RotatingFileHandler
from typing import IO, Any

import structlog

from tocsin.core.config.hide import HIDDEN, hide_in_text, is_secret_name
from tocsin.core.config.settings import Format, LogSettings
from tocsin.core.contracts import Secret

_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_TELEGRAM = re.compile(r"\bbot\d{5,}:[A-Za-z0-9_-]{20,}|\b\d{8,}:[A-Za-z0-9_-]{30,}")
_OURS = re.compile(r"\btocsin_[A-Za-z0-9_-]{20,}")
_UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control characters, bidi and other format marks, lone surrogates, line separators."""

_MAX_DEPTH = 20

_known: set[str] = set()
"""Secret values of the configuration in force."""


def hide_values(secrets: Iterable[str]) -> None:
    """Hide these values in every log line from now on."""
    _known.update(str.__str__(secret) for secret in secrets if len(secret) >= 4)


def clean(text: str, *, lines: bool = False) -> str:
    """A text fit for a log: no secrets, no control or bidi characters (log injection).

    Line ends are written out as an escape, so that no text can pass for a line of its own;
    ``lines`` keeps them, for tracebacks, each further line indented.
    """
    text = hide_in_text(text, _known)
    text = _TELEGRAM.sub(HIDDEN, _OURS.sub(HIDDEN, _BEARER.sub(rf"\1 {HIDDEN}", text)))
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    text = text.replace("\n", "\n  " if lines else "\\n")
    return "".join("�" if unicodedata.category(c) in _UNSAFE and c != "\n" else c for c in text)


def is_plain(text: str) -> bool:
    """Whether a text has none of the characters that :func:`clean` replaces."""
    return text.isprintable() or not any(unicodedata.category(c) in _UNSAFE for c in text)


def clean_deeply(value: Any) -> Any:
    """Data with every text in it clean, and nothing shown under a name such as ``password``. What
    JSON does not know becomes text."""
    return _clean(value)


def _clean(value: Any, name: str = "", depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if type(value) in (int, float):
        return value
    if isinstance(value, Secret) or (name and is_secret_name(name)):
        return HIDDEN
    if isinstance(value, str):
        return clean(value, lines=name in ("exception", "stack"))
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return {clean(str(k)): _clean(v, str(k), depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_clean(item, depth=depth + 1) for item in value]
    try:
        return clean(str(value))
    except Exception as error:  # noqa: BLE001 - a stranger's __str__; a log call never raises
        return f"<{type(value).__name__} whose text cannot be had: {type(error).__name__}>"


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {clean(str(k)): _clean(v, str(k)) for k, v in event.items()}


def _arguments(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Fill ``%s`` in. Where that fails the arguments are shown beside: a log call never raises."""
    if arguments := event.pop("positional_args", None):
        try:
            event["event"] %= arguments
        except Exception:  # noqa: BLE001 - wrong count, wrong type, a stranger's __str__
            event["arguments"] = list(arguments)
    return event


def _tell_wrong_call(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
    """Say which log call is wrong; logging's own would print the arguments, secrets and all."""
    kind = getattr(sys.exc_info()[0], "__name__", "an error")
    text = f"a log call in {record.filename}:{record.lineno} is wrong ({kind})"
    again = logging.LogRecord(record.name, logging.WARNING, "", 0, text, None, None)
    # Where the stream itself is gone there is no place left to say so.
    with contextlib.suppress(Exception):
        handler.stream.write(handler.format(again) + handler.terminator)


class _Handler(logging.StreamHandler[IO[str]]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        _tell_wrong_call(self, record)


class _File(RotatingFileHandler):
    """The log file. Where it cannot be written, the stream beside it goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        _tell_wrong_call(self, record)


def configure(settings: LogSettings, stream: IO[str]) -> None:
    """Send all logs, ours and the libraries', to a stream, and to the file that is asked for.

    May be called again, on a reload. Raises OSError: the file cannot be written.
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
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o007:  # an earlier version's
            with contextlib.suppress(OSError):
                settings.file.chmod(stat.S_IMODE(status.st_mode) & ~0o007)
    root = logging.getLogger()
    before, root.handlers[:] = root.handlers[:], handlers
    for handler in before:
        if isinstance(handler, _File):
            handler.close()
    root.setLevel(settings.level.value.upper())
    for noisy in ("asyncio", "urllib3", "docker", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))


def get_logger(name: str) -> Any:
    """A structured logger: ``log.info("what happened", key=value)``."""
    return structlog.stdlib.get_logger(name)
