"""Checks what targets refer to: other targets, and sources."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tocsin.core.config.errors import Problems
from tocsin.core.config.settings import SourceSettings, TargetSettings
from tocsin.core.config.suggest import closest, did_you_mean


def check_references(
    targets: Mapping[str, TargetSettings],
    sources: Mapping[str, SourceSettings],
    problems: Problems,
    warnings: list[str],
) -> None:
    """Warn of unknown names, and reject circular dependencies.

    An unknown name is only a warning, since containers are discovered later. In a circle each alert
    would be inhibited by the others, and none would be notified.
    """
    for target in targets.values():
        for other in target.depends_on or ():
            if other not in targets:
                close = closest(other, targets)
                hint = f"did you mean {close!r}?" if close else "it counts once a source finds it"
                warnings.append(
                    f"target {target.name!r} depends on {other!r}, which is not declared; {hint}"
                )
        if target.enabled and target.source is not None and target.source not in sources:
            warnings.append(
                f"target {target.name!r} names the source {target.source!r}, "
                f"which does not run; {did_you_mean(target.source, sources)}"
            )
    for circle in circles({target.name: target.depends_on or () for target in targets.values()}):
        path = ("targets", circle[0], "depends_on")
        chain = " → ".join((*circle, circle[0]))
        problems.add(path, f"targets cannot depend on each other in a circle: {chain}")


def circles(edges: Mapping[str, Collection[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the circles of a directed graph, each once, from the first member that was visited.

    This is a depth-first search, without recursion, that finds a circle at each edge back to a node
    on its current path.
    """
    done: set[str] = set()
    for start in edges:
        path: dict[str, Iterator[str]] = {}
        if start not in done:
            path[start] = iter(edges[start])
        while path:
            node, rest = next(reversed(path.items()))
            other = next(rest, None)
            if other is None:
                done.add(node)
                del path[node]
            elif other in path:
                names = list(path)
                yield tuple(names[names.index(other) :])
            elif other in edges and other not in done:
                path[other] = iter(edges[other])
