"""What the pytest plugin is made of; `harness.pytest_plugin` loads it with the first scenario file.

Nothing here judges: the engine measures, and pytest's tests say what it found.
"""
