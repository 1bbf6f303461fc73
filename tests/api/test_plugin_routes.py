"""Operations that plugins add to the API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any

import attrs
import pytest
from aiohttp.test_utils import TestClient
from attrs import frozen

import tocsin
from tests.api.conftest import Asker, Stack
from tocsin import ActionError, Request, Role, Route, Routes, hookimpl
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.contracts.route import CORE_ROOTS, Handler
from tocsin.core.encoding import encode
from tocsin.core.http import ROUTES, plugin_routes
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.shapes.answers import MAX_ANSWER
from tocsin.testing import check_route_conformance

heard: list[Request] = []
routes = Routes()


@frozen(kw_only=True)
class FindQuery:
    """What to look for."""

    limit: int = attrs.field(default=10, validator=attrs.validators.ge(1))
    since: datetime | None = None
    read: bool = False


@frozen(kw_only=True)
class Thing:
    """A thing on the shelf."""

    name: str
    tags: tuple[str, ...] = ()


@frozen(kw_only=True)
class AlertView:
    """A class of the same name as one of the core's."""

    limit: int
    role: Role


@frozen(kw_only=True)
class HowQuery:
    how: str = ""


@frozen(kw_only=True)
class HostileQuery:
    """A class whose check runs the plugin's code."""

    how: str = attrs.field(default="")

    @how.validator
    def _check(self, _: object, value: str) -> None:
        if value == "block":
            time.sleep(3600)
        if value == "raise":
            raise KeyError("surprise")


@routes.get("things/{id}/echo")
async def echo(request: Request, query: FindQuery) -> dict[str, object]:
    """Give back what was asked."""
    heard.append(request)
    return {"path": request.path, "query": query, "by": request.actor, "role": request.role}


@routes.post("things", role=Role.OPERATOR)
async def put(request: Request, body: Thing) -> Thing:
    """Take a thing."""
    heard.append(request)
    return body


@routes.put("things/{id}", role=Role.OPERATOR)
@routes.patch("things/{id}", role=Role.OPERATOR)
@routes.delete("things/{id}", role=Role.ADMIN)
async def change(request: Request) -> None:
    """Change or remove a thing."""
    heard.append(request)


@routes.get("views")
async def views(request: Request, query: FindQuery) -> list[AlertView]:
    """List views."""
    return [AlertView(limit=query.limit, role=request.role)]


@routes.get("worst", wants_system=True)
async def worst(request: Request) -> list[str]:
    """Name what is down."""
    return [one.target for one in request.system if one.status == "down"]


@routes.get("refuse/{why}")
async def refuse(request: Request) -> None:
    """Refuse."""
    raise ActionError("there is no such thing", missing=request.path["why"] == "missing")


@routes.get("hostile")
async def hostile(request: Request, query: HostileQuery) -> str:
    """Answer if the query allows it."""
    return query.how


@routes.get("/shelf", media="text/plain; charset=utf-8")
async def page(request: Request, query: HowQuery) -> str | bytes:
    """Show the shelf as text."""
    answers: dict[str, Any] = {"bytes": b"\xff", "odd": 7}
    answer: str | bytes = answers.get(query.how, f"ü {len(request.system)}")
    return answer


@routes.get("misbehave")
async def misbehave(request: Request, query: HowQuery) -> list[float]:
    """Break the contract in the way that is asked for."""
    answers: dict[str, Any] = {"untrue": ["x"], "infinite": [float("inf")], "odd": [object()]}
    match query.how:
        case "raise":
            raise ValueError("token=hunter2 broke it")
        case "exit":
            raise SystemExit(3)
        case "hang":
            await asyncio.sleep(3600)
        case "block":
            time.sleep(3600)  # noqa: ASYNC251 - a plugin that blocks
        case "large":
            return [1.5] * (MAX_ANSWER // 4 + 1)
    found: list[float] = answers[query.how]
    return found


class Shelf:
    @hookimpl
    def tocsin_routes(self) -> list[Route]:
        return routes.routes


@pytest.fixture
async def stack(stack: Stack) -> AsyncIterator[Stack]:
    """The same, with a plugin that adds operations."""
    stack.plugins.add("shelf", lambda: Shelf(), "tests", "0")
    yield stack
    await stack.isolation.stop()


V, O, A = "viewer", "operator", "admin"  # noqa: E741
UNDER = "/api/v1/plugins/shelf"
ROWS = [
    ("GET", f"{UNDER}/things/7/echo", [V, O, A]),
    ("POST", f"{UNDER}/things", [O, A]),
    ("PUT", f"{UNDER}/things/7", [O, A]),
    ("PATCH", f"{UNDER}/things/7", [O, A]),
    ("DELETE", f"{UNDER}/things/7", [A]),
    ("GET", f"{UNDER}/worst", [V, O, A]),
    ("GET", "/shelf", [V, O, A]),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ROWS)
async def test_each_route_lets_in_whom_it_should(
    client: TestClient[Any, Any], tokens: dict[str, str], subtests: pytest.Subtests, method: str,
    path: str, allowed: list[str],
) -> None:  # fmt: skip
    """A plugin's route asks for the same tokens and roles as the core's, on a top-level path, too;
    the handler is called for nobody else."""
    for role in ("none", "viewer", "operator", "admin", "expired", "revoked"):
        with subtests.test(role=role):
            heard.clear()
            headers = {"Authorization": f"Bearer {tokens[role]}"} if tokens[role] else {}
            body = {"name": "x"} if method == "POST" else None
            answer = await client.request(method, path, headers=headers, json=body)
            if role in allowed:
                assert answer.status == 200
            else:
                assert answer.status == (403 if role in ("viewer", "operator") else 401)
                assert heard == []
                assert answer.content_type == "application/problem+json"


async def test_a_handler_receives_typed_arguments(ask: Asker) -> None:
    """Path, query, body and caller arrive as the types that the handler declares; defaults fill
    what is left out."""
    answer = await ask.get(f"{UNDER}/things/a%20b/echo?limit=3&since=2026-01-01T00:00:00Z")
    assert answer == {
        "path": {"id": "a b"}, "by": "admin", "role": "admin",
        "query": {"limit": 3, "since": "2026-01-01T00:00:00Z", "read": False},
    }  # fmt: skip
    thing = {"name": "ü", "tags": ["a"]}
    assert await ask.post(f"{UNDER}/things", json=thing) == thing
    assert await ask.post(f"{UNDER}/things", json={"name": "b"}) == {"name": "b", "tags": []}
    assert await ask.get(f"{UNDER}/worst") == ["db"]
    assert await ask.get(f"{UNDER}/views") == [{"limit": 10, "role": "admin"}]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?limt=3", 400, "unknown query parameter limt; known are limit, read, since"),
        ("?limit=1&limit=2", 400, "limit is given more than once"),
        ("?limit=x", 422, "limit: expected `int`"),
        ("?limit=0", 422, "a query parameter is wrong: limit: must be at least 1, not 0"),
        ("?since=0001-01-01T00:00:00%2B10:00", 422, "since"),
        ("?since=null", 422, "since"),
        ("?limit=%00", 422, "NUL"),
    ],
)
async def test_a_query_is_refused_as_on_core_routes(
    ask: Asker, stack: Stack, query: str, status: int, words: str
) -> None:
    """Unknown, repeated, malformed and impossible parameters get the problems of the core's own
    routes; the handler is not called and the plugin is not blamed."""
    heard.clear()
    problem = await ask.get(f"{UNDER}/things/7/echo{query}", status=status)
    assert words in problem["detail"]
    assert heard == []
    assert record(stack).status == "ok"


async def test_without_a_query_parameter_a_query_string_is_refused(ask: Asker) -> None:
    """A handler that takes no query is called only without one."""
    problem = await ask.get(f"{UNDER}/worst?x=1", status=400)
    assert problem["detail"] == "this takes no query parameters; leave out x"


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"json": {"name": "x", "tgas": []}}, 422, "unknown field 'tgas'; known are name, tags"),
        ({"json": {"name": 7}}, 422, "name: expected `str`"),
        ({"json": {}}, 422, "missing required field"),
        ({"json": []}, 422, "must be a JSON object"),
        ({"data": b"{"}, 400, "not JSON"),
        ({"data": b"x" * 100_000}, 413, "larger than"),
    ],
)
async def test_a_body_is_refused_as_on_core_routes(
    ask: Asker, stack: Stack, sent: dict[str, Any], status: int, words: str
) -> None:
    """Unknown fields, wrong types, what is no JSON and what is too large get the problems of the
    core's own routes; the plugin is not blamed."""
    heard.clear()
    problem = await ask.post(f"{UNDER}/things", status=status, **sent)
    assert words in problem["detail"]
    assert heard == []
    assert record(stack).status == "ok"


async def test_a_refusal_is_a_problem(ask: Asker, stack: Stack) -> None:
    """An ActionError is 409, or 404 where a thing is missing; the plugin did nothing wrong."""
    problem = await ask.get(f"{UNDER}/refuse/busy", status=409)
    assert problem["detail"] == "there is no such thing"
    await ask.get(f"{UNDER}/refuse/missing", status=404)
    (shelf,) = [p for p in (await ask.get("/api/v1/plugins"))["items"] if p["name"] == "shelf"]
    assert shelf["status"] == "ok"
    names = {p["name"]: p["summary"] for p in shelf["provides"]}
    assert names["GET worst"] == "Name what is down."
    assert names["GET /shelf"] == "Show the shelf as text."


async def test_an_answer_of_another_media_type_is_sent_as_it_is(ask: Asker, stack: Stack) -> None:
    """Where the route names a media type, str and bytes are sent unchanged; anything else is a
    fault of the plugin."""
    answer = await ask.client.get("/shelf", headers=ask.headers)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert await answer.text() == "ü 0"
    answer = await ask.client.get("/shelf?how=bytes", headers=ask.headers)
    assert await answer.read() == b"\xff"
    problem = await ask.get("/shelf?how=odd", status=502)
    assert "answered int as text/plain; charset=utf-8, not str or bytes" in problem["detail"]


def record(stack: Stack) -> Any:
    return next(r for r in stack.plugins.records if r.name == "shelf")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (
            "misbehave?how=raise",
            502,
            "failed to answer GET /api/v1/plugins/shelf/misbehave: it raised ValueError",
        ),
        ("misbehave?how=exit", 502, "called sys.exit(3)"),
        ("misbehave?how=hang", 504, "did not answer GET /api/v1/plugins/shelf/misbehave within"),
        ("misbehave?how=block", 502, "ignored its cancellation"),
        ("misbehave?how=large", 502, "answered with more than"),
        ("misbehave?how=odd", 502, "raised TypeError"),
        ("misbehave?how=untrue", 502, "declares: Expected `float`, got `str` - at `$[0]`"),
        ("misbehave?how=infinite", 502, "declares: Expected `float`, got `null`"),
        ("hostile?how=block", 502, "ignored its cancellation"),
        ("hostile?how=raise", 502, "raised KeyError"),
    ],
)
async def test_a_broken_route_hurts_nobody(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch, path: str, status: int, words: str
) -> None:
    """Whatever the handler or the check of its query does, it is a problem document that names the
    plugin, the plugin is marked failed with the reason, and everything else answers; a good answer
    clears it."""
    monkeypatch.setattr(plugin_routes, "DEADLINE", 0.2)
    monkeypatch.setattr("tocsin.core.plugin.threads.BLOCKED_AFTER", 0.3)
    problem = await ask.get(f"{UNDER}/{path}", status=status)
    assert "plugin shelf" in problem["detail"]
    assert words in problem["detail"]
    assert (await ask.get("/api/v1/status"))["targets"]
    assert (record(stack).status, words in str(record(stack).reason)) == ("failed", True)
    monkeypatch.setattr(plugin_routes, "DEADLINE", 10.0)
    await ask.get(f"{UNDER}/worst")
    assert record(stack).status == "ok"
    stack.plugins.fail("shelf", "its rule raised ValueError")
    await ask.get(f"{UNDER}/worst")
    assert record(stack).status == "failed", "a route that answers forgives no other fault"


async def test_the_document_has_the_types(ask: Asker) -> None:
    """OpenAPI has a plugin's role, path variables, query, body and answer with their types, under
    names of their own: those of the core's types stay as they are."""
    document = await ask.get("/api/v1/openapi.json")
    schemas = document["components"]["schemas"]
    echoed = document["paths"][f"{UNDER}/things/{{id}}/echo"]["get"]
    assert echoed["summary"] == "Give back what was asked"
    assert (echoed["security"], echoed["tags"]) == ([{"bearer": []}], ["shelf"])
    found = {p["name"]: (p["in"], p["schema"].get("type")) for p in echoed["parameters"]}
    assert found == {
        "id": ("path", "string"), "limit": ("query", "integer"), "since": ("query", "string"),
        "read": ("query", "boolean"),
    }  # fmt: skip
    assert set(echoed["responses"]) >= {"200", "400", "401", "403", "404", "409", "422", "502"}
    taken = document["paths"][f"{UNDER}/things"]["post"]
    reference = {"$ref": "#/components/schemas/shelf.Thing"}
    assert taken["requestBody"]["content"]["application/json"]["schema"] == reference
    assert taken["requestBody"]["required"] is True
    assert taken["responses"]["200"]["content"]["application/json"]["schema"] == reference
    assert schemas["shelf.Thing"]["additionalProperties"] is False
    listed = document["paths"][f"{UNDER}/views"]["get"]["responses"]["200"]
    assert listed["content"]["application/json"]["schema"] == {
        "type": "array", "items": {"$ref": "#/components/schemas/shelf.AlertView"}
    }  # fmt: skip
    assert "acknowledged_by" in str(schemas["AlertView"]["properties"])
    text = document["paths"]["/shelf"]["get"]["responses"]["200"]["content"]
    assert text == {"text/plain; charset=utf-8": {"schema": {"type": "string"}}}
    from openapi_spec_validator import validate

    validate(document)


@frozen(kw_only=True)
class Order:
    """What to take; each field has the standard validators of attrs."""

    number: int = attrs.field(default=1, validator=[attrs.validators.ge(1), attrs.validators.lt(9)])
    share: float | None = attrs.field(
        default=None,
        validator=attrs.validators.optional([attrs.validators.gt(0), attrs.validators.le(1)]),
    )
    name: str = attrs.field(
        default="a", validator=[attrs.validators.min_len(1), attrs.validators.max_len(9)]
    )
    tags: tuple[str, ...] = attrs.field(default=(), validator=attrs.validators.max_len(3))
    size: str = attrs.field(default="s", validator=attrs.validators.in_(("s", "m")))
    code: str = attrs.field(default="a1", validator=attrs.validators.matches_re("[a-z][0-9]+"))
    when: datetime | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(datetime.min))
    )
    odd: int = attrs.field(default=1, validator=attrs.validators.not_(attrs.validators.in_((2,))))


@frozen(kw_only=True)
class Basket:
    """Several orders."""

    orders: tuple[Order, ...] = ()


async def take(request: Request, query: Order, body: Basket) -> None:
    """Take what is ordered."""


def test_the_document_has_what_validators_demand() -> None:
    """Bounds, lengths, options and patterns are those of the query and of every class in the body;
    what JSON Schema cannot express is left out."""
    from tocsin.core.http.openapi import document

    found = document(ROUTES, [("shop", route("/shop", method="POST", handler=take))], "x")
    operation = found["paths"]["/shop"]["post"]
    query = {each["name"]: each["schema"] for each in operation["parameters"]}
    body = found["components"]["schemas"]["shop.Order"]["properties"]
    for said in (query, body):
        assert {"minimum": 1, "exclusiveMaximum": 9}.items() <= said["number"].items()
        assert {"minLength": 1, "maxLength": 9}.items() <= said["name"].items()
        assert said["tags"]["maxItems"] == 3
        assert said["size"]["enum"] == ["m", "s"]
        assert said["code"]["pattern"] == "^([a-z][0-9]+)$"
        assert said["odd"].keys() <= {"type", "default"}
    assert {"exclusiveMinimum": 0, "maximum": 1}.items() <= query["share"].items()
    number, nothing = sorted(body["share"]["anyOf"], key=len, reverse=True)
    assert number == {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    assert nothing == {"type": "null"}
    assert "Minimum" not in str(body["when"])
    from openapi_spec_validator import validate

    validate(json.loads(encode(found)))


def test_plugins_do_not_change_the_document_of_the_core() -> None:
    """What the document says of the core is the same with and without a plugin's routes."""
    from tocsin.core.http.openapi import document

    alone = document(ROUTES, [], "x")
    with_shelf = document(ROUTES, [("shelf", route) for route in placed_routes()], "x")
    for part, whole in (
        (alone["paths"], with_shelf["paths"]),
        (alone["components"]["schemas"], with_shelf["components"]["schemas"]),
    ):
        assert part == {name: whole[name] for name in part}
        assert len(whole) > len(part)


def placed_routes() -> list[Route]:
    return [route for _, route in manager(shelf=Shelf()).routes]


def manager(**plugins: object) -> PluginManager:
    made = PluginManager(PluginSettings(), discover=tuple)
    for name, plugin in plugins.items():
        made.add(name, lambda plugin=plugin: plugin, "tests", "0")  # type: ignore[misc]
    return made


def offering(*offered: object) -> object:
    class Plugin:
        @hookimpl
        def tocsin_routes(self) -> Any:
            return list(offered)

    return Plugin()


def route(path: str = "x", **fields: Any) -> Route:
    fields = {"method": "GET", "role": Role.VIEWER, "handler": worst, **fields}
    return Route(path=path, **fields)


@pytest.mark.parametrize(
    "bad", ["x/", "a//b", "", "/", "a b", "{}", "x?y", "//x", "..", "a/../b", "{1}", "{a:.*}"]
)
def test_a_bad_path_is_refused(bad: str) -> None:
    """A path consists of names and variables between slashes."""
    with pytest.raises(ValueError, match="names and {variables}"):
        route(bad)


async def too_much(request: Request, extra: int) -> None:
    """Take what no handler gets."""


async def untyped(request: Request, query) -> None:  # type: ignore[no-untyped-def]
    """Take a query of no type."""


async def plain_type(request: Request, query: int) -> None:
    """Take a query that is no class of parameters."""


async def takes_body(request: Request, body: Thing) -> None:
    """Take a body."""


async def unresolved(request: Request) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    """Answer what does not exist."""


async def nothing() -> None:
    """Take no request."""


def not_async(request: Request) -> None:
    """Answer without async."""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "FETCH"}, "method 'FETCH' must be one of GET"),
        ({"role": "viewer"}, "role 'viewer' must be a Role"),
        ({"media": "text/plain\r\nX: y"}, "must be a media type"),
        ({"path": "{a}/{a}"}, "two variables of the same name"),
        ({"handler": too_much}, "only 'query', 'body' and 'view'"),
        ({"handler": untyped}, "annotate 'query' of untyped with an attrs class"),
        ({"handler": plain_type}, "annotate 'query' of plain_type with an attrs class"),
        ({"handler": takes_body}, "a GET has no body"),
        ({"handler": takes_body, "method": "DELETE"}, "a DELETE has no body"),
        ({"handler": unresolved}, "annotations of unresolved cannot be read"),
        ({"handler": nothing}, "no parameter for the request"),
        ({"handler": not_async}, "is not async"),
        ({"handler": partial(worst)}, "annotations of .* cannot be read"),
    ],
)
def test_a_bad_declaration_is_refused(fields: dict[str, Any], words: str) -> None:
    """A wrong method, role, media type or handler is refused where it is declared, with a sentence
    that says what to write."""
    with pytest.raises(ValueError, match=words):
        route(**fields)


async def answers_class(request: Request) -> type:
    """Answer what is no JSON."""
    return int


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        ((7,), "not a Route"),
        ((route("x/{a}"), route("x/{b}")), "has two routes GET x/{}"),
        ((route(role=None),), "has the route GET x without a role"),
        ((route(handler=answers_class),), "GET x with a type that JSON cannot express"),
        ((route("/{any}/x"),), "whose top-level path begins with a variable"),
        ((route("/api/v1/x"),), "has the route GET /api/v1/x, but /api belongs to tocsin itself"),
        ((route("/health"),), "but /health belongs to tocsin itself"),
    ],
)
def test_routes_that_cannot_be_served_mark_the_plugin_failed(
    offered: tuple[object, ...], reason: str
) -> None:
    """The plugin is failed with a sentence that names the route, and nothing of it is served."""
    made = manager(p=offering(*offered))
    assert made.records[0].status == "failed"
    assert reason in str(made.records[0].reason)
    assert made.routes == []


def test_a_name_that_no_path_can_hold_is_refused() -> None:
    """The name of a plugin with routes is a part of their paths."""
    for name in ("odd name", ".."):
        assert "its name" in str(manager(**{name: offering(route())}).records[0].reason)


def test_a_top_level_path_belongs_to_the_first_plugin() -> None:
    """A top-level path is served as it is declared. A plugin that comes later and uses its first
    segment is failed with a sentence that names both."""
    made = manager(
        first=offering(route("/badges/{name}"), route("x")),
        second=offering(route("/badges")),
        third=offering(route("/badges.svg")),
    )
    first, second, third = made.records
    assert (first.status, third.status) == ("ok", "ok")
    assert second.reason == "has the route GET /badges, but /badges belongs to plugin 'first'"
    assert [(plugin, route.path) for plugin, route in made.routes] == [
        ("first", "/badges/{name}"), ("first", "/api/v1/plugins/first/x"),
        ("third", "/badges.svg"),
    ]  # fmt: skip
    assert made.missing("second") == f"plugin 'second' {second.reason}"


def test_the_roots_of_the_core_are_those_of_its_routes() -> None:
    """What plugins are refused is what the core serves."""
    assert {route.path.split("/")[1] for route in ROUTES} == CORE_ROOTS


def test_a_plugin_of_the_old_interface_is_told_what_to_change() -> None:
    """tocsin_endpoints is refused with the name of the new hook; so is the import of Endpoint."""

    class Old:
        @hookimpl
        def tocsin_endpoints(self) -> list[object]:
            return []

    def load() -> object:
        return getattr(tocsin, "Endpoint")  # noqa: B009 - as an import of it does

    made = manager(old=Old())
    made.add("older", load, "tests", "0")
    for found in made.records:
        assert found.status == "failed"
        assert "implement tocsin_routes() -> Sequence[Route]" in str(found.reason)
        assert "query and body as parameters of the handler" in str(found.reason)


async def silent(request: Request) -> AsyncIterator[str]:
    """Yield nothing for long."""
    await asyncio.sleep(3600)
    yield ""


async def numbers(request: Request) -> AsyncIterator[str]:
    """Count."""
    for n in range(10):
        yield f"{n}\n"


async def undocumented(request: Request) -> None:
    pass


async def test_the_conformance_suite_of_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite returns a good answer, None for a refusal and the first chunks of a stream; it
    names what is wrong with the others."""
    monkeypatch.setattr("tocsin.core.testing.route.PATIENCE", 0.1)
    request = Request(actor="a", role=Role.VIEWER, path={"why": "busy"})
    assert await check_route_conformance(route()) == []
    assert await check_route_conformance(route(handler=refuse), request) is None
    echoed = await check_route_conformance(route(handler=views), query=FindQuery(limit=3))
    assert echoed == [{"limit": 3, "role": "viewer"}]
    assert await check_route_conformance(route(handler=page, media="text/plain")) == b"\xc3\xbc 0"
    chunks = await check_route_conformance(route(handler=numbers, media="text/plain"))
    assert chunks == [b"0\n", b"1\n", b"2\n"]
    wrong: list[tuple[Handler, str]] = [
        (undocumented, "no docstring"), (answers_class, "is not JSON"),
    ]  # fmt: skip
    for handler, words in wrong:
        with pytest.raises(AssertionError, match=words):
            await check_route_conformance(route(handler=handler))
    with pytest.raises(AssertionError, match="yielded nothing"):
        await check_route_conformance(route(handler=silent, media="text/plain"))
    with pytest.raises(AssertionError, match="another type than it declares"):
        await check_route_conformance(route(handler=misbehave), query=HowQuery(how="untrue"))
