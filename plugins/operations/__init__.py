"""What helps to operate tocsin itself: the review of results while its own uplink is down,
checks of the installation, and ``/metrics`` for Prometheus."""
