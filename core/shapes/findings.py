"""Validation of what checks of the installation return."""

from __future__ import annotations

from tocsin.core.contracts.doctor import Finding, FindingStatus
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes.look import LONGEST_TEXT, is_name, show

MOST = 1000
"""Most findings of one check."""


def fit_findings(given: object) -> list[Finding]:
    """Return findings of a plugin.

    Raises:
        PluginFault: they are no list of findings.
    """
    if not isinstance(given, list | tuple) or len(given) > MOST:
        raise PluginFault(f"returned {show(given)}, no list of at most {MOST} findings")
    return [_fit(finding) for finding in given]


def _fit(given: object) -> Finding:
    if type(given) is not Finding or type(given.status) is not FindingStatus:
        raise PluginFault(f"returned {show(given)}, not a Finding")
    for text in (given.message, given.remedy):
        if not isinstance(text, str):
            raise PluginFault(f"returned a finding with {show(text)} as text")
    if given.subject is not None and not is_name(given.subject, 255):
        raise PluginFault(f"returned a finding about {show(given.subject)}, not one line of text")
    return Finding(
        status=given.status,
        message=str(given.message)[:LONGEST_TEXT],
        remedy=str(given.remedy)[:LONGEST_TEXT],
        subject=given.subject,
    )
