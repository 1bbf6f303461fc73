"""What the metrics of the probes mean."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin import Metric

Metrics = Mapping[str, Metric]

CONNECT = Metric(help="How long the connection took to open.", unit="seconds")
EXPIRY = Metric(help="Time until the certificate expires.", unit="days")
TLS_HANDSHAKE = Metric(help="How long the TLS handshake took.", unit="seconds")
STARTTLS = Metric(help="How long STARTTLS took, with the TLS handshake.", unit="seconds")
GREETING = Metric(help="Time until the greeting of the server.", unit="seconds")
LOGIN = Metric(help="How long the login took.", unit="seconds")

PING: Metrics = {
    "loss_percent": Metric(help="Requests without an answer.", unit="percent"),
    "rtt_seconds": Metric(help="Mean round-trip time.", unit="seconds"),
    "rtt_min_seconds": Metric(help="Shortest round-trip time.", unit="seconds"),
    "rtt_max_seconds": Metric(help="Longest round-trip time.", unit="seconds"),
}

DNS: Metrics = {
    "answer_count": Metric(help="Records in the answer."),
    "ttl_seconds": Metric(help="Shortest time to live of the records.", unit="seconds"),
}

TLS: Metrics = {
    "connect_seconds": CONNECT,
    "starttls_seconds": Metric(
        help="How long it took until the server was ready for TLS.", unit="seconds"
    ),
    "tls_seconds": TLS_HANDSHAKE,
    "certificate_expiry_days": EXPIRY,
}

WEBSOCKET: Metrics = {
    "handshake_seconds": Metric(
        help="How long connecting and the WebSocket handshake took.", unit="seconds"
    ),
    "answer_seconds": Metric(help="Time until the expected message.", unit="seconds"),
    "certificate_expiry_days": EXPIRY,
}

SSH: Metrics = {
    "connect_seconds": CONNECT,
    "banner_seconds": Metric(help="Time from the connection to the banner.", unit="seconds"),
}

SMTP: Metrics = {
    "connect_seconds": CONNECT,
    "greeting_seconds": GREETING,
    "ehlo_seconds": Metric(help="Time until the answer to EHLO.", unit="seconds"),
    "starttls_seconds": STARTTLS,
    "login_seconds": LOGIN,
    "certificate_expiry_days": EXPIRY,
}

IMAP: Metrics = {
    "connect_seconds": CONNECT,
    "tls_seconds": TLS_HANDSHAKE,
    "greeting_seconds": GREETING,
    "capability_seconds": Metric(help="Time until the answer to CAPABILITY.", unit="seconds"),
    "starttls_seconds": STARTTLS,
    "login_seconds": LOGIN,
    "certificate_expiry_days": EXPIRY,
}
