"""A client of a running tocsin's API, for the commands of tocsin and of plugins."""

from __future__ import annotations

import errno
import fcntl
import http.client
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from tocsin.core.cli.context import Context, Failure
from tocsin.core.cli.http_request import NoConnection, exchange
from tocsin.core.config import read_secret
from tocsin.core.config.scalars import API_PORT
from tocsin.core.contracts.base import Secret
from tocsin.core.runtime.data_dir import API_URL
from tocsin.core.runtime.owned import open_directory, open_file, why_not_ours

TIMEOUT = 15.0
"""Seconds within which the whole answer has to arrive."""


class ApiClient:
    """A small client of a running tocsin's API; :func:`api_client` makes one.

    Every error is a ``click.ClickException`` with one sentence and the remedy, as commands show it.

    Attributes:
        url: the URL of the API, without a slash at the end.
        token: the token that it sends.
    """

    def __init__(self, context: Context) -> None:
        token = read_secret("TOCSIN_TOKEN", context.env)
        url = context.env.get("TOCSIN_URL") or None
        if token is None or url is None:
            # Only now: a caller that sets both needs neither the file nor the data directory.
            data_dir = context.data_dir()
            plain = token or _find_token(data_dir, context.hint)
            url = url or _find_address(data_dir)
            if url is None and token is None:
                # Another process may use the port by now, which must not get the data directory's
                # token.
                raise Failure(
                    f"no tocsin runs on {data_dir}; start one with 'tocsin run', or name another "
                    f"with TOCSIN_URL{context.hint}"
                )
        else:
            plain = token
        if not (plain.isascii() and plain.isprintable()):
            raise Failure("the token has characters that no token has; check TOCSIN_TOKEN")
        self.token = Secret(plain)
        self.url = (url or _said_address(context)).rstrip("/")
        if not _is_http(self.url):
            raise Failure(
                f"{self.url} is no address of tocsin; set TOCSIN_URL to one such as "
                "http://127.0.0.1:8095"
            )

    def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Send one request and return the decoded answer.

        Args:
            method: HTTP method.
            path: path of the URL, such as ``/api/v1/targets``; parts with other characters than
                letters and digits are quoted by ``urllib.parse.quote(part, safe="")``.
            params: query parameters.
            body: JSON body; None for none.
            timeout: seconds for the whole answer; None: 15.

        Returns:
            The decoded JSON; None if the answer is empty.

        Raises:
            Failure: there is no answer, or an error; a ``click.ClickException``.
        """
        headers = {"Authorization": f"Bearer {self.token.reveal()}"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        try:
            query = f"?{urlencode(params, errors='surrogateescape')}" if params else ""
            status, text = exchange(
                method, f"{self.url}{path}{query}", headers, content, timeout or TIMEOUT
            )
            if not 200 <= status < 300:
                raise Failure(_problem(status, text))
            return json.loads(text) if text else None
        except NoConnection as error:
            raise Failure(
                f"no tocsin answers at {self.url} ({error}); "
                "start one with 'tocsin run', or name another with TOCSIN_URL"
            ) from error
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            reason = str(error) or "no answer in time"
            raise Failure(f"{self.url} did not give a valid answer of tocsin: {reason}") from error

    def get(self, path: str, **params: Any) -> Any:
        """Send a GET request; parameters that are None are left out. See :meth:`ask`."""
        given = {key: str(value) for key, value in params.items() if value is not None}
        return self.ask("GET", path, given)

    def send(self, method: str, path: str, body: Any = None, timeout: float | None = None) -> Any:
        """Send a request that changes something; see :meth:`ask`."""
        return self.ask(method, path, body=body, timeout=timeout)


def api_client() -> ApiClient:
    """Return a client of the running tocsin, for a plugin's command.

    It finds the tocsin that tocsin's own commands use: that of ``TOCSIN_URL`` and ``TOCSIN_TOKEN``,
    else that of the configuration (``tocsin --config FILE …``) or of the data directory.

    Raises:
        click.ClickException: there is none; the sentence says what to start or to set.
    """
    running = click.get_current_context(silent=True)
    found = None if running is None else running.find_object(Context)
    return ApiClient(found or Context())


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, or no IPv6 address
        return False


def _said_address(context: Context) -> str:
    """Return the URL of the API according to the configuration and the environment.

    Raises:
        Failure: they are wrong.
    """
    host, port = context.address()
    host = host or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"http://{host}:{port or API_PORT}"


def _find_token(data_dir: Path, hint: str) -> str:
    """Return the admin token of a data directory.

    Raises:
        Failure: it does not exist, or cannot be read.
    """
    path = data_dir / "admin.token"
    try:
        return _read(path)
    except FileNotFoundError:
        raise Failure(
            f"no token: {path} does not exist yet; start tocsin once, or set TOCSIN_TOKEN{hint}"
        ) from None
    except (OSError, ValueError) as error:
        raise Failure(f"the token in {path} {_reason(error)}; set TOCSIN_TOKEN") from error


def _find_address(data_dir: Path) -> str | None:
    """Return the URL of the tocsin that runs on a data directory, from the file it wrote there.

    None means that no tocsin runs on it, or that it cannot be read.

    Raises:
        Failure: the file is missing, or may have been written by another user.
    """
    try:
        lock = os.open(data_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # a running tocsin would hold the lock
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
    try:
        return _read(data_dir / API_URL)
    except FileNotFoundError:
        raise Failure(
            f"tocsin runs on {data_dir}, but the file with its address is missing: it is starting "
            "or stopping, or its disk is full; wait, or set TOCSIN_URL"
        ) from None
    except (OSError, ValueError) as error:
        raise Failure(f"the address in {data_dir / API_URL} {_reason(error)}; restart tocsin, "
                      "or set TOCSIN_URL") from error  # fmt: skip


def _read(path: Path) -> str:
    """Return a file of the data directory, which the directory's owner has to have written.

    Raises:
        OSError: it cannot be read.
        ValueError: another user may have written it.
    """
    directory = open_directory(path.parent)
    try:
        owners = {os.fstat(directory).st_uid, os.geteuid(), 0}
        with os.fdopen(open_file(path.name, directory)) as file:
            if reason := why_not_ours(os.fstat(file.fileno()), owners):
                raise ValueError(reason)
            return file.read(4096).strip()
    finally:
        os.close(directory)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        link = error.errno == errno.ELOOP
        return "is a symbolic link" if link else f"cannot be read ({error.strerror})"
    return str(error)


def _problem(status: int, text: str) -> str:
    try:
        problem = json.loads(text)
        return str(problem.get("detail") or problem.get("title") or status)
    except (ValueError, AttributeError, RecursionError):
        return f"HTTP {status}"
