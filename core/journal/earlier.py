"""State that earlier versions kept in separate files and that is in the journal now."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from tocsin.core.contracts.model import Heartbeat
from tocsin.core.logs import get_logger

log = get_logger(__name__)

HEARTBEATS = "heartbeats.json"


def beats_in(file: Path) -> dict[str, Heartbeat] | None:
    """Return the last heartbeats by key; None if there is no such file or it cannot be read.

    Read errors are logged, and a damaged file is renamed.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Heartbeat])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.warning("heartbeats could not be read", file=str(file), error=str(error))
        if not isinstance(error, OSError):
            with suppress(OSError):
                file.replace(f"{file}.broken")
        return None
