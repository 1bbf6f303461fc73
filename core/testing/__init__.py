"""The testing kit: what plugin authors, and tocsin's own tests, share."""
