"""What helps to operate tocsin itself: the review of results while its own uplink is down."""
