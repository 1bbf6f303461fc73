"""Message templates: one for each kind of alert, each of which a file can replace."""
