"""Our GAN from poses to images: a U-Net generator over a given background, and patch discriminators.

The pose is given as heatmaps of limbs and joints, which suit convolutions: a moved limb is a moved stroke. The
generator outputs the dancer and a mask, in a crop around the dancer. The mask blends them with the background, the
scene without the dancer.

U-Net: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015. Patch
discriminators at several scales: Wang et al., High-Resolution Image Synthesis and Semantic Manipulation with
Conditional GANs (pix2pixHD), CVPR 2018.

The cost of a step is that of the largest feature maps. So an image of 256 px is folded: squares of `fold` x `fold`
pixels become channels, and the networks are those for 128 px.

Letters: B batch, P heatmaps, C channels, S camera set-ups, H x W image, h x w crop, f fold.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dancing.body.skeleton import JOINT_MAPS, LIMBS, joint_heatmaps, limb_heatmaps
from dancing.pose_to_image.person_crops import PersonCrops
from dancing.training.adversarial import Logits
from dancing.training.param_tanh import Output, output_layer

POSE_MAPS = len(LIMBS) + len(JOINT_MAPS)  # P
FADE = 4  # px over which the mask fades to 0 at the crop's edges
IMAGE_EDGE = 0.999  # a coordinate beyond it, in [-1, 1], belongs to the image's edge
LEAKY_SLOPE = 0.2
FOLDED_SIDE = 128  # px, longer side of a folded image, about


@dataclass(frozen=True)
class SkeletonGanConfig:
    """Sizes of the skeleton GAN.

    Attributes:
        height: of the image, px.
        width: of the image, px.
        channels: of the feature maps at half of the folded size; smaller maps have up to 8 times as many.
        setups: S.
        output: the generator's output layer.
        margin: how far the dancer reaches beyond the landmarks' bounding box, px.
        fold: side, px, of the squares that are one pixel of the heatmaps and of the networks.
    """

    height: int
    width: int
    channels: int
    setups: int
    output: Output
    margin: int
    fold: int

    @property
    def thickness(self) -> float:
        """Standard deviation of a limb's stroke, px: about an arm's radius if the person is as tall as the image."""
        return max(min(self.height, self.width) / 48, 1.0)

    @property
    def levels(self) -> int:
        """How often the generator halves the folded image, until its longer side is about 16 px."""
        return max(2, round(math.log2(max(self.height, self.width) / self.fold / 16)))

    @property
    def step(self) -> int:
        """Crops whose sides are multiples of it, in px, need no padding."""
        return int(self.fold * 2**self.levels)


def fold_for(height: int, width: int) -> int:
    """Return the fold of images of this size, px: 1 up to 181 px, 2 at 256 px, 4 at 512 px."""
    return int(2 ** max(0, round(math.log2(max(height, width) / FOLDED_SIDE))))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    kernel = 4 if stride == 2 else 3
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding=1), *_norm_and_activation(outputs))


def _norm_and_activation(channels: int) -> tuple[nn.Module, nn.Module]:
    # Not instance norm: it removes each channel's mean, and the network makes up for the lost colour by blobs.
    return nn.GroupNorm(math.gcd(8, channels), channels), nn.SiLU()


class Halve(nn.Module):
    """Halves the size: the pixels of each 2 x 2 square become channels, then a 1 x 1 convolution mixes them.

    On a CPU this is five times as fast as a strided convolution over many full-size heatmaps.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4 * inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / 2, W / 2)."""
        return self.mix(F.pixel_unshuffle(x, 2))


class Residual(nn.Module):
    """Two convolutions with a residual connection (He et al., Deep Residual Learning, CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_conv(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        return x + self.inner(x)


class Up(nn.Module):
    """Doubles the size by nearest neighbour, then convolves: unlike a transposed convolution, it has no checkerboard.

    The skip connection is added, not concatenated, which takes a third of the work at the larger size.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project, self.conv = nn.Conv2d(inputs, outputs, 1), _conv(outputs, outputs)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W), skip (B, outputs, 2H, 2W) -> (B, outputs, 2H, 2W)."""
        return self.conv(F.interpolate(self.project(x), scale_factor=2.0, mode="nearest") + skip)


class Unfold(nn.Module):
    """Enlarges feature maps to the image's size, and converts them to colours and the mask's logit.

    Nearest neighbour and convolutions, as in `Up`: `pixel_shuffle` alone leaves fine stripes.
    """

    def __init__(self, channels: int, fold: int) -> None:
        super().__init__()
        self.fold, inner = fold, max(channels // 2, 8)
        self.project, self.conv = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, inner, 3, padding=1)
        self.to_rgb_and_mask = nn.Conv2d(inner, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h / f, w / f) -> (B, 4, h, w)."""
        large = F.interpolate(self.project(x), scale_factor=float(self.fold), mode="nearest")
        return self.to_rgb_and_mask(F.silu(self.conv(large)))


class SkeletonGenerator(nn.Module):
    """Our generator, `gan.model: skeleton`.

    Attributes:
        backgrounds: (S, 3, H, W) in [-1, 1]; the first is the default.
        coordinates: (1, 2, H, W), x and y of each pixel in [-1, 1].
    """

    backgrounds: torch.Tensor
    coordinates: torch.Tensor

    def __init__(self, config: SkeletonGanConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [config.channels * min(2**level, 8) for level in range(config.levels)]  # at half, quarter, ... size
        fine = config.channels // 2
        stem = Halve(POSE_MAPS + 2 + 3 * config.fold**2, sizes[0])  # pose maps, coordinates, background
        self.stem = nn.Sequential(stem, *_norm_and_activation(sizes[0]), _conv(sizes[0], sizes[0]))
        self.down = nn.ModuleList(_conv(before, after, stride=2) for before, after in pairwise(sizes))
        self.bottleneck = nn.Sequential(Residual(sizes[-1]), Residual(sizes[-1]))
        self.up = nn.ModuleList(Up(deep, shallow) for shallow, deep in pairwise(sizes))
        self.full_size_skip = nn.Conv2d(1 + len(JOINT_MAPS), fine, 3, padding=1)  # for sharp edges
        self.last_up = Up(sizes[0], fine)
        self.to_rgb_and_mask = Unfold(fine, config.fold) if config.fold > 1 else nn.Conv2d(fine, 4, 3, padding=1)
        self.output = output_layer(config.output)
        self.register_buffer("backgrounds", torch.zeros(config.setups, 3, config.height, config.width))
        coordinates = PersonCrops.whole(1, config.height, config.width).coordinates()
        self.register_buffer("coordinates", coordinates, persistent=False)

    def render(self, landmarks: torch.Tensor, background: torch.Tensor | None = None) -> torch.Tensor:
        """Return whole images (B, 3, H, W) in [-1, 1]: those of `paint`."""
        return self.paint(landmarks, background)[0]

    def paint(
        self, landmarks: torch.Tensor, background: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return whole images (B, 3, H, W) in [-1, 1], and the dancer's masks (B, 1, H, W) in [0, 1].

        Crops are generated and pasted onto the background.

        Args:
            landmarks: (B, 33, 2) in [0, 1].
            background: (B or 1, 3, H, W) in [-1, 1]; None: that of the first set-up.
        """
        config = self.config
        background = self.backgrounds[:1] if background is None else background
        poses, step = landmarks.detach().cpu().numpy(), config.step
        # In training the largest box of a batch sets the crops' size, so most crops are larger than their dancer needs.
        # The larger margin here matches that: PSNR is 0.1 dB higher.
        crops = PersonCrops.around(poses, config.height, config.width, config.margin + step // 2, step)
        pose_maps = self.pose_maps(crops.landmarks(landmarks), (crops.height, crops.width))
        images, masks = self(pose_maps, crops.crop(background), crops.crop(self.coordinates))
        return crops.paste(images, background), crops.paste(masks, masks.new_zeros(1, 1, *background.shape[-2:]))

    def pose_maps(self, landmarks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return heatmaps (B, P, h / f, w / f) of limbs and joints.

        Args:
            landmarks: (B, 33, 2), in fractions of the crop.
            size: h, w of the crop, px.
        """
        height, width = (side // self.config.fold for side in size)
        thickness = self.config.thickness / self.config.fold
        limbs = limb_heatmaps(landmarks, height, width, thickness)
        joints = joint_heatmaps(landmarks, height, width, thickness / 1.5)
        return torch.cat([limbs, joints], dim=1)

    def forward(
        self, pose_maps: torch.Tensor, background: torch.Tensor, coordinates: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (B, 3, h, w) in [-1, 1], and the masks (B, 1, h, w) in [0, 1] that blend the dancer in.

        Args:
            pose_maps: (B, P, h / f, w / f).
            background: (B, 3, h, w) in [-1, 1].
            coordinates: (B, 2, h, w), each pixel's position in the whole image: `PersonCrops.coordinates`.
        """
        (height, width), fold = background.shape[-2:], self.config.fold
        scene = [coordinates[..., ::fold, ::fold], F.pixel_unshuffle(background, fold)]
        x = self.stem(self._padded(torch.cat([pose_maps, *scene], dim=1)))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        for up in reversed(self.up):
            x = up(x, skips.pop())
        limbs, joints = pose_maps.split([len(LIMBS), len(JOINT_MAPS)], dim=1)
        sketch = torch.cat([limbs.amax(dim=1, keepdim=True), joints], dim=1)
        x = self.last_up(x, self.full_size_skip(self._padded(sketch)))
        x = self.to_rgb_and_mask(x)[..., :height, :width]  # (B, 4, h, w)
        mask = torch.sigmoid(x[:, 3:]) * _edge_fade(coordinates)
        return mask * self.output(x[:, :3]) + (1 - mask) * background, mask

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        """Pad folded maps to a size that can be halved `levels` times."""
        return _padded(x, 2**self.config.levels)


def _padded(x: torch.Tensor, step: int) -> torch.Tensor:
    """Pad on the right and below to multiples of `step`."""
    more = (0, -x.shape[-1] % step, 0, -x.shape[-2] % step)
    return F.pad(x, more, mode="replicate") if any(more) else x


def _edge_fade(coordinates: torch.Tensor) -> torch.Tensor:
    """Return a factor of the mask, (B, 1, h, w), so that crops have no visible edges.

    It is 1 inside and falls to 0 at those edges of a crop that are not edges of the image. `coordinates`: (B, 2, h, w).
    """
    sides = []
    for axis in (0, 1):
        along = coordinates[:, axis].movedim(2 - axis, -1)[:, 0]  # (B, w) or (B, h)
        steps = torch.arange(1, along.shape[-1] + 1, device=coordinates.device, dtype=coordinates.dtype) / FADE
        low = torch.where(along[:, :1] > -IMAGE_EDGE, steps, 1.0)
        high = torch.where(along[:, -1:] < IMAGE_EDGE, steps.flip(0), 1.0)
        sides.append(torch.minimum(low, high).clamp_max(1))
    return (sides[1][:, :, None] * sides[0][:, None])[:, None]


class PatchDiscriminator(nn.Module):
    """A convolutional discriminator with one logit for each patch of the image."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        sizes = (channels, 2 * channels, 4 * channels)
        self.layers = nn.ModuleList([nn.Conv2d(inputs, channels, 1)])
        self.layers += [nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(sizes)]
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=LEAKY_SLOPE)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        self.logits = nn.Conv2d(4 * channels, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W), pixels folded into channels as in `Halve` -> logits (B, 1, H / 4, W / 4)."""
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAKY_SLOPE)
        return self.logits(x)


class SkeletonDiscriminator(nn.Module):
    """Patch discriminators of images with their poses, at full and at half size.

    Their input also has the image's fine detail, amplified: the difference between the image and a 3 x 3 blur of it. A
    blurred face differs from a sharp one in little else, and without this input that difference takes hundreds of steps
    to learn.

    Attributes:
        DETAIL: factor of the fine detail.
    """

    DETAIL = 4.0

    def __init__(self, config: SkeletonGanConfig) -> None:
        super().__init__()
        self.config = config
        inputs = 4 * (POSE_MAPS + 6 * config.fold**2)
        self.full_size, self.half_size = (PatchDiscriminator(inputs, config.channels) for _ in range(2))

    @staticmethod
    def folded(maps: torch.Tensor, fold: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps as the two `PatchDiscriminator`s take them: heatmaps are needed thrice a step, and folded once.

        Args:
            maps: heatmaps (B, P, h / f, w / f), or other maps (B, C, h, w).
            fold: f for maps that are not folded yet.

        Returns:
            (B, 4P, h / 2f, w / 2f) and (B, 4P, h / 4f, w / 4f), or with 4 C f^2 channels.
        """
        maps = _padded(maps, 4 * fold)
        return F.pixel_unshuffle(maps, 2 * fold), F.pixel_unshuffle(F.avg_pool2d(maps, 2), 2 * fold)

    def forward(self, images: torch.Tensor, full_maps: torch.Tensor, half_maps: torch.Tensor) -> Logits:
        """Return the logits at both scales, (B, 1, h / 8f, w / 8f) and (B, 1, h / 16f, w / 16f).

        Args:
            images: (B, 3, h, w) in [-1, 1].
            full_maps: heatmaps of the images' poses, the first of `folded`.
            half_maps: the second of `folded`.
        """
        blurred = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
        x = torch.cat([images, self.DETAIL * (images - blurred)], dim=1)
        full, half = self.folded(x, self.config.fold)
        return [
            self.full_size(torch.cat([full, full_maps], dim=1)), self.half_size(torch.cat([half, half_maps], dim=1)),
        ]  # fmt: skip
