"""Finding plugins, running them, and surviving them."""
