"""Structured logs: for people on a terminal, JSON lines elsewhere; never a secret in either."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, MutableMapping
from typing import IO, Any

import structlog

from tocsin.core.config.hide import HIDDEN, hide_in_text, is_secret_name
from tocsin.core.config.settings import Format, LogSettings
from tocsin.core.contracts import Secret

_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_TELEGRAM = re.compile(r"\bbot\d{5,}:[A-Za-z0-9_-]{20,}|\b\d{8,}:[A-Za-z0-9_-]{30,}")
_OURS = re.compile(r"\btocsin_[A-Za-z0-9_-]{20,}")

_known: set[str] = set()
"""Secret values of the configuration in force."""


def hide_values(secrets: Iterable[str]) -> None:
    """Hide these values in every log line from now on."""
    _known.update(secret for secret in secrets if len(secret) >= 4)


def clean(text: str) -> str:
    """A text fit for a log: no secrets, no control or bidi characters (log injection)."""
    text = hide_in_text(text, _known)
    text = _TELEGRAM.sub(HIDDEN, _OURS.sub(HIDDEN, _BEARER.sub(rf"\1 {HIDDEN}", text)))
    if text.isprintable():
        return text
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "�" for c in text
    )


def _clean(value: Any, name: str = "") -> Any:
    if isinstance(value, Secret) or (name and is_secret_name(name) and isinstance(value, str)):
        return HIDDEN
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _clean(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    if isinstance(value, int | float | bool | None):
        return value
    return clean(str(value))


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    private = {"_record", "_from_structlog", "exc_info"}
    return {k: v if k in private else _clean(v, k) for k, v in event.items()}


def configure(settings: LogSettings, stream: IO[str]) -> None:
    """Send all logs, ours and the libraries', to a stream."""
    people = settings.format is Format.CONSOLE or (
        settings.format is Format.AUTO and stream.isatty()
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if people
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.value.upper())
    for noisy in ("asyncio", "urllib3", "docker", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))


def get_logger(name: str) -> Any:
    """A structured logger: ``log.info("what happened", key=value)``."""
    return structlog.stdlib.get_logger(name)
