"""Removal of what must not be shown: secrets, and characters that do harm.

Everything that comes from outside (results, events, log lines, texts of exceptions, people's input)
passes :func:`clean` or :func:`clean_data` once, where it enters the core, so that all that is
stored, shown and sent is clean. Reading order: ``names``, ``characters``, ``known``, ``mask``,
``arguments``, ``shapes``, ``escaped``, ``data``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.core.lazy import on_demand

if TYPE_CHECKING:
    from tocsin.core.hiding.characters import is_plain, visible
    from tocsin.core.hiding.data import clean_arguments, clean_data
    from tocsin.core.hiding.escaped import look_for
    from tocsin.core.hiding.known import Known, parts_of
    from tocsin.core.hiding.names import HIDDEN, is_secret_name
    from tocsin.core.hiding.text import LONGEST, are_plain, clean, hide, know
else:
    __getattr__ = on_demand(
        __name__,
        {
            "characters": "is_plain visible",
            "data": "clean_arguments clean_data",
            "escaped": "look_for",
            "known": "Known parts_of",
            "names": "HIDDEN is_secret_name",
            "text": "LONGEST are_plain clean hide know",
        },
    )

__all__ = [
    "HIDDEN",
    "LONGEST",
    "Known",
    "are_plain",
    "clean",
    "clean_arguments",
    "clean_data",
    "hide",
    "is_plain",
    "is_secret_name",
    "know",
    "look_for",
    "parts_of",
    "visible",
]
