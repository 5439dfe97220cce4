"""`python -m harness` is `netcheck`."""

from harness.cli import main

main()
