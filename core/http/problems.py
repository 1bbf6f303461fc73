"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from attrs import Factory, frozen

from tocsin.core.encoding import encode
from tocsin.core.hiding import clean


@frozen(kw_only=True)
class ProblemDocument:
    """A problem document: ``detail`` says what is wrong and what to do about it.

    ``instance`` is the path that was asked for, or, of a fault inside, the reference in the log.
    ``errors`` lists what is wrong, one by one, where that is more than one thing.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[str, ...] = Factory(tuple)


class Problem(Exception):
    """Raised by handlers to answer with a problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
        instance: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}
        self.instance = instance

    def response(self, path: str) -> web.Response:
        """The answer to a request for ``path``."""
        document = ProblemDocument(
            type="about:blank",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=clean(self.detail),
            instance=clean(path if self.instance is None else self.instance),
            errors=tuple(map(clean, self.errors)),
        )
        return web.Response(
            status=self.status,
            body=encode(document),  # it may quote anything that was sent
            content_type="application/problem+json",
            headers=self.headers,
        )


def not_found(kind: str, name: str) -> Problem:
    """404 for a thing that is not there."""
    return Problem(404, f"there is no {kind} called {name!r}")
