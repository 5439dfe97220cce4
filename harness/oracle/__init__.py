"""A world of pods and policies, a probe, and the answer on paper with the rules that decide it."""

from harness.oracle.predict import Prediction, predict
from harness.oracle.resolve import resolve

__all__ = ["Prediction", "predict", "resolve"]
