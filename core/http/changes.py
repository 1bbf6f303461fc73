"""Selection of the targets that changed since a client's last request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.http.paging import PageQuery, page
from tocsin.core.state import LiveState, TargetState

Revision = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        description="The ``revision`` of an earlier answer: only what has changed since is given.",
    ),
]


@frozen(kw_only=True)
class ChangesQuery(PageQuery):
    """A page of a list that is sorted by name: all of it, or what has changed in it.

    With the ``revision`` of an earlier answer as ``since``, only items that changed after it are
    returned and ``whole`` is false: remove the items named by ``removed`` from your copy, then add
    or replace ``items``. If the revision is unknown, too old, or from another run of tocsin,
    everything is returned and ``whole`` is true. Over several pages, keep the revision of the first
    one.
    """

    since: Revision | None = None


@frozen(kw_only=True)
class Changes:
    """The selected part of a list, and what the client needs for its next request.

    ``total`` counts all matches, changed or not; ``next`` is the cursor of the next page, None on
    the last one. See :class:`ChangesQuery` for ``revision``, ``whole`` and ``removed``.
    """

    states: list[TargetState]
    total: int
    next: str | None
    revision: str
    whole: bool
    removed: list[str]


def select(
    live: LiveState,
    query: ChangesQuery,
    scope: Callable[[TargetState], bool],
    matches: Callable[[TargetState], bool],
) -> Changes:
    """Select the targets in ``scope`` that match, or those of them that changed.

    Args:
        live: the current state.
        query: page and revision that the client asks for.
        scope: filter on properties that a target never changes (name, kind).
        matches: filter on properties that may change with each result. A target that changed and no
            longer matches is listed in ``removed``.
    """
    number = _number(live, query.since)
    gone = None if number is None else live.removed_since(number)
    inside = [state for state in live if scope(state)]
    chosen = [state for state in inside if matches(state)]
    total = len(chosen)
    if number is not None and gone is not None:
        kept = {state.target.name for state in chosen}
        chosen = [state for state in chosen if state.revision > number]
        gone += [
            state.target.name
            for state in inside
            if state.revision > number and state.target.name not in kept
        ]
    states, after = page(chosen, lambda s: s.target.name, query.limit, query.cursor)
    return Changes(
        states=states,
        total=total,
        next=after,
        revision=f"{live.epoch}-{live.revision}",
        whole=gone is None,
        removed=sorted(set(gone or ())),
    )


def _number(live: LiveState, since: str | None) -> int | None:
    """Return the number in a revision of this process; None for any other text."""
    epoch, _, number = (since or "").partition("-")
    known = epoch == live.epoch and number.isascii() and number.isdigit() and len(number) < 19
    return int(number) if known else None
