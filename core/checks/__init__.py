"""What is checked, when, and by what."""
