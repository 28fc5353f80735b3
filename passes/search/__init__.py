"""The best chains of a pool, found exactly: what can be chosen from as a graph (`space`)."""
