"""The models of this system by name."""

from dancing.pose_to_image.dense_gan import DenseDiscriminator, DenseGanConfig, DenseGenerator
from dancing.pose_to_image.skeleton_gan import SkeletonDiscriminator, SkeletonGanConfig, SkeletonGenerator
from dancing.training.registry import Registry

#: Generators have a method `render`: landmarks (B, 33, 2) in [0, 1] and backgrounds (B or 1, 3, H, W) -> images.
MODELS = Registry(
    {
        "dense": (DenseGanConfig, DenseGenerator, DenseDiscriminator),
        "skeleton": (SkeletonGanConfig, SkeletonGenerator, SkeletonDiscriminator),
    }
)
