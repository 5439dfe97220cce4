"""Policy dialects, each a room with the same furniture (see `base`)."""
