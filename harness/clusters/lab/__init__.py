"""The lab: network namespaces of this machine, netcheck's own reference implementation."""
