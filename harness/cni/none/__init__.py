"""No plugin of the table: none at all, the node image's own, or what a manifest or command brings."""
