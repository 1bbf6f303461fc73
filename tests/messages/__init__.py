"""Messages in words."""
