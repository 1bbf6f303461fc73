"""Durations and sizes of any length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tocsin import format_bytes, parse_duration, parse_size
from tocsin.core.units import time_zone

ODD: tuple[object, ...] = (
    "9" * 5_000, "9" * 400, "9" * 200_000 + "x", "1m" * 50_000, "1" + " " * 200_000 + "s", "1e400",
    "nan", "inf", "-1", "", "s", 10**5_000, -1, True, None, [], "1" * 5_000 + "GB",
)  # fmt: skip


@pytest.mark.parametrize("parse", [parse_duration, parse_size])
@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_what_is_no_quantity_is_refused_at_once(
    parse: Callable[[object], float], text: object
) -> None:
    """In a short sentence that says how to write one, whatever it is: a label may hold anything."""
    began = time.thread_time()
    with pytest.raises(ValueError, match=r"is (not a (duration|size)|negative); write") as caught:
        parse(text)
    assert len(str(caught.value)) < 250
    assert time.thread_time() - began < 1.0


def test_quantities_are_read() -> None:
    """Numbers and texts, with units or without."""
    assert [parse_duration(x) for x in (30, "30", "1h30m", "1.5d")] == [30, 30, 5400, 129600]
    assert [parse_size(x) for x in (10, "500MB", "2GiB")] == [10, 500_000_000, 2**31]


def test_sizes_are_written() -> None:
    """In steps of 1024 or 1000, with one decimal but for bytes; the largest unit takes the rest."""
    sizes = (0, 999, 1000, 1024, -1536, 1.4e9, 5e15)
    assert [format_bytes(size) for size in sizes] == [
        "0 B", "999 B", "1000 B", "1.0 KiB", "-1.5 KiB", "1.3 GiB", "4547.5 TiB",
    ]  # fmt: skip
    assert [format_bytes(size, 1000) for size in sizes] == [
        "0 B", "999 B", "1.0 kB", "1.0 kB", "-1.5 kB", "1.4 GB", "5000.0 TB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["a." * 2000, "../../etc/passwd", "/etc/localtime", "", "a\0", "é"]
)
def test_a_time_zone_is_a_name_of_the_database(name: str) -> None:
    """Nothing else is looked up, as a file or as a package."""
    assert time_zone("Europe/Berlin").key == "Europe/Berlin"
    with pytest.raises(ValueError, match="no time zone .*; write one"):
        time_zone(name)
