"""The test part through the trained models, beside chance, controls and ceiling."""

from dancing.evaluation.common import means
from dancing.evaluation.generated import GeneratedResult, critic_gap, evaluate_generated
from dancing.evaluation.images import ImageResult, evaluate_images
from dancing.evaluation.motion import MotionResult, evaluate_motion

__all__ = [
    "GeneratedResult",
    "ImageResult",
    "MotionResult",
    "critic_gap",
    "evaluate_generated",
    "evaluate_images",
    "evaluate_motion",
    "means",
]
