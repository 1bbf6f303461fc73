"""Look-ups of host names that keep working as far as possible while the resolver is away."""
