"""What can be done to a container: read its logs, restart it, inspect it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tocsin import ActionError, LogLine
from tocsin.plugins.probes.docker_health.engine import (
    EngineAway,
    NoSuchContainer,
    Refused,
    Unanswered,
)
from tocsin.plugins.probes.docker_health.facts import parse_time

if TYPE_CHECKING:
    from tocsin.plugins.probes.docker_health.watch import Watch

MAX_LINE = 4096
STOP_TIMEOUT = 10
HIDDEN = "***"
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_SECRET = re.compile(
    r"pass(word|wd|phrase)?|token|secret|credential|authorization|api_?key|private_?key|dsn",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s/:@]*:)([^\s@/]+)(@)")
_FLAG = re.compile(r"(--?[\w-]*(?:pass|token|secret|key)[\w-]*[= ])(\S+)", re.IGNORECASE)


async def _call(watch: Watch, target: str, method: str, *args: Any, **kwargs: Any) -> Any:
    slot = watch.registry.by_target(target)
    known = None if slot is None else slot.current
    if known is None:
        raise ActionError(f"the engine has no container for {target}", missing=True)
    try:
        return await watch.engine.about(method, known.id, *args, **kwargs)
    except NoSuchContainer:
        raise ActionError(f"the container of {target} is gone", missing=True) from None
    except Refused as error:
        raise ActionError(f"the engine refuses: {error}") from None
    except Unanswered as error:
        raise ActionError(
            f"the Docker Engine at {watch.source.address} did not do it: {error}"
        ) from None
    except EngineAway as error:
        raise ActionError(
            f"the Docker Engine at {watch.source.address} cannot be asked: {error}"
        ) from None


async def logs(watch: Watch, target: str, lines: int) -> list[LogLine]:
    """The last lines. The two streams are asked for one by one, since only so the SDK tells which
    is which, and put together by time."""
    found: list[LogLine] = []
    slot = watch.registry.by_target(target)
    known = None if slot is None else slot.current
    terminal = bool(known and (known.document.get("Config") or {}).get("Tty"))
    for stream in ("stdout",) if terminal else ("stdout", "stderr"):
        data: bytes = await _call(
            watch, target, "logs", stdout=stream == "stdout", stderr=stream == "stderr",
            timestamps=True, tail=lines,
        )  # fmt: skip
        found += [_line(raw, stream) for raw in data.decode("utf-8", "replace").splitlines()]
    return sorted(found, key=lambda line: line.at.timestamp() if line.at else 0.0)[-lines:]


def _line(raw: str, stream: str) -> LogLine:
    stamp, _, text = raw.partition(" ")
    at = parse_time(stamp)
    return LogLine(text=clean(text if at is not None else raw), stream=stream, at=at)


def clean(text: str) -> str:
    """A line fit to be shown: no colours, no control or bidi characters, not endless."""
    text = _ANSI.sub("", text).replace("\t", "    ")
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return text if len(text) <= MAX_LINE else text[:MAX_LINE] + "…"


async def restart(watch: Watch, target: str) -> None:
    """Restart; a container that does not stop by itself is killed after its own stop timeout."""
    slot = watch.registry.by_target(target)
    known = None if slot is None else slot.current
    own = (known.document.get("Config") or {}).get("StopTimeout") if known else None
    timeout = int(own) if own is not None else STOP_TIMEOUT
    await _call(watch, target, "restart", timeout=min(timeout, 60))


async def inspect(watch: Watch, target: str) -> Mapping[str, Any]:
    """The engine's document. Values of environment variables are hidden, all of them: a list of
    secret-looking names would miss one."""
    document = await _call(watch, target, "inspect_container")
    hidden: Mapping[str, Any] = _hide(document)
    return hidden


def _hide(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _hide(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        if name == "Env":
            return [f"{str(item).partition('=')[0]}={HIDDEN}" for item in value]
        return [_hide(item, name) for item in value]
    if isinstance(value, str) and value:
        if _SECRET.search(name):
            return HIDDEN
        return _FLAG.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1{HIDDEN}\3", value))
    return value
