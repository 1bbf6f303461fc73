"""What helps to operate tocsin itself: the review of results while its own uplink is down,
and checks of the installation."""
