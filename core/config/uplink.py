"""The section ``[uplink]``: addresses that show whether the outside can be reached."""

from __future__ import annotations

from attrs import evolve

from tocsin.core.config.errors import Problems
from tocsin.core.config.scalars import MAX_PORT
from tocsin.core.config.settings import UplinkSettings


def check_uplink(uplink: UplinkSettings, problems: Problems) -> UplinkSettings:
    """Report addresses that are not ``host:port``, and correct a timeout out of range."""
    for index, address in enumerate(uplink.addresses):
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= MAX_PORT:
            message = (
                f"{address!r} must have the form host:port, such as '1.1.1.1:443' or '[::1]:53'"
            )
            problems.add(("uplink", "addresses", f"[{index}]"), message)
    if not 0 < uplink.timeout <= 30:
        problems.add(("uplink", "timeout"), "must be more than 0 s and at most 30 s")
        return evolve(uplink, timeout=3.0)
    return uplink
