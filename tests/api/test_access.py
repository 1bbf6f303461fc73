"""Every route by every role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.api.conftest import Stack
from tocsin.core.contracts.route import Role
from tocsin.core.http import ROUTES, ApiServer
from tocsin.core.http.failure_limit import FailureLimit

V, O, A = "viewer", "operator", "admin"  # noqa: E741

# Route, the least role, the status a caller with that role gets, the body.
TABLE: list[tuple[str, str, str | None, int]] = [
    ("GET", "/health", None, 200),
    ("GET", "/metrics", V, 200),
    ("GET", "/api/v1/openapi.json", V, 200),
    ("GET", "/api/v1/me", V, 200),
    ("GET", "/api/v1/status", V, 200),
    ("GET", "/api/v1/containers", V, 200),
    ("GET", "/api/v1/containers/{name}", V, 200),
    ("GET", "/api/v1/containers/{name}/logs", V, 200),
    ("GET", "/api/v1/containers/{name}/events", V, 200),
    ("GET", "/api/v1/containers/{name}/inspect", O, 200),
    ("POST", "/api/v1/containers/{name}/restart", O, 200),
    ("GET", "/api/v1/targets", V, 200),
    ("GET", "/api/v1/targets/{name}", V, 200),
    ("GET", "/api/v1/targets/{name}/logs", V, 200),
    ("GET", "/api/v1/targets/{name}/inspect", O, 200),
    ("POST", "/api/v1/targets/{name}/restart", O, 200),
    ("GET", "/api/v1/targets/{name}/panels", V, 200),
    ("GET", "/api/v1/checks", V, 200),
    ("GET", "/api/v1/checks/{name}/{check}/history", V, 200),
    ("GET", "/api/v1/checks/{name}/{check}/results", V, 200),
    ("GET", "/api/v1/metrics", V, 200),
    ("GET", "/api/v1/metrics/descriptions", V, 200),
    ("GET", "/api/v1/metrics/history?target=web", V, 200),
    ("GET", "/api/v1/uptime", V, 200),
    ("GET", "/api/v1/trends", V, 200),
    ("GET", "/api/v1/alerts/frequency", V, 200),
    ("GET", "/api/v1/alerts", V, 200),
    ("GET", "/api/v1/alerts/active", V, 200),
    ("GET", "/api/v1/alerts/{id}", V, 200),
    ("POST", "/api/v1/alerts/{id}/acknowledge", O, 200),
    ("POST", "/api/v1/alerts/{id}/unacknowledge", O, 409),
    ("GET", "/api/v1/notifications", V, 200),
    ("GET", "/api/v1/silences", V, 200),
    ("POST", "/api/v1/silences", O, 422),
    ("DELETE", "/api/v1/silences/{id}", O, 404),
    ("POST", "/api/v1/maintenance", O, 422),
    ("DELETE", "/api/v1/maintenance/{name}", O, 404),
    ("GET", "/api/v1/maintenance", V, 200),
    ("GET", "/api/v1/channels", V, 200),
    ("POST", "/api/v1/test-notification", O, 200),
    ("POST", "/api/v1/heartbeats/{name}", O, 404),
    ("GET", "/api/v1/heartbeats/{name}", O, 404),
    ("GET", "/api/v1/plugins", V, 200),
    ("GET", "/api/v1/config", A, 200),
    ("POST", "/api/v1/reload", A, 200),
    ("GET", "/api/v1/audit", A, 200),
    ("GET", "/api/v1/stream", V, 200),
]
KINDS = ("none", "expired", "revoked", V, O, A)
"""Of tokens: three that nobody lets in, and the roles from the least on."""


def _url(path: str, stack: Stack) -> str:
    """A path with names and ids that exist; the alert is that of the target that is down."""
    alert = next(iter(stack.alerting.engine.alerts.values()))
    path = path.replace("{name}", "web").replace("{check}", "docker")
    return path.replace("{id}", str(alert.id))


async def test_the_table_has_every_route(stack: Stack) -> None:
    """A route that is added without a row here fails this test, however it was added."""
    listed = {(method, path.partition("?")[0]) for method, path, _, _ in TABLE}
    every = [*ROUTES, *(route for _, route in stack.plugins.routes)]
    assert listed == {(route.method, route.path) for route in every}
    listed |= {("HEAD", path) for method, path in listed if method == "GET"}
    served = ApiServer(stack).application().router.routes()
    assert listed == {(route.method, getattr(route.resource, "canonical", "")) for route in served}


def _cases() -> Iterator[tuple[str, str, str | None, int, tuple[str, ...]]]:
    """The table with the roles that may ask one after the other: what changes something is let in
    once for each stack."""
    for method, path, least, good in TABLE:
        begin = 0 if least is None else KINDS.index(least)
        first = len(KINDS) if method == "GET" else begin + 1
        yield method, path, least, good, KINDS[:first]
        for kind in KINDS[first:]:
            yield method, path, least, good, (kind,)


@pytest.mark.parametrize(("method", "path", "least", "good", "kinds"), list(_cases()))
async def test_each_route_lets_in_whom_it_should(
    client: TestClient[Any, Any],
    stack: Stack,
    tokens: dict[str, str],
    method: str,
    path: str,
    least: str | None,
    good: int,
    kinds: tuple[str, ...],
) -> None:
    """No token, an expired or a revoked one: 401. Too small a role: 403. Else the answer. HEAD
    answers as GET does."""
    url = _url(path, stack)
    for kind in kinds:
        headers = {"Authorization": f"Bearer {tokens[kind]}"} if tokens[kind] else {}
        answer = await client.request(method, url, headers=headers)
        if least is None:
            expected = good
        elif kind in ("none", "expired", "revoked"):
            expected = 401
        else:
            expected = good if KINDS.index(kind) >= KINDS.index(least) else 403
        assert answer.status == expected, (kind, await answer.text() if expected != 200 else "")
        if method == "GET":
            head = await client.head(url, headers=headers)
            assert (head.status, await head.read()) == (expected, b""), kind
        if expected in (401, 403):
            assert answer.content_type == "application/problem+json"
            problem = await answer.json()
            assert problem["status"] == expected
            assert not any(token and token in str(problem) for token in tokens.values())
        if expected == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_guessing_is_slowed_and_the_good_token_still_works(
    client: TestClient[Any, Any], tokens: dict[str, str]
) -> None:
    """After many wrong tokens an address gets 429 with Retry-After; a good token is let in."""
    statuses = []
    for n in range(30):
        headers = {"Authorization": f"Bearer wrong{n}"}
        answer = await client.get("/api/v1/status", headers=headers)
        statuses.append(answer.status)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert int(answer.headers["Retry-After"]) >= 1
    good = {"Authorization": f"Bearer {tokens['viewer']}"}
    assert (await client.get("/api/v1/status", headers=good)).status == 200


def test_the_failure_limit_forgets_and_is_bounded(clock: Any) -> None:
    """Failures age out after the window, and no flood of addresses fills the memory."""
    limit = FailureLimit(clock, limit=2, window=60, addresses=10)
    assert [limit.failed("a") for _ in range(2)] == [0.0, 0.0]
    assert limit.failed("a") > 0
    clock.advance(61)
    assert limit.failed("a") == 0.0
    for n in range(1000):
        limit.failed(str(n))
    assert len(limit._failures) == 10


async def test_a_token_made_while_it_runs_works_at_once(
    client: TestClient[Any, Any], stack: Stack
) -> None:
    """Another process makes and revokes tokens; the server heeds both without a restart."""
    from tocsin.core.auth.tokens import TokenStore

    other = TokenStore(stack.data_dir / "tokens.db")
    plain = other.create("late", Role.VIEWER)
    headers = {"Authorization": f"Bearer {plain}"}
    assert (await client.get("/api/v1/status", headers=headers)).status == 200
    other.revoke("late")
    assert (await client.get("/api/v1/status", headers=headers)).status == 401
