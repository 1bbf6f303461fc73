"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from attrs import Factory, frozen

from tocsin.core.encoding import encode
from tocsin.core.hiding import clean


@frozen(kw_only=True)
class ProblemDocument:
    """A problem document (RFC 9457). ``detail`` says what is wrong and how to correct it.

    ``instance`` is the path of the request, or, for an internal error, the reference under which
    the log has the details. ``errors`` lists the single errors if there are several.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[str, ...] = Factory(tuple)


class Problem(Exception):
    """An error that is answered with a problem document. Handlers raise it.

    Args:
        status: HTTP status code.
        detail: what is wrong and how to correct it.
        errors: the single errors, if there are several.
        headers: further headers of the answer.
        instance: URI of this occurrence; None for the path of the request.
    """

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
        """Return the answer to a request for ``path``."""
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
            # encode() also copes with whatever invalid text the detail quotes.
            body=encode(document),
            content_type="application/problem+json",
            headers=self.headers,
        )


def not_found(kind: str, name: str) -> Problem:
    """Return a 404 problem for a resource that does not exist.

    Args:
        kind: kind of resource, such as "target".
        name: the name that was asked for.
    """
    return Problem(404, f"there is no {kind} called {name!r}")
