"""The graph of dependencies between targets; cycles are allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Graph:
    """Dependencies between targets. Edges are set one by one; closures are computed when asked for.

    A dependency is on a service: a target that depends on it, or on one of its instances, depends
    on all of its instances together.
    """

    def __init__(self) -> None:
        self._up: dict[str, tuple[str, ...]] = {}
        self._down: dict[str, set[str]] = {}
        self._service: dict[str, str] = {}
        self._replicas: dict[str, frozenset[str]] = {}
        self._above: dict[str, frozenset[str]] = {}
        self._below: dict[str, frozenset[str]] = {}

    def put(self, name: str, depends_on: Iterable[str], service: str | None = None) -> bool:
        """Set a target's dependencies and the service that it is an instance of; return whether
        that changed anything."""
        wanted = tuple(other for other in depends_on if other != name)
        if (self._up.get(name, ()), self._service.get(name)) == (wanted, service):
            return False
        if (before := self._service.pop(name, None)) is not None:
            left = self._replicas.pop(before) - {name}
            self._replicas |= {before: left} if left else {}
        if service is not None:
            self._service[name] = service
            self._replicas[service] = self._replicas.get(service, frozenset()) | {name}
        for other in self._up.pop(name, ()):
            self._down[other].discard(name)
        if wanted:
            self._up[name] = wanted
            for other in wanted:
                self._down.setdefault(other, set()).add(name)
        self._above.clear()
        self._below.clear()
        return True

    def replicas(self, name: str) -> frozenset[str]:
        """Return all instances of a target's service, including the target."""
        service = self._service.get(name)
        return frozenset((name,)) if service is None else self._replicas[service]

    def _whole(self, name: str) -> frozenset[str]:
        """Return a service and all of its instances, by the name of any of them."""
        service = self._service.get(name, name)
        return self._replicas.get(service, frozenset()) | {service, name}

    def above(self, name: str) -> frozenset[str]:
        """Return all that a target's service depends on, directly or indirectly, without itself.
        For an instance, this includes its service."""
        if (known := self._above.get(name)) is None:
            own = self.replicas(name) if name in self._service else self._whole(name)
            known = self._above[name] = self._closure(own, self._up) - own
        return known

    def below(self, name: str) -> frozenset[str]:
        """Return all targets that depend on a target's service, directly or indirectly, without
        itself."""
        if (known := self._below.get(name)) is None:
            own = self._whole(name)
            known = self._below[name] = self._closure(own, self._down) - own
        return known

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return the dependents of a target's service, sorted, with services in place of their
        instances."""
        return tuple(sorted(other for other in self.below(name) if other not in self._service))

    def _closure(self, names: Iterable[str], edges: Mapping[str, Iterable[str]]) -> frozenset[str]:
        seen: set[str] = set()
        front = list(names)
        while front:
            for other in edges.get(front.pop(), ()):
                for each in self._whole(other):
                    if each not in seen:
                        seen.add(each)
                        front.append(each)
        return frozenset(seen)
