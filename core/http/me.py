"""``/api/v1/me``: who is asking."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from tocsin.core.auth import Role
from tocsin.core.http.routing import Call, Routes

routes = Routes()


@frozen(kw_only=True)
class MeView:
    """The token that asks: its name, its role, and until when it is good (null: for good)."""

    name: str
    role: Role
    expires_at: datetime | None


@routes.get("/api/v1/me")
async def me(call: Call) -> MeView:
    """Show whose token this is, and what it may do."""
    if call.who is None:
        raise AssertionError("this route asks for a token")
    return MeView(name=call.who.name, role=call.who.role, expires_at=call.who.expires_at)
