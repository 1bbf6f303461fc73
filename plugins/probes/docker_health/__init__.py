"""The docker-health source: every container of a Docker Engine, event-driven.

Reading order: ``source`` (options), ``watch`` (the life of a connection), ``engine`` (the blocking
SDK, run on threads) and ``errors``, ``stream`` (the event stream) and ``events`` (what an event
changes), ``inspecting`` (queries about one container), ``reconciler`` (the inventory of all
containers), ``containers`` (what is known about one), ``registry`` (which container is which
target, also across redeploys), ``redeploys`` (ends that are held back, targets that are retired),
``services``, ``replicas`` and ``aggregation`` (several containers as one target), ``reasons``,
``facts`` and ``output`` (pure functions: what an inspect document means), ``stats`` and
``sampling`` (CPU, memory, network), ``telling`` (reports to the core), ``labels`` and
``addresses``, ``actions`` and ``tail``, ``diagnosis`` (``tocsin doctor``).
"""

from __future__ import annotations

from tocsin import REPLICATED, DoctorCheck, Panel, PanelChart, PanelCurve, Source, hookimpl
from tocsin.plugins.probes.docker_health.diagnosis import check_engines
from tocsin.plugins.probes.docker_health.source import DockerSource


@hookimpl
def tocsin_sources() -> dict[str, type[Source]]:
    """Return the source of this plugin by its name."""
    return {"docker-health": DockerSource}


@hookimpl
def tocsin_panels() -> tuple[Panel, ...]:
    """Return the panels of containers, and of services with several containers."""
    return (
        Panel(
            name="usage", title="Resource usage", kinds=("container",),
            charts=(
                PanelChart(title="CPU", curves=(PanelCurve(metric="cpu_percent"),)),
                PanelChart(
                    title="Memory", curves=(PanelCurve(metric="memory_bytes"),),
                    limit="memory_limit_bytes",
                ),
                PanelChart(
                    title="Network", per_second=True,
                    curves=(
                        PanelCurve(metric="network_rx_bytes", label="Received"),
                        PanelCurve(metric="network_tx_bytes", label="Sent", below=True),
                    ),
                ),
            ),
        ),
        Panel(
            name="replicas", title="Replicas", kinds=(REPLICATED,),
            charts=(
                PanelChart(
                    title="Replicas",
                    curves=(
                        PanelCurve(metric="replicas", label="All"),
                        PanelCurve(metric="replicas_down", label="Down"),
                    ),
                ),
            ),
        ),
    )  # fmt: skip


@hookimpl
def tocsin_doctor() -> list[DoctorCheck]:
    """Return the check of the engines."""
    return [DoctorCheck(name="docker", handler=check_engines)]
