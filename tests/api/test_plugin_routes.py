"""Operations that plugins add to the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.api.conftest import Asker, Stack
from tocsin import ActionError, Endpoint, Request, hookimpl
from tocsin.core.config.settings import PluginSettings
from tocsin.core.http import plugin_routes
from tocsin.core.plugin.manager import PluginManager
from tocsin.testing import check_endpoint_conformance

heard: list[Request] = []


async def echo(request: Request) -> dict[str, Any]:
    """Give back what was asked."""
    heard.append(request)
    return {"path": request.path, "query": request.query, "body": request.body, "by": request.actor}


async def worst(request: Request) -> list[str]:
    """Name what is down."""
    return [one.target for one in request.system if one.status == "down"]


async def refuse(request: Request) -> None:
    """Refuse."""
    raise ActionError("there is no such thing", missing=request.path["why"] == "missing")


async def misbehave(request: Request) -> object:
    """Break the contract in the way that is asked for."""
    match request.query["how"]:
        case "raise":
            raise ValueError("token=hunter2 broke it")
        case "exit":
            raise SystemExit(3)
        case "hang":
            await asyncio.sleep(3600)
        case "block":
            time.sleep(3600)  # noqa: ASYNC251 - a plugin that blocks
        case "large":
            return "x" * (plugin_routes.MAX_ANSWER + 1)
    return {b"\xff": object}


class _Plugin:
    @hookimpl
    def tocsin_endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(path="things/{id}/echo", handler=echo),
            Endpoint(path="things", handler=echo, method="POST", role="operator"),
            Endpoint(path="things/{id}", handler=echo, method="DELETE", role="admin"),
            Endpoint(path="worst", handler=worst, wants_system=True),
            Endpoint(path="refuse/{why}", handler=refuse),
            Endpoint(path="misbehave", handler=misbehave),
        ]


@pytest.fixture
async def stack(stack: Stack) -> AsyncIterator[Stack]:
    """The same, with a plugin that adds operations."""
    stack.plugins.add("shelf", lambda: _Plugin(), "tests", "0")
    yield stack
    await stack.isolation.stop()


ROWS = [
    ("GET", "things/7/echo", ["viewer", "operator", "admin"]),
    ("POST", "things", ["operator", "admin"]),
    ("DELETE", "things/7", ["admin"]),
    ("GET", "worst", ["viewer", "operator", "admin"]),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ROWS)
async def test_each_endpoint_lets_in_whom_it_should(
    client: TestClient[Any, Any], tokens: dict[str, str], subtests: pytest.Subtests, method: str,
    path: str, allowed: list[str],
) -> None:  # fmt: skip
    """A stranger's endpoint is guarded as ours are, by every role; the handler sees nobody else."""
    for role in ("none", "viewer", "operator", "admin", "expired", "revoked"):
        with subtests.test(role=role):
            heard.clear()
            headers = {"Authorization": f"Bearer {tokens[role]}"} if tokens[role] else {}
            answer = await client.request(method, f"/api/v1/plugins/shelf/{path}", headers=headers)
            if role in allowed:
                assert answer.status == 200
            else:
                assert answer.status == (403 if role in ("viewer", "operator") else 401)
                assert heard == []
                assert answer.content_type == "application/problem+json"


async def test_a_handler_sees_what_was_asked(ask: Asker) -> None:
    """Path, query, body and who asks; GET has no body, HEAD answers as GET does."""
    answer = await ask.get("/api/v1/plugins/shelf/things/a%20b/echo?x=1&y=%C3%BC")
    assert answer == {
        "path": {"id": "a b"}, "query": {"x": "1", "y": "ü"}, "body": None, "by": "admin",
    }  # fmt: skip
    answer = await ask.post("/api/v1/plugins/shelf/things", json={"n": [1, None]})
    assert answer["body"] == {"n": [1, None]}
    await ask.post("/api/v1/plugins/shelf/things", status=400, data=b"{")
    await ask.post("/api/v1/plugins/shelf/things", status=413, data=b"x" * 100_000)
    assert await ask.get("/api/v1/plugins/shelf/worst") == ["db"]


async def test_a_refusal_is_a_problem(ask: Asker) -> None:
    """An ActionError is 409, or 404 where a thing is missing; the plugin did nothing wrong."""
    problem = await ask.get("/api/v1/plugins/shelf/refuse/busy", status=409)
    assert problem["detail"] == "there is no such thing"
    await ask.get("/api/v1/plugins/shelf/refuse/missing", status=404)
    (shelf,) = [p for p in (await ask.get("/api/v1/plugins"))["items"] if p["name"] == "shelf"]
    assert shelf["status"] == "ok"
    names = {p["name"]: p["summary"] for p in shelf["provides"]}
    assert names["GET worst"] == "Name what is down."


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("raise", 502, "raised ValueError"), ("exit", 502, "called sys.exit(3)"),
        ("hang", 504, "did not answer within"), ("block", 502, "ignored its cancellation"),
        ("large", 502, "answered with more than"), ("odd", 502, "raised TypeError"),
    ],
)  # fmt: skip
async def test_a_broken_endpoint_hurts_nobody(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch, how: str, status: int, words: str
) -> None:
    """Whatever it does, it is a problem document that names the plugin, the plugin is marked failed
    with the reason, and everything else answers; a good answer clears it."""
    monkeypatch.setattr(plugin_routes, "DEADLINE", 0.2)
    monkeypatch.setattr("tocsin.core.plugin.sandbox.BLOCKED_AFTER", 0.3)
    problem = await ask.get(f"/api/v1/plugins/shelf/misbehave?how={how}", status=status)
    assert "plugin shelf" in problem["detail"]
    assert words in problem["detail"]
    assert (await ask.get("/api/v1/status"))["targets"]
    if status == 502:
        shelf = next(r for r in stack.plugins.records if r.name == "shelf")
        assert (shelf.status, words in str(shelf.reason)) == ("failed", True)
    await ask.get("/api/v1/plugins/shelf/worst")
    shelf = next(r for r in stack.plugins.records if r.name == "shelf")
    assert shelf.status == "ok"
    stack.plugins.fail("shelf", "its rule raised ValueError")
    await ask.get("/api/v1/plugins/shelf/worst")
    shelf = next(r for r in stack.plugins.records if r.name == "shelf")
    assert shelf.status == "failed", "an endpoint that answers forgives no other fault"


async def test_endpoints_stand_in_the_document(ask: Asker) -> None:
    """OpenAPI tells of them: role, path variables, the handler's words."""
    document = await ask.get("/api/v1/openapi.json")
    operation = document["paths"]["/api/v1/plugins/shelf/things/{id}/echo"]["get"]
    assert operation["summary"] == "Give back what was asked"
    assert operation["security"] == [{"bearer": []}]
    assert [p["name"] for p in operation["parameters"]] == ["id"]
    from openapi_spec_validator import validate

    validate(document)


def manager(*endpoints: object) -> PluginManager:
    class Plugin:
        @hookimpl
        def tocsin_endpoints(self) -> Any:
            return list(endpoints)

    made = PluginManager(PluginSettings(), discover=tuple)
    made.add("odd name" if endpoints[-1] == "name" else "p", lambda: Plugin(), "tests", "0")
    return made


def test_endpoints_that_cannot_be_are_refused() -> None:
    """Bad paths, methods and roles, twins, and what is no endpoint: told when it is loaded."""
    for bad in ("/x", "x/", "a//b", "", "a b", "{}", "x?y"):
        with pytest.raises(ValueError, match="names and {variables}"):
            Endpoint(path=bad, handler=echo)
    with pytest.raises(ValueError, match="'PATCH' must be one of GET"):
        Endpoint(path="x", handler=echo, method="PATCH")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'root' must be one of viewer"):
        Endpoint(path="x", handler=echo, role="root")  # type: ignore[arg-type]
    twins = manager(Endpoint(path="x/{a}", handler=echo), Endpoint(path="x/{b}", handler=echo))
    assert "has two endpoints GET x/{}" in str(twins.records[0].reason)
    assert "not an Endpoint" in str(manager(7).records[0].reason)


async def test_the_suite_of_endpoints() -> None:
    """The testing kit's suite passes a good one, takes a refusal, catches what is not JSON."""
    await check_endpoint_conformance(Endpoint(path="x", handler=worst))
    request = Request(actor="a", role="viewer", path={"why": "busy"})
    assert await check_endpoint_conformance(Endpoint(path="x", handler=refuse), request) == [None]
    odd = Request(actor="a", role="viewer", query={"how": "odd"})
    with pytest.raises(AssertionError, match="not JSON"):
        await check_endpoint_conformance(Endpoint(path="x", handler=misbehave), odd)
