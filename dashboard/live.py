"""Lists of the API that are read once and then updated with their changes only."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from tocsin.dashboard.client import Api

MOST = 1000
"""Maximum number of items kept of a list; if there are more, the API does the search."""


@define
class LiveList:
    """A list of the API (``containers``, ``targets``), updated by one request per refresh.

    Attributes:
        path: path of the list.
        filters: further query parameters, the same in each request.
        query: the names' search term of the last refresh.
        total: number of matching items, including those that are not kept.
        items: the items by name.
        revision: revision of the list, from which the next refresh requests changes.
    """

    path: str
    filters: dict[str, Any] = field(factory=dict)
    query: str | None = None
    total: int = 0
    items: dict[str, Any] = field(factory=dict)
    revision: str | None = None

    def refresh(self, api: Api, query: str | None = None) -> dict[str, Any]:
        """Apply the changes since the last refresh and return the items by name.

        Args:
            api: the API.
            query: text that the names must contain; None for all.

        Raises:
            ApiError: the API refused the request or did not answer.
        """
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
        # Changes that did not fit into one answer are not sent again: read the whole list next.
        self.revision = None if answer["next"] and not answer["whole"] else answer["revision"]
        return self.items
