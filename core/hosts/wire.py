"""The frames between the core and a plugin host: a length, then an array in MessagePack.

Both ends run the same version of tocsin, so the protocol has no versions. A frame is a call, which
is answered, a note, which is not, an answer, a refusal, or the cancellation of a call. Arguments
and answers are decoded as the types that their method declares: what does not fit is refused, and
no code of a plugin runs while a frame is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from enum import Enum, IntEnum
from pathlib import PurePath
from typing import Any, Generic, TypeVar

import msgspec
from attrs import define, field, fields, frozen, has

from tocsin.core.contracts.base import ActionError, Secret, ServiceError
from tocsin.core.contracts.model import CheckError
from tocsin.core.contracts.notifier import NotifyError
from tocsin.core.plugin.faults import InvalidReceipt, PluginFault, describe
from tocsin.core.plugin.traces import trace_of
from tocsin.core.runtime.shortage import LookupTrouble, own_shortage

A = TypeVar("A", bound=tuple[Any, ...])
R = TypeVar("R")

LONGEST_FRAME = 8 * 1024 * 1024
"""Maximum size of a frame in bytes."""

LONGEST_TEXT = 20_000
"""Maximum number of characters of an error's text."""

LENGTH = 4
"""Bytes of the length before each frame."""


class Kind(IntEnum):
    """The kinds of frames."""

    CALL = 0
    NOTE = 1
    ANSWER = 2
    REFUSAL = 3
    CANCEL = 4


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """One frame.

    Attributes:
        kind: what it is.
        id: of the call that it is or belongs to, chosen by the caller; 0 for a note.
        method: name of the method; "" unless it is a call or note.
        body: the arguments, the answer or the :class:`Refusal`.
    """

    kind: Kind
    id: int = 0
    method: str = ""
    body: msgspec.Raw = msgspec.Raw(b"\xc0")


class Refusal(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """The error that a call ended with.

    Attributes:
        kind: ``fault``, ``receipt``, ``timeout``, ``action``, ``notify``, ``service``, ``check``,
            ``value`` or ``system``.
        text: the error's text; of a fault: the clause.
        errno: number of the OSError that caused it; None: another error caused it.
        lack: what tocsin itself lacked, if that caused it.
        trace: of a fault: the traceback of what the plugin raised.
        missing, permanent, disable, everything, answered, retry_after: fields of the error.
    """

    kind: str
    text: str
    errno: int | None = None
    lack: str | None = None
    trace: str = ""
    missing: bool = False
    permanent: bool = False
    disable: bool = False
    everything: bool = False
    answered: bool = False
    retry_after: float | None = None


@frozen(eq=False)
class Method(Generic[A, R]):
    """A method that one end calls at the other.

    Args:
        name: its name in frames.
        takes: type of its arguments, a tuple.
        answers: type of its answer.
        reveals: whether secrets in its arguments are sent in any case.
    """

    name: str
    takes: type[A]
    answers: type[R]
    reveals: bool = False
    arguments: msgspec.msgpack.Decoder[A] = field(init=False)
    answer: msgspec.msgpack.Decoder[R] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "arguments", decoder(self.takes))
        object.__setattr__(self, "answer", decoder(self.answers))


def _encode_hiding(value: object) -> object:
    return str(value) if isinstance(value, Secret) else _encode_other(value)


def _encode_other(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, int | float):
        return float(value) if isinstance(value, float) else int(value)
    if isinstance(value, Set | Sequence) and not isinstance(value, bytes | bytearray):
        return list(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"a value of the type {type(value).__name__} cannot be sent")


_REVEALING = msgspec.msgpack.Encoder(enc_hook=_encode_other)
_HIDING = msgspec.msgpack.Encoder(enc_hook=_encode_hiding)
_FRAMES = msgspec.msgpack.Decoder(Frame)
_REFUSALS = msgspec.msgpack.Decoder(Refusal)


def decoder(kind: type[R]) -> msgspec.msgpack.Decoder[R]:
    """Return a decoder of a type, which may contain secrets."""
    return msgspec.msgpack.Decoder(kind, dec_hook=lambda cls, value: cls(value))


def _encoded(value: object, reveal: bool) -> bytes:
    encoder = _REVEALING if reveal else _HIDING
    try:
        return encoder.encode(value)
    except (UnicodeEncodeError, OverflowError):  # half a character, or more than 64 bits
        return encoder.encode(_expressible(value))


def _expressible(value: Any) -> Any:
    """Return a copy in which MessagePack can express every text and number."""
    if isinstance(value, str) and not isinstance(value, Enum | Secret):
        return str.__str__(value).encode(errors="replace").decode()
    if isinstance(value, int) and value.bit_length() > 63:
        return float(value) if value.bit_length() < 1000 else str(value.bit_length())
    if isinstance(value, Mapping):
        return {_expressible(key): _expressible(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_expressible(item) for item in value]
    if has(type(value)):
        return {f.name: _expressible(getattr(value, f.name)) for f in fields(type(value))}
    return value


def encode(
    kind: Kind, number: int = 0, method: str = "", body: object = None, reveal: bool = True
) -> bytes:
    """Return a frame with its length.

    Args:
        kind: kind of the frame.
        number: id of the call.
        method: name of the method.
        body: arguments, answer or refusal.
        reveal: whether secrets are sent; else asterisks are sent in their place.

    Raises:
        PluginFault: the body cannot be sent: it has a type that MessagePack cannot express, or is
            too large.
    """
    try:
        frame = _encoded((kind, number, method, body), reveal)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PluginFault(f"gave what cannot be sent between processes: {error}") from error
    if len(frame) > LONGEST_FRAME:
        raise PluginFault(
            f"gave {len(frame)} bytes at once; at most {LONGEST_FRAME} are sent between processes"
        )
    return len(frame).to_bytes(LENGTH, "big") + frame


@define
class Splitter:
    """Cuts a stream of bytes into frames."""

    _rest: bytearray = field(factory=bytearray)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete now.

        Raises:
            ValueError: what was read is no frame.
        """
        rest, frames, at = self._rest, [], 0
        rest += data
        while len(rest) - at >= LENGTH:
            size = int.from_bytes(rest[at : at + LENGTH], "big")
            if size > LONGEST_FRAME:
                raise ValueError(f"a frame of {size} bytes is longer than {LONGEST_FRAME}")
            if len(rest) - at - LENGTH < size:
                break
            at += LENGTH + size
            try:
                frames.append(_FRAMES.decode(bytes(rest[at - size : at])))
            except msgspec.DecodeError as error:
                raise ValueError(f"a frame cannot be read: {error}") from error
        del rest[:at]
        return frames


class _Lack(LookupTrouble):
    """What tocsin lacked in a plugin host, as :func:`own_shortage` described it there."""

    def __init__(self, text: str) -> None:
        OSError.__init__(self, text)


def refusal_of(error: BaseException) -> Refusal:
    """Return the refusal that stands for an error. ``error`` is one of tocsin's own, a PluginFault
    or a TimeoutError; see :func:`tocsin.core.plugin.guard.guarded`."""
    text, lack = str(error)[:LONGEST_TEXT], own_shortage(error)
    if isinstance(error, ActionError):
        return Refusal(kind="action", text=text, missing=error.missing)
    if isinstance(error, ServiceError):
        return Refusal(kind="service", text=text, permanent=error.permanent)
    if isinstance(error, NotifyError):
        return Refusal(
            kind="notify", text=text, permanent=error.permanent, disable=error.disable,
            everything=error.everything, answered=error.answered, retry_after=error.retry_after,
            errno=_errno(error), lack=lack,
        )  # fmt: skip
    if isinstance(error, CheckError):
        return Refusal(kind="check", text=text)
    if isinstance(error, PluginFault):
        kind = "receipt" if isinstance(error, InvalidReceipt) else "fault"
        return Refusal(kind=kind, text=text, errno=_errno(error), lack=lack, trace=trace_of(error))
    if isinstance(error, TimeoutError):
        return Refusal(kind="timeout", text=text)
    if isinstance(error, ValueError):
        return Refusal(kind="value", text=text)
    if isinstance(error, OSError):
        return Refusal(kind="system", text=error.strerror or text, errno=error.errno)
    return Refusal(kind="fault", text=describe(error), trace=trace_of(error))


def _errno(error: BaseException) -> int | None:
    """Return the number of the OSError that caused an error; 0 for one without a number."""
    cause = error.__cause__
    return (cause.errno or 0) if isinstance(cause, OSError) else None


def error_of(body: msgspec.Raw) -> Exception:
    """Return the error that a refusal stands for."""
    try:
        given = _REFUSALS.decode(body)
    except msgspec.DecodeError as error:
        return PluginFault(f"refused in a form that cannot be read: {error}")
    make = _ERRORS.get(given.kind)
    found = PluginFault(given.text, trace=given.trace) if make is None else make(given)
    if given.lack is not None:
        found.__cause__ = _Lack(given.lack)
    elif given.errno is not None:
        found.__cause__ = OSError(given.errno, given.text)
    return found


_ERRORS: dict[str, Callable[[Refusal], Exception]] = {
    "action": lambda r: ActionError(r.text, missing=r.missing),
    "service": lambda r: ServiceError(r.text, permanent=r.permanent),
    "notify": lambda r: NotifyError(
        r.text, permanent=r.permanent, disable=r.disable, everything=r.everything,
        answered=r.answered, retry_after=r.retry_after,
    ),
    "receipt": lambda r: InvalidReceipt(r.text),
    "timeout": lambda r: TimeoutError(r.text),
    "check": lambda r: CheckError(r.text),
    "value": lambda r: ValueError(r.text),
    "system": lambda r: OSError(r.errno or 0, r.text),
}  # fmt: skip
