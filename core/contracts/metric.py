"""The description of a metric by the plugin that measures it."""

from __future__ import annotations

import re
from enum import StrEnum

from attrs import field, frozen


class MetricKind(StrEnum):
    """How a metric behaves.

    Attributes:
        GAUGE: it rises and falls.
        COUNTER: it only rises, until it starts again at 0.
    """

    GAUGE = "gauge"
    COUNTER = "counter"


def _check_family(metric: Metric, _: object, family: str | None) -> None:
    if family is None:
        return
    if not re.fullmatch(r"(?!tocsin_)[a-z_][a-z0-9_]*", family, re.ASCII):
        raise ValueError(
            f"family {family!r} must consist of a-z, 0-9 and _, and must not begin with tocsin_"
        )
    if (metric.kind is MetricKind.COUNTER) != family.endswith("_total"):
        raise ValueError(f"family {family!r}: names of counters, and no others, end with _total")


@frozen(kw_only=True)
class Metric:
    """What a metric means. Its name is the key under which results have it.

    Attributes:
        help: what it is, as a sentence.
        unit: such as ``seconds``, ``bytes``, ``percent``; "" for a plain number.
        kind: whether it also falls.
        family: name of a metric family of its own on ``/metrics``, with the labels target and
            check; None: it is a sample of ``tocsin_check_metric`` only.

    Raises:
        ValueError: the family is no name of a family.
    """

    help: str
    unit: str = ""
    kind: MetricKind = MetricKind.GAUGE
    family: str | None = field(default=None, validator=_check_family)
