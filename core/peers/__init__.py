"""What plugins need to talk to peers: TLS, streams, addresses, expressions, and errors in words."""
