"""Sources that run while they are cloned."""
