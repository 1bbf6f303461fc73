"""Authentication and authorization by bearer tokens."""
