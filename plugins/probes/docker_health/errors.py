"""Why an engine did not complete a request."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator

import docker
import requests
import urllib3

from tocsin import clean_text, own_shortage
from tocsin.plugins.probes import _ssh


class EngineAway(Exception):
    """The engine cannot be queried; the message says why, as a clause."""


class NoSuchContainer(Exception):
    """The engine does not know the container, or no longer."""


class Refused(Exception):
    """The engine rejected the request (HTTP 4xx); the message is the engine's."""


class Unanswered(Exception):
    """The engine did not complete a request: no answer in time, or a server error (HTTP 5xx).

    If the request concerns one container, this says nothing about the others.
    """


class Cut(Unanswered):
    """The connection ended before the answer came; perhaps a proxy closed it.

    This says nothing about the engine, so a request that changes nothing may be repeated.
    """


_TROUBLE: tuple[type[Exception], ...] = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    docker.errors.DockerException,
    OSError,
    *_ssh.TROUBLE,
)


def _why(error: BaseException) -> str:
    """Return the reason why an engine does not answer, as a clause."""
    if (lack := own_shortage(error)) is not None:
        return lack
    text = str(error)
    known = {
        "No such file": "there is no such socket",
        "FileNotFoundError": "there is no such socket",
        "Connection refused": "the connection is refused",
        "ConnectionRefusedError": "the connection is refused",
        "Permission denied": "permission is denied; add this user to the group docker",
        "PermissionError": "permission is denied; add this user to the group docker",
        "timed out": "it does not answer in time",
        "Timeout": "it does not answer in time",
    }
    return next(
        (words for mark, words in known.items() if mark in text),
        clean_text(text, longest=190) or "no answer",
    )


def _was_cut(error: object, depth: int = 4) -> bool:
    """Return whether an error, or one of its causes, is the end of a connection."""
    if isinstance(error, ConnectionResetError | BrokenPipeError | http.client.IncompleteRead):
        return True
    inner = (*error.args, error.__cause__) if isinstance(error, Exception) and depth else ()
    return any(_was_cut(each, depth - 1) for each in inner)


@contextlib.contextmanager
def of_the_request() -> Iterator[None]:
    """Convert errors of the Docker SDK to those of this module."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise NoSuchContainer(str(error.explanation)) from None
    except docker.errors.APIError as error:
        if error.is_server_error():
            raise Unanswered(clean_text(str(error.explanation), longest=190)) from None
        raise Refused(clean_text(str(error.explanation), longest=240)) from None
    except _TROUBLE as error:
        raise (Cut if _was_cut(error) else Unanswered)(_why(error)) from None
    except Exception as error:  # noqa: BLE001 - an answer that the SDK does not understand
        lack = own_shortage(error)
        text = f"its answer is not understood ({type(error).__name__})"
        raise Unanswered(lack or text) from None


@contextlib.contextmanager
def of_the_whole() -> Iterator[None]:
    """Convert errors to EngineAway: a failed request about the engine concerns all containers."""
    try:
        yield
    except (NoSuchContainer, Refused, Unanswered) as error:
        raise EngineAway(str(error)) from None
