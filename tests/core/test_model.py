"""What is said of a container as numbers."""

from __future__ import annotations

from tocsin import Container, Reason
from tocsin.core.contracts.container import CONTAINER_METRICS
from tocsin.plugins.history.batch import KEPT_METRICS


def test_a_containers_metrics_are_the_facts_that_name_a_unit() -> None:
    """What is not known is left out; a code or a text is no metric; history keeps all but a limit,
    which the configuration of a container says."""
    facts = Container(
        id="1", image="i", state="exited", reason=Reason.CRASHED, exit_code=1, memory_bytes=0
    )
    assert facts.metrics == {"memory_bytes": 0.0, "restart_count": 0.0}
    assert set(CONTAINER_METRICS) == {
        "cpu_percent", "memory_bytes", "memory_limit_bytes", "memory_percent", "network_rx_bytes",
        "network_tx_bytes", "restart_count",
    }  # fmt: skip
    assert set(CONTAINER_METRICS) - set(KEPT_METRICS) == {"memory_limit_bytes"}
