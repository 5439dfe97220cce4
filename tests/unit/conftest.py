"""What all unit tests share."""

from hypothesis import settings

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("netcheck", deadline=None)
settings.load_profile("netcheck")
