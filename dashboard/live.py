"""Lists that are read once, and then only what changed in them."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from tocsin.dashboard.client import Api

MOST = 1000
"""Items of a list that are kept; past them, the search looks among all."""


@define
class LiveList:
    """One list of the API (``containers``, ``targets``) as it stands, in one request each time.

    ``filters`` are more of the API's own, and stay.
    """

    path: str
    filters: dict[str, Any] = field(factory=dict)
    query: str | None = None
    total: int = 0
    items: dict[str, Any] = field(factory=dict)
    revision: str | None = None

    def refresh(self, api: Api, query: str | None = None) -> dict[str, Any]:
        """Take in what changed. ``query``: only names that contain this. Raises ApiError."""
        if query != self.query:
            self.query, self.revision = query, None
        answer = api.get(self.path, limit=MOST, since=self.revision, q=query,
                         **self.filters)  # fmt: skip
        if answer["whole"]:
            self.items = {}
        for name in answer["removed"]:
            self.items.pop(name, None)
        for item in answer["items"]:
            self.items[item["name"]] = item
        self.total = answer["total"]
        # What did not fit into one answer would never be sent again: read the whole list again.
        self.revision = None if answer["next"] and not answer["whole"] else answer["revision"]
        return self.items
