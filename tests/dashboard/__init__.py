"""The dashboard: its service, its pages, and how they look in a real browser."""
