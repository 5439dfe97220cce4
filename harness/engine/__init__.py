"""The engine: plan, run, judge. Knows no Kubernetes, no nft, no terminal; speaks by events."""
