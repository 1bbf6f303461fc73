"""The interfaces that plugins implement, and the data passed between them and the core."""
