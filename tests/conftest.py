"""What pytest must know of all tests."""

pytest_plugins = ["pytester"]
