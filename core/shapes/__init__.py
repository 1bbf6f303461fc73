"""What plugins hand over, looked at once, where it enters: types, finite numbers, sizes.

It is looked at where the plugin's own code runs, since its tables and texts may be code as well.
Where a part is wrong that the rest can do without, that part is left out, and a clause says what
was wrong with it: a metric that is no number does not keep an alarm from ringing. Where nothing is
left, :class:`PluginFault` is raised. Secrets and control characters are the boundary's matter.
"""

from __future__ import annotations

from tocsin.core.shapes.classes import check_class, check_instance
from tocsin.core.shapes.look import is_name, is_number, show
from tocsin.core.shapes.results import fit_receipt, fit_result, fit_verdict
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
    "check_class", "check_instance", "fit_claim", "fit_document", "fit_event", "fit_lines",
    "fit_names", "fit_own_name", "fit_receipt", "fit_result", "fit_tables", "fit_target",
    "fit_time", "fit_verdict", "is_name", "is_number", "show",
]  # fmt: skip
