"""What runs in a plugin host: the plugins of one distribution, and the core's calls to them."""
