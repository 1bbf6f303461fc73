"""Discovery, loading and isolation of plugins."""
