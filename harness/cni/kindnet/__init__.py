"""kindnet, the pod network that kind brings along."""
