"""The test part through the trained models, beside chance, controls and ceiling."""

from dancing.evaluation.common import means
from dancing.evaluation.images import ImageResult, evaluate_images
from dancing.evaluation.motion import MotionResult, evaluate_motion

__all__ = ["ImageResult", "MotionResult", "evaluate_images", "evaluate_motion", "means"]
