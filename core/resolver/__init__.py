"""Looking host names up, so that a resolver that is away silences nobody."""
