"""Distinguishes a shortage of tocsin's own (descriptors, memory, threads, ports, resolver) from a
failure of a target. A shortage says nothing about the target, which becomes ``unknown``."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from tocsin.core.runtime.descriptors import are_scarce

OUT_OF = "tocsin is out of "
"""Beginning of sentences about a shortage."""

_LACKS = {
    errno.EMFILE: "open files: raise the limit of tocsin's process (ulimit -n, LimitNOFILE)",
    errno.ENFILE: "open files on this machine: raise fs.file-max",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "memory for network buffers",
}
_PORTS = "local addresses or ports to connect from"
_THREADS = "threads: raise the limit of processes (ulimit -u, TasksMax)"

_NUMBER = re.compile(r"\[Errno (-?\d+)\]")
"""Finds numbers in errors that were merged into text, as asyncio's "Multiple exceptions: …"."""

_VAGUE = (socket.gaierror, ssl.SSLError)
"""Errors of libraries that open files themselves and do not report that they could not."""


_CLEAR = frozenset(
    number
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_FAMILY", "EAI_SERVICE")
    if (number := getattr(socket, name, None)) is not None
)
"""Errors that are answers of the resolver: there is no such name, or it has no address."""


class LookupTrouble(OSError):
    """A host name could not be looked up, because of the resolver and not because of the name.

    Args:
        host: the name.
        why: the reason, as a clause.
    """

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"tocsin could not look up the name: {host} ({why})")
        self.why = why


def is_clear(error: socket.gaierror) -> bool:
    """Return whether the resolver answered that there is no such name."""
    return error.errno in _CLEAR


def own_shortage(error: BaseException) -> str | None:
    """Return what tocsin itself lacks, if that caused an error.

    Args:
        error: the exception; its causes, contexts and wrapped errors are examined, too.

    Returns:
        A clause such as ``"tocsin is out of memory"``, for the message of an ``unknown`` result;
        None if the error has another cause.
    """
    try:
        return _shortage(error)
    except Exception:  # noqa: BLE001 - attributes of a plugin's exception may raise anything
        return None


def _shortage(error: BaseException) -> str | None:
    ports_only = False
    for one in _wrapped(error):
        if isinstance(one, MemoryError):
            return _sentence(_LACKS[errno.ENOMEM])
        if isinstance(one, LookupTrouble):
            return str(one)
        if isinstance(one, RuntimeError) and "start new thread" in str(one):
            return _sentence(_THREADS)
        numbers = _numbers(one)
        for number in numbers:
            if number in _LACKS:
                return _sentence(_LACKS[number])
        if isinstance(one, _VAGUE) and are_scarce():
            return _sentence(_LACKS[errno.EMFILE])
        if isinstance(one, socket.gaierror) and isinstance(one.errno, int) and not is_clear(one):
            return f"tocsin could not look up the name: {(one.strerror or str(one)).lower()}"
        # One of several addresses that cannot be used from this machine is no shortage.
        ports_only = ports_only or (bool(numbers) and set(numbers) == {errno.EADDRNOTAVAIL})
    return _sentence(_PORTS) if ports_only else None


def present_shortage() -> str | None:
    """Return what tocsin lacks at this moment, independent of an error; None if nothing."""
    return _sentence(_LACKS[errno.EMFILE]) if are_scarce() else None


def _sentence(what: str) -> str:
    return f"{OUT_OF}{what}"


def _numbers(error: BaseException) -> list[int]:
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
        # The resolver has its own numbers; one means "see errno", one is for memory.
        lacks = isinstance(error, socket.gaierror) and error.errno == socket.EAI_MEMORY
        return [errno.ENOMEM] if lacks else []
    if error.errno is not None:
        return [error.errno]
    return [int(number) for number in _NUMBER.findall(str(error))]


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that it was made from, each once."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [one.__cause__, one.__context__, getattr(one, "os_error", None), *one.args]
        left += getattr(one, "exceptions", ())
