"""What the metrics of the probes and sources mean."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin import Metric, MetricKind

CONNECT = Metric(help="How long the connection took to open.", unit="seconds")
EXPIRY = Metric(help="Time until the certificate expires.", unit="days")

HTTP: Mapping[str, Metric] = {
    "dns_seconds": Metric(help="How long the host name took to resolve.", unit="seconds"),
    "connect_seconds": Metric(
        help="How long the connection took to open, TLS included.", unit="seconds"
    ),
    "first_byte_seconds": Metric(
        help="Time from the request to the first byte of the answer.", unit="seconds"
    ),
    "total_seconds": Metric(help="How long the request took.", unit="seconds"),
    "http_status_code": Metric(help="The status code of the answer."),
    "body_bytes": Metric(help="Size of the body of the answer.", unit="bytes"),
    "certificate_expiry_days": EXPIRY,
}

TCP: Mapping[str, Metric] = {
    "connect_seconds": CONNECT,
    "tls_seconds": Metric(help="How long the TLS handshake took.", unit="seconds"),
    "certificate_expiry_days": EXPIRY,
}

POSTGRES: Mapping[str, Metric] = {
    "connect_seconds": CONNECT,
    "query_seconds": Metric(help="How long the query took.", unit="seconds"),
    "value": Metric(help="The first value of the first row."),
}

DISK: Mapping[str, Metric] = {
    "disk_free_percent": Metric(
        help="Free space of the fullest of the file systems.", unit="percent"
    ),
    "disk_free_bytes": Metric(help="Least free space of the file systems.", unit="bytes"),
    "disk_total_bytes": Metric(help="Size of the fullest of the file systems.", unit="bytes"),
    "inodes_free_percent": Metric(
        help="Free inodes of the file system with the fewest.", unit="percent"
    ),
}

BACKUP: Mapping[str, Metric] = {
    "files": Metric(help="Number of backup files."),
    "newest_age_seconds": Metric(help="Age of the newest backup file.", unit="seconds"),
    "newest_size_bytes": Metric(help="Size of the newest backup file.", unit="bytes"),
}
"""With ``files``; those of a program are its own."""

HEARTBEAT: Mapping[str, Metric] = {
    "heartbeat_age_seconds": Metric(help="Time since the last report of the job.", unit="seconds"),
}
"""Besides those that the job reports."""

DOCKER: Mapping[str, Metric] = {
    "cpu_percent": Metric(help="CPU in use; 100 is one core.", unit="percent"),
    "memory_bytes": Metric(help="Memory in use, less inactive file cache.", unit="bytes"),
    "memory_limit_bytes": Metric(help="Memory limit.", unit="bytes"),
    "memory_percent": Metric(help="Memory in use, of its limit.", unit="percent"),
    "network_rx_bytes": Metric(help="Bytes received.", unit="bytes", kind=MetricKind.COUNTER),
    "network_tx_bytes": Metric(help="Bytes sent.", unit="bytes", kind=MetricKind.COUNTER),
    "restart_count": Metric(
        help="Restarts by the engine since the creation of the container.",
        kind=MetricKind.COUNTER,
    ),
    "uptime_seconds": Metric(help="Time since the container was started.", unit="seconds"),
    "oom_kills": Metric(help="Processes that were killed recently for lack of memory."),
    "replicas": Metric(help="Containers of the service."),
    "replicas_down": Metric(help="Containers of the service that are down."),
}
