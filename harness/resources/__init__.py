"""Tables that come with netcheck."""
