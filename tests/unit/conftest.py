"""What all unit tests share."""

import os

# Reports are written for the locale; snapshots for this one.
os.environ["LC_ALL"] = "C.UTF-8"

from hypothesis import settings

# How long an example takes says more of the machine's other work than of the code. In CI the examples are
# always the same: red means that the change broke something; new examples are looked for everywhere else.
settings.register_profile("netcheck", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("netcheck")
