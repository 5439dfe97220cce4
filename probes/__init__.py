"""The prober and the listeners of netcheck: Python standard library only."""
