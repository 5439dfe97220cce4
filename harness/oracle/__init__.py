"""A world of pods and policies, a probe, and the answer on paper with the rules that decide it."""

from harness.oracle.flips import flips
from harness.oracle.predict import Prediction, predict
from harness.oracle.resolve import in_family, resolve
from harness.oracle.trace import trace

__all__ = ["Prediction", "flips", "in_family", "predict", "resolve", "trace"]
