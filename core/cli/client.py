"""Asking a running tocsin over its API, the way any stranger would."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tocsin.core.app import API_URL
from tocsin.core.cli.context import Context, Failure
from tocsin.core.config import read_secret

TIMEOUT = 15.0
"""Seconds for a whole answer."""


class Client:
    """A small client of tocsin's API. Every trouble becomes a :class:`Failure`."""

    def __init__(self, context: Context, url: str | None = None) -> None:
        settings = context.settings()
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.api.host, settings.api.host)  # noqa: S104
        try:
            running = (settings.data_dir / API_URL).read_text().strip()
        except OSError:
            running = f"http://{host}:{settings.api.port}"
        self.url = (url or context.env.get("TOCSIN_URL") or running).rstrip("/")
        self._token = self._find_token(context)

    @staticmethod
    def _find_token(context: Context) -> str:
        if token := read_secret("TOCSIN_TOKEN", context.env):
            return token
        path = context.settings().data_dir / "admin.token"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            raise Failure(
                f"no token: {path} does not exist yet; start tocsin once, or set TOCSIN_TOKEN"
            ) from None
        except OSError as error:
            raise Failure(
                f"the token in {path} cannot be read ({error.strerror}); set TOCSIN_TOKEN"
            ) from error

    async def ask(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        body: Any = None,
        patience: float | None = None,
    ) -> Any:
        """One request; the decoded answer, within ``patience`` seconds. Raises Failure."""
        headers = {"Authorization": f"Bearer {self._token}"}
        timeout = aiohttp.ClientTimeout(total=patience or TIMEOUT)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(
                    method, self.url + path, params=params, json=body, headers=headers
                ) as answer,
            ):
                # In UTF-8, as tocsin does; what else answers there shall choose no codec.
                text = (await answer.read()).decode("utf-8", "replace")
                if answer.status >= 400:
                    raise Failure(_problem(answer.status, text))
                return json.loads(text) if text else None
        except aiohttp.ClientConnectorError as error:
            raise Failure(
                f"no tocsin answers at {self.url} ({error.strerror or 'no connection'}); "
                "start one with 'tocsin run', or name another with TOCSIN_URL"
            ) from error
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            reason = str(error) or "no answer in time"
            raise Failure(f"{self.url} did not answer as tocsin does: {reason}") from error

    def get(self, path: str, **params: Any) -> Any:
        """A GET, from synchronous code; parameters that are None are left out."""
        given = {key: str(value) for key, value in params.items() if value is not None}
        return asyncio.run(self.ask("GET", path, given))

    def send(self, method: str, path: str, body: Any = None, patience: float | None = None) -> Any:
        """A request that changes something, from synchronous code."""
        return asyncio.run(self.ask(method, path, body=body, patience=patience))


def _problem(status: int, text: str) -> str:
    try:
        problem = json.loads(text)
        return str(problem.get("detail") or problem.get("title") or status)
    except (ValueError, AttributeError, RecursionError):
        return f"HTTP {status}"
