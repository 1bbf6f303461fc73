"""Validation of what plugins hand over: types, finite numbers, sizes. Done once, at the entry.

Validation runs where the plugin's code runs, since reading the plugin's tables and texts may run
its code. An invalid part that is not essential is left out, and a clause describes it, so that an
invalid metric does not prevent an alert. If nothing usable remains, :class:`PluginFault` is raised.
Removal of secrets and control characters is done by ``core.boundary``.
"""

from __future__ import annotations

from tocsin.core.shapes.answers import fit_answer, fit_chunk
from tocsin.core.shapes.classes import check_class, check_instance
from tocsin.core.shapes.findings import fit_findings
from tocsin.core.shapes.look import is_name, is_number, show
from tocsin.core.shapes.methods import check_methods, fit_opened
from tocsin.core.shapes.reports import (
    fit_discovered,
    fit_happened,
    fit_observed,
    fit_retired,
    fit_synced,
)
from tocsin.core.shapes.results import (
    fit_reason,
    fit_receipt,
    fit_result,
    fit_trouble,
    fit_verdict,
)
from tocsin.core.shapes.sources import (
    fit_claim,
    fit_document,
    fit_event,
    fit_lines,
    fit_names,
    fit_own_name,
    fit_tables,
    fit_target,
    fit_time,
)

__all__ = [
    "check_class", "check_instance", "check_methods", "fit_answer", "fit_chunk", "fit_claim",
    "fit_discovered", "fit_document", "fit_event", "fit_findings", "fit_happened", "fit_lines",
    "fit_names", "fit_observed", "fit_opened", "fit_own_name", "fit_reason", "fit_receipt",
    "fit_result", "fit_retired", "fit_synced", "fit_tables", "fit_target", "fit_time",
    "fit_trouble", "fit_verdict", "is_name", "is_number", "show",
]  # fmt: skip
