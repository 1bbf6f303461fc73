"""``/api/v1/me``: the caller's own token."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from tocsin.core.contracts.route import Role, Routes
from tocsin.core.http.routing import Call

routes = Routes()


@frozen(kw_only=True)
class MeView:
    """The caller's token: its name, role and expiry (null: it does not expire)."""

    name: str
    role: Role
    expires_at: datetime | None


@routes.get("/api/v1/me")
async def me(call: Call) -> MeView:
    """Return the name, role and expiry of the token that was sent."""
    if call.who is None:
        raise AssertionError("this route asks for a token")
    return MeView(name=call.who.name, role=call.who.role, expires_at=call.who.expires_at)
