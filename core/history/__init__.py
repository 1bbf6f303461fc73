"""The core's side of history: what it stores in the plugin that keeps history, and asks it."""
