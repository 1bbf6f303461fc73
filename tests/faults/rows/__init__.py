"""The rows: one module for each part of the world that breaks."""
