"""The models of this system by name, `gan.model`."""

from dancing.pose_to_image.dense_gan import DenseDiscriminator, DenseGanConfig, DenseGenerator
from dancing.pose_to_image.skeleton_gan import SkeletonDiscriminator, SkeletonGanConfig, SkeletonGenerator
from dancing.training.registry import Registry

#: A generator has a method `render`: landmarks (B, 33, 2) in [0, 1], and optionally backgrounds (B or 1, 3, H, W) in
#: [-1, 1] -> images (B, 3, H, W) in [-1, 1].
MODELS = Registry(
    {
        "dense": (DenseGanConfig, DenseGenerator, DenseDiscriminator),
        "skeleton": (SkeletonGanConfig, SkeletonGenerator, SkeletonDiscriminator),
    }
)
