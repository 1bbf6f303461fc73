"""Rules that come with tocsin."""
