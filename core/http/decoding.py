"""Requests: query parameters and bodies, read, decoded and checked against attrs classes."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
import msgspec
from aiohttp import web

from tocsin.core.http.problems import Problem
from tocsin.core.logs import clean
from tocsin.core.plugin.refusals import in_words

T = TypeVar("T", bound=attrs.AttrsInstance)

MAX_BODY = 64 * 1024
"""Largest request body, in bytes, packed or unpacked."""

BODY_WITHIN = 20.0
"""Seconds within which a request body has to arrive."""


def unfit(text: str) -> str:
    """Return what neither a name nor the database can hold, as a clause; "" if valid."""
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a lone surrogate, which is not valid text"
    return ""


def show(text: str) -> str:
    """Return a text that a client sent, shortened and cleaned so that it can be quoted."""
    return clean(text[:100])


def _check_moments(holder: Any, where: str) -> None:
    """Reject times that lie outside the years 1 to 9999 in UTC.

    Raises:
        Problem: 422, a field of ``holder`` holds such a time.
    """
    for item in attrs.fields(type(holder)):
        value = getattr(holder, item.name)
        if isinstance(value, datetime) and value.tzinfo is not None:
            try:
                value.astimezone(UTC)
            except OverflowError:
                raise Problem(
                    422,
                    f"{where} is wrong: {item.name}: in UTC it is not between the years 1 and 9999",
                ) from None


def once_each(given: Mapping[str, str]) -> dict[str, str]:
    """Return query parameters as a plain dict.

    Raises:
        Problem: one is repeated.
    """
    multi = getattr(given, "getall", None)
    if multi and (twice := [name for name in given if len(multi(name)) > 1]):
        raise Problem(400, f"query parameter {show(twice[0])} is given more than once")
    return dict(given)


def query_of(kind: type[T], given: Mapping[str, str]) -> T:
    """Convert query parameters to an attrs class.

    Args:
        kind: the attrs class.
        given: the parameters of the request.

    Raises:
        Problem: a parameter is unknown, repeated or malformed.
    """
    known = {f.name for f in attrs.fields(kind)}
    if unknown := sorted(given.keys() - known):
        allowed = ", ".join(sorted(known))
        names = show(", ".join(unknown))
        raise Problem(400, f"unknown query parameter {names}; known are {allowed}")
    plain = once_each(given)
    try:
        query = msgspec.convert(plain, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, f"a query parameter is wrong: {_plain(error)}") from error
    for name, text in given.items():
        value = getattr(query, name)
        # msgspec accepts more than the OpenAPI document declares: "null" as None, a number as a
        # time.
        if value is None or (isinstance(value, datetime) and "-" not in text):
            raise Problem(
                422, f"a query parameter is wrong: {name}: {show(text)!r} is not a valid value"
            )
    _check_moments(query, "a query parameter")
    return query


async def read_json(request: web.Request) -> Any:
    """Return the decoded JSON body of a request; an empty object if it has none.

    Raises:
        Problem: the body cannot be read, or is not JSON.
    """
    return decode_json(await read_raw(request))


async def read_raw(request: web.Request, most: int | None = None) -> bytes:
    """Return the body of a request, decompressed.

    Args:
        request: the request.
        most: with a number, only so many bytes of a larger body are read, and one more; with None,
            a body over :data:`MAX_BODY` is rejected.

    Raises:
        Problem: the body is late, incomplete, too large, or not encoded as its headers say.
    """
    try:
        async with asyncio.timeout(BODY_WITHIN):
            raw = await (request.read() if most is None else _begin_of(request, most))
    except TimeoutError as error:
        raise Problem(408, f"the body did not arrive within {BODY_WITHIN:g} s") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise Problem(413, f"the body is larger than {MAX_BODY} bytes") from error
    except ConnectionError as error:
        raise Problem(400, "the connection ended before the body did") from error
    except web.RequestPayloadError as error:
        raise Problem(400, "the body does not match its headers (encoding, length)") from error
    return _unpacked(raw, coding_of(request))


async def _begin_of(request: web.Request, most: int) -> bytes:
    raw = b""
    while len(raw) <= most and (piece := await request.content.read(most + 1 - len(raw))):
        raw += piece
    return raw


def decode_json(raw: bytes) -> Any:
    """Decode a JSON body; an empty body is an empty object.

    Raises:
        Problem: 400, the body is not JSON, or nested too deeply.
    """
    try:
        return msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    except RecursionError:
        raise Problem(400, "the body is nested too deeply") from None


def coding_of(request: web.Request) -> str:
    """Return the compression of a request's body; "" if it has none.

    Raises:
        Problem: 415, the compression is not supported.
    """
    coding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise Problem(
            415,
            f"the content-encoding {show(coding)} is not supported; send the body without one",
        )
    return coding.removeprefix("identity")


def _unpacked(raw: bytes, coding: str) -> bytes:
    """Decompress a body, up to :data:`MAX_BODY` bytes.

    aiohttp would decompress without this limit, before the token is checked.

    Raises:
        Problem: the data are damaged or incomplete, or unpack to more than the limit.
    """
    if not coding:
        return raw
    unpacking = zlib.decompressobj(47)  # accepts a zlib header or a gzip header
    try:
        body = unpacking.decompress(raw, MAX_BODY + 1)
    except zlib.error as error:
        raise Problem(400, "the body does not match its headers (encoding)") from error
    if len(body) > MAX_BODY:
        raise Problem(413, f"the body is larger than {MAX_BODY} bytes")
    if not unpacking.eof:
        raise Problem(400, "the body does not match its headers (encoding): it ends early")
    return body


async def read_body(kind: type[T], request: web.Request) -> T:
    """Return the body of a request as the attrs class that its handler takes.

    Raises:
        Problem: the body cannot be read, is not JSON, or does not fit the class.
    """
    return convert_body(kind, await read_json(request))


def convert_body(kind: type[T], given: object) -> T:
    """Convert decoded JSON to an attrs class.

    Raises:
        Problem: 422, the JSON does not fit the class.
    """
    if not isinstance(given, dict):
        raise Problem(422, "the body is wrong: it must be a JSON object")
    known = {f.name for f in attrs.fields(kind)}
    # If an unknown field were ignored, a misspelt "status" would report a failed job as a success.
    if unknown := sorted(given.keys() - known):
        errors = tuple(f"unknown field {name[:100]!r}" for name in unknown[:20])
        allowed = ", ".join(sorted(known))
        raise Problem(422, f"the body is wrong: {errors[0]}; known are {allowed}", errors=errors)
    try:
        body = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise Problem(422, f"the body is wrong: {_plain(error)}") from error
    _check_moments(body, "the body")
    return body


def _plain(error: Exception) -> str:
    """Rewrite msgspec's ``… - at `$.limit``` as ``limit: …``, and what a validator raised."""
    if isinstance(error.__cause__, ValueError | TypeError):
        field, text = in_words(error.__cause__)
        if field:
            return f"{field}: {text}"
    text, _, place = str(error).partition(" - at `$")
    name = place.rstrip("`").lstrip(".")
    text = text[:1].lower() + text[1:]
    return f"{name}: {text}" if name else text
