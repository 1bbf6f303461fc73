"""Actions on a container: read its logs, restart it, inspect it.

The core sanitizes the output and masks secrets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tocsin import ActionError, LogLine
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.errors import (
    EngineAway,
    NoSuchContainer,
    Refused,
    Unanswered,
)
from tocsin.plugins.probes.docker_health.facts import parse_time
from tocsin.plugins.probes.docker_health.tail import last_lines

if TYPE_CHECKING:
    from tocsin.plugins.probes.docker_health.watch import Watch

STOP_TIMEOUT = 10  # seconds, for a container that sets no stop timeout


async def _about(watch: Watch, target: str, ask: Callable[[Known], Awaitable[Any]]) -> Any:
    slot = watch.registry.by_target(target)
    known = None if slot is None else slot.current
    if known is None:
        raise ActionError(f"the engine has no container for {target}", missing=True)
    try:
        return await ask(known)
    except NoSuchContainer:
        raise ActionError(f"the container of {target} is gone", missing=True) from None
    except Refused as error:
        raise ActionError(f"the engine refuses: {error}") from None
    except Unanswered as error:
        raise ActionError(
            f"the Docker Engine at {watch.source.address} did not complete the request: {error}"
        ) from None
    except EngineAway as error:
        raise ActionError(
            f"the Docker Engine at {watch.source.address} cannot be queried: {error}"
        ) from None


async def logs(watch: Watch, target: str, lines: int) -> list[LogLine]:
    """Return the last lines of a container's output, oldest first.

    The two streams are requested separately, to know the stream of each line, and merged by time.

    Raises:
        ActionError: the container does not exist, or the engine refused or did not answer.
    """
    found: list[tuple[float, LogLine]] = []

    async def ask(known: Known) -> None:
        terminal = bool((known.document.get("Config") or {}).get("Tty"))
        for stream in ("stdout",) if terminal else ("stdout", "stderr"):
            read = await watch.engine.read(last_lines, known.id, lines, stream, terminal)
            found.extend(dated(read, stream))

    await _about(watch, target, ask)
    return [line for _, line in sorted(found, key=lambda one: one[0])][-lines:]


def dated(lines: Iterable[bytes], stream: str) -> Iterator[tuple[float, LogLine]]:
    """Yield the lines of a stream, each with the Unix time in seconds to sort it by.

    A line without a timestamp gets the time of the line before it, or 0.
    """
    moment = 0.0
    for raw in lines:
        line = _line(raw, stream)
        moment = moment if line.at is None else line.at.timestamp()
        yield moment, line


def _line(raw: bytes, stream: str) -> LogLine:
    line = raw.decode("utf-8", "replace").rstrip("\r")
    stamp, _, text = line.partition(" ")
    at = parse_time(stamp)
    return LogLine(text=text if at is not None else line, stream=stream, at=at)


async def restart(watch: Watch, target: str) -> None:
    """Restart a container; the engine kills it if it does not stop within its stop timeout.

    The timeout is the one that the container sets, at most 60 seconds, else ``STOP_TIMEOUT``.

    Raises:
        ActionError: the container does not exist, or the engine refused or did not answer.
    """

    async def ask(known: Known) -> None:
        own = (known.document.get("Config") or {}).get("StopTimeout")
        timeout = min(int(own) if own is not None else STOP_TIMEOUT, 60)
        await watch.engine.about("restart", known.id, timeout=timeout)

    await _about(watch, target, ask)


async def inspect(watch: Watch, target: str) -> Mapping[str, Any]:
    """Return the engine's inspect document of a container.

    Raises:
        ActionError: the container does not exist, or the engine refused or did not answer.
    """
    document: Mapping[str, Any] = await _about(
        watch, target, lambda known: watch.engine.about("inspect_container", known.id)
    )
    return document
