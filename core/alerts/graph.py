"""Who depends on whom, over any number of steps; circles do no harm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Graph:
    """Dependencies between targets. Edges come and go; closures are worked out when asked for."""

    def __init__(self) -> None:
        self._up: dict[str, tuple[str, ...]] = {}
        self._down: dict[str, set[str]] = {}
        self._above: dict[str, frozenset[str]] = {}
        self._below: dict[str, frozenset[str]] = {}

    def put(self, name: str, depends_on: Iterable[str]) -> bool:
        """Set what a target depends on. True where that changed something."""
        wanted = tuple(other for other in depends_on if other != name)
        if self._up.get(name, ()) == wanted:
            return False
        for other in self._up.pop(name, ()):
            self._down[other].discard(name)
        if wanted:
            self._up[name] = wanted
            for other in wanted:
                self._down.setdefault(other, set()).add(name)
        self._above.clear()
        self._below.clear()
        return True

    def above(self, name: str) -> frozenset[str]:
        """All that a target depends on, directly or through others, without itself."""
        if (known := self._above.get(name)) is None:
            known = self._above[name] = _closure(name, self._up)
        return known

    def below(self, name: str) -> frozenset[str]:
        """All that depend on a target, directly or through others, without itself."""
        if (known := self._below.get(name)) is None:
            known = self._below[name] = _closure(name, self._down)
        return known


def _closure(name: str, edges: Mapping[str, Iterable[str]]) -> frozenset[str]:
    seen: set[str] = set()
    front = [name]
    while front:
        for other in edges.get(front.pop(), ()):
            if other not in seen:
                seen.add(other)
                front.append(other)
    return frozenset(seen - {name})
