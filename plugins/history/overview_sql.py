"""SQL of the queries for the history of many targets."""

from __future__ import annotations

from datetime import datetime

from tocsin.plugins.history.batch import KEPT_METRICS
from tocsin.plugins.history.resolution_plan import ResolutionPlan


def bounds(plan: ResolutionPlan) -> list[datetime]:
    """Return the bounds of the pieces as parameters from $2 on; $1 are the checks' numbers."""
    return [at for piece in plan.pieces for at in (piece.since, piece.until)]


_PLACE = "floor(extract(epoch FROM at - {origin}::timestamptz) / {step}::float8)::int"
"""SQL for the number of the point that a row belongs to."""

_COUNTS = {
    "raw": "SELECT check_id, at, (status = 0)::int AS up, (status = 1)::int AS degraded, "
    "(status = 2)::int AS down, (status = 3)::int AS unknown FROM check_results",
    "rolled": "SELECT check_id, at, up, degraded, down, unknown FROM check_rollup_{resolution}",
}


def _counted(plan: ResolutionPlan) -> str:
    """Return SQL for all counts: check's number, time, up, degraded, down, unknown."""
    return " UNION ALL ".join(
        _COUNTS["raw" if piece.resolution == "raw" else "rolled"].format(
            resolution=piece.resolution
        )
        + _within("at", 2 + 2 * n)
        for n, piece in enumerate(plan.pieces)
    )


def available(plan: ResolutionPlan) -> str:
    """Return SQL with one row for each target: its name and its availability.

    Its parameters after the bounds: for each check the target, the interval in seconds, and the
    length of the target's points in seconds.
    """
    targets, every, lengths = _after(plan, 3)
    return (
        "WITH seen AS (SELECT target, check_id, floor(extract(epoch FROM at) / length) AS place, "
        "every / length AS one, length, sum(up + degraded + down)::float8 AS known, "
        "sum(down)::float8 AS down, sum(up + degraded + down + unknown)::float8 AS n "
        f"FROM ({_counted(plan)}) AS counted JOIN unnest($1::int[], {targets}::text[], "
        f"{every}::float8[], {lengths}::float8[]) AS c (check_id, target, every, length) "
        "USING (check_id) GROUP BY check_id, target, place, every, length), "
        "weighed AS (SELECT target, place, length, known, down, CASE WHEN "
        "place > min(place) OVER own AND place < max(place) OVER own "
        "THEN 1 ELSE least(1, n * one) END / n AS weight "
        "FROM seen WINDOW own AS (PARTITION BY check_id)) "
        "SELECT target, 1 - sum(length * down) / nullif(sum(length * known), 0) AS share "
        "FROM ("
        "SELECT target, length, max(weight * known) AS known, max(weight * down) AS down "
        "FROM weighed GROUP BY target, place, length) AS points GROUP BY target"
    )


def uptimes(plan: ResolutionPlan) -> str:
    """Return SQL with one row for each check: the numbers of its points, and the counts of each.

    Its parameters after the bounds: the origin of the grid, and its step in seconds.
    """
    rows = _counted(plan)
    origin, step = _after(plan, 2)
    place = _PLACE.format(origin=origin, step=step)
    return (
        f"SELECT check_id, array_agg(place), array_agg(counts) FROM (SELECT check_id, {place} "
        "AS place, ARRAY[sum(up), sum(degraded), sum(down), sum(unknown)]::int[] AS counts "
        f"FROM ({rows}) AS seen GROUP BY 1, 2) AS folded GROUP BY 1"
    )


def ranking(plan: ResolutionPlan, metric: str) -> str:
    """Return SQL for the targets with the highest averages.

    Its parameters after the bounds: name of the metric, the target of each check, and how many.
    """
    name, targets, top = _after(plan, 3)
    return (
        f"SELECT target FROM ({_seen(plan, metric, name)}) AS seen "
        f"JOIN unnest($1::int[], {targets}::text[]) AS c (check_id, target) USING (check_id) "
        f"GROUP BY 1 ORDER BY sum(n * mean) / sum(n) DESC, 1 LIMIT {top}::int"
    )


def points(plan: ResolutionPlan, metric: str) -> str:
    """Return SQL with one row for each point of each target.

    Columns: target, number of the point, number of results, average, maximum. Its parameters after
    the bounds: name of the metric, the target of each check, origin and step of the grid.
    """
    name, targets, origin, step = _after(plan, 4)
    place = _PLACE.format(origin=origin, step=step)
    return (
        f"SELECT target, {place}, sum(n), sum(n * mean) / sum(n), max(high) "
        f"FROM ({_seen(plan, metric, name)}) AS seen "
        f"JOIN unnest($1::int[], {targets}::text[]) AS c (check_id, target) USING (check_id) "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )


def _seen(plan: ResolutionPlan, metric: str, name: str) -> str:
    return " UNION ALL ".join(
        source
        for n, piece in enumerate(plan.pieces)
        for source in _values(piece.resolution, metric, name, 2 + 2 * n)
    )


def _after(plan: ResolutionPlan, count: int) -> list[str]:
    """Return the placeholders of the next parameters after the checks' numbers and the bounds."""
    first = 2 + 2 * len(plan.pieces)
    return [f"${first + n}" for n in range(count)]


def _values(resolution: str, metric: str, name: str, first: int) -> list[str]:
    """Return SQL for each place where values of a metric are stored.

    ``name`` is the placeholder of the metric's name, ``first`` the number of the parameter with the
    start of the time range.
    """
    if resolution != "raw":
        return [
            "SELECT check_id, at, stats[place][1] AS n, stats[place][3] AS mean, "
            f"stats[place][4] AS high FROM check_rollup_{resolution} JOIN (SELECT id, "
            f"array_position(names, {name}::text) AS place FROM metric_sets "
            f"WHERE {name}::text = ANY(names)) AS s ON s.id = metric_set" + _within("at", first)
        ]
    plain = "SELECT check_id, {at} AS at, 1::float8 AS n, v AS mean, v AS high FROM {table}, "
    value = f"(metrics->>{name}::text)::float8"
    if metric == "latency_seconds":
        value = f"COALESCE({value}, latency_seconds::float8)"
    found = [
        plain.format(at="at", table="check_results")
        + f"LATERAL (SELECT {value} AS v) AS value"
        + _within("at", first)
        + " AND v IS NOT NULL"
    ]
    if metric in KEPT_METRICS:  # one of tocsin's own names, so it is safe in SQL
        found.append(
            plain.format(at="timestamp", table="container_metrics")
            + f"LATERAL (SELECT {metric}::float8 AS v) AS value"
            + _within("timestamp", first)
            + " AND v IS NOT NULL"
        )
    return found


def _within(column: str, first: int) -> str:
    return (
        f" WHERE check_id = ANY($1::int[]) AND {column} >= ${first}::timestamptz "
        f"AND {column} < ${first + 1}::timestamptz"
    )
