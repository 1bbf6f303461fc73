"""Lists in pages: ``limit`` items after a ``cursor``."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from attrs import frozen

from tocsin.core.api.problems import Problem

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="Items on a page.")]
Cursor = Annotated[
    str, msgspec.Meta(max_length=500, description="The ``next`` of the page before.")
]
T = TypeVar("T")


@frozen(kw_only=True)
class PageQuery:
    """A page of a list."""

    limit: Limit = 100
    cursor: Cursor | None = None


def page(
    items: Sequence[T], key: Callable[[T], str], limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """The items after the cursor, in the order of their unique ``key``, and the next cursor."""
    ordered = sorted(items, key=key)
    if cursor is not None:
        after = decode(cursor)
        ordered = [item for item in ordered if key(item) > after]
    chosen = ordered[:limit]
    more = len(ordered) > limit
    return chosen, encode(key(chosen[-1])) if more and chosen else None


def encode(key: str) -> str:
    """A cursor that points behind a key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """The key. Raises Problem."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise Problem(422, "cursor: not one that this API gave") from error


def decode_as(cursor: str | None, kind: Callable[[str], Any]) -> Any:
    """A cursor's key as an id, None for none. Raises Problem."""
    if cursor is None:
        return None
    try:
        return kind(decode(cursor))
    except ValueError as error:
        raise Problem(422, "cursor: not one that this API gave") from error
