"""Pagination: ``limit`` items after a ``cursor``, the key of the previous page's last item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from attrs import frozen

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="Items on a page.")]
_NEXT = "The ``next`` of the previous page."
NameCursor = Annotated[str, msgspec.Meta(max_length=500, description=_NEXT)]
IdCursor = Annotated[UUID, msgspec.Meta(description=_NEXT)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
T = TypeVar("T")


@frozen(kw_only=True)
class PageQuery:
    """The list is sorted by name and returned in pages."""

    limit: Limit = 100
    cursor: NameCursor | None = None


@frozen(kw_only=True)
class NewestQuery:
    """The list is sorted by time, newest first, and returned in pages."""

    limit: Limit = 100
    cursor: IdCursor | None = None


def page(
    items: Sequence[T], key: Callable[[T], str], limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """Return one page of ``items``, sorted by ``key``, and the cursor of the next page.

    Args:
        items: the whole list, in any order.
        key: returns the unique sort key of an item.
        limit: most items on the page.
        cursor: key of the last item of the previous page; None for the first page.

    Returns:
        The items of the page, and the next cursor, None on the last page.
    """
    ordered = sorted(items, key=key)
    if cursor is not None:
        ordered = [item for item in ordered if key(item) > cursor]
    chosen = ordered[:limit]
    more = len(ordered) > limit
    return chosen, key(chosen[-1]) if more and chosen else None
