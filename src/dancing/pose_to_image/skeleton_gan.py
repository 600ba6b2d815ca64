"""Pose to picture by heatmaps: a U-shaped generator over a background plate, and patch discriminators.

Letters: B batch, P heatmaps, C channels, S camera set-ups, H x W picture. The pose enters as a drawing of its limbs and
joints, so the network moves what it sees rather than learning coordinates by heart. The plate (the scene without the
dancer) is given; the generator draws the dancer and a mask, in a crop round the dancer alone. It may see the picture
before the one it draws.

U-shape: Ronneberger et al., 2015. Patch discriminators at several scales: Wang et al., pix2pixHD, 2018; on pairs of
frames: Chan et al., Everybody Dance Now, 2019.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dancing.body.skeleton import JOINT_MAPS, LIMBS, joint_heatmaps, limb_heatmaps
from dancing.pose_to_image.person_crops import Crops
from dancing.training.param_tanh import Output, output_layer

DRAWN = len(LIMBS) + len(JOINT_MAPS)  # P
FADE = 4  # px over which what is painted fades into the plate at a crop's edges


@dataclass(frozen=True)
class SkeletonGanConfig:
    height: int
    width: int
    channels: int
    plates: int  # S
    sees_previous: bool  # in rendering
    output: Output
    margin: int  # px, how far beyond the landmarks' box there is something of the dancer

    @property
    def thickness(self) -> float:
        """Standard deviation of a limb's stroke, px: about the radius of an arm of someone who fills the picture."""
        return max(min(self.height, self.width) / 48, 1.0)

    @property
    def levels(self) -> int:
        """How often the generator halves the picture: to about 16 px of its longer side."""
        return max(2, round(math.log2(max(self.height, self.width) / 16)))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    kernel = 4 if stride == 2 else 3
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding=1), *_activation(outputs))


def _activation(channels: int) -> tuple[nn.Module, nn.Module]:
    # Groups, not instances: taking each channel's mean out loses colours, and spikes (seen as blobs) get round it.
    return nn.GroupNorm(math.gcd(8, channels), channels), nn.SiLU()


class Halve(nn.Module):
    """Half the size: each 2 x 2 pixels side by side as channels, then mixed. On a CPU five times as fast as a
    convolution with stride over many heatmaps at full size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4 * inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(F.pixel_unshuffle(x, 2))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_conv(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Up(nn.Module):
    """Twice the size by nearest neighbour, then a convolution: no checkerboard, unlike a transposed convolution.

    The skip is added, not put beside: a third of the work at the larger size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow, self.conv = nn.Conv2d(inputs, outputs, 1), _conv(outputs, outputs)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(self.narrow(x), scale_factor=2.0, mode="nearest") + skip)


class SkeletonGenerator(nn.Module):
    plates: torch.Tensor  # (S, 3, H, W) in [-1, 1]; the first is the default
    place: torch.Tensor  # (1, 2, H, W): each pixel's x and y in [-1, 1]

    def __init__(self, config: SkeletonGanConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [config.channels * min(2**level, 8) for level in range(config.levels)]  # at half, quarter, ... size
        fine = config.channels // 2
        enter = Halve(DRAWN + 2 + 3 + 3 + 1, sizes[0])
        self.enter = nn.Sequential(enter, *_activation(sizes[0]), _conv(sizes[0], sizes[0]))
        self.down = nn.ModuleList(_conv(before, after, stride=2) for before, after in pairwise(sizes))
        self.middle = nn.Sequential(Residual(sizes[-1]), Residual(sizes[-1]))
        self.up = nn.ModuleList(Up(deep, shallow) for shallow, deep in pairwise(sizes))
        self.fine = nn.Conv2d(1 + len(JOINT_MAPS) + 3 + 1, fine, 3, padding=1)  # at full size, for sharp edges
        self.last = Up(sizes[0], fine)
        self.paint = nn.Conv2d(fine, 4, 3, padding=1)  # RGB and mask
        self.output = output_layer(config.output)
        self.register_buffer("plates", torch.zeros(config.plates, 3, config.height, config.width))
        self.register_buffer("place", Crops.whole(1, config.height, config.width).places(), persistent=False)

    def pictures(
        self, landmarks: torch.Tensor, plate: torch.Tensor | None = None, previous: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Whole pictures (B, 3, H, W) of poses (B, 33, 2) in [0, 1]: the plate, and what is painted round the dancer.

        plate and previous: whole ones, as in `forward`.
        """
        config = self.config
        plate = self.plates[:1] if plate is None else plate
        poses, step = landmarks.detach().cpu().numpy(), 2**config.levels
        # In training the widest dancer of a batch sets the size, so most have some room. So here: 0.1 dB better.
        crops = Crops.around(poses, config.height, config.width, config.margin + step // 2, step)
        drawing = self.draw(crops.landmarks(landmarks), (crops.height, crops.width))
        before = None if previous is None else crops.of(previous)
        return crops.pasted(self(drawing, crops.of(plate), before, crops.of(self.place)), plate)

    def draw(self, landmarks: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        """Landmarks (B, 33, 2) in [0, 1] of a crop, or of the whole -> heatmaps of limbs and joints (B, P, h, w)."""
        size, thickness = size or (self.config.height, self.config.width), self.config.thickness
        limbs, joints = limb_heatmaps(landmarks, *size, thickness), joint_heatmaps(landmarks, *size, thickness / 1.5)
        return torch.cat([limbs, joints], dim=1)

    def forward(
        self,
        drawing: torch.Tensor,
        plate: torch.Tensor | None = None,
        previous: torch.Tensor | None = None,
        place: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Pictures (B, 3, h, w) in [-1, 1] of poses drawn (B, P, h, w).

        plate: (B, 3, h, w) or (1, 3, h, w), by default the first set-up's, whole. previous: the pictures before
        (B, 3, h, w), NaN for a sample that doesn't see its own; by default none does. place: (B, 2, h, w), where in the
        picture this is, as `Crops.places` says; by default the whole.
        """
        batch, size = len(drawing), (3, *drawing.shape[-2:])
        plate = (self.plates[:1] if plate is None else plate).expand(batch, *size)
        place = (self.place if place is None else place).expand(batch, -1, -1, -1)
        if previous is None:
            previous = plate.new_full((), float("nan")).expand(batch, *size)
        seen = (~previous[:, :1].isnan()).to(plate)
        scene = [place, plate, previous.nan_to_num(), seen]
        x = self.enter(self._padded(torch.cat([drawing, *scene], dim=1)))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up in reversed(self.up):
            x = up(x, skips.pop())
        limbs, joints = drawing.split([len(LIMBS), len(JOINT_MAPS)], dim=1)
        sketch = torch.cat([limbs.amax(dim=1, keepdim=True), joints, *scene[2:]], dim=1)
        x = self.last(x, self.fine(self._padded(sketch)))
        x = self.paint(x)[..., : size[1], : size[2]]  # (B, 4, H, W)
        mask = torch.sigmoid(x[:, 3:]) * _fading(place)
        return mask * self.output(x[:, :3]) + (1 - mask) * plate

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        """To the right and below, to sizes that can be halved `levels` times."""
        step = 2**self.config.levels
        more = (0, -x.shape[-1] % step, 0, -x.shape[-2] % step)
        return F.pad(x, more, mode="replicate") if any(more) else x


def _fading(place: torch.Tensor) -> torch.Tensor:
    """1 within, towards 0 at those edges of crops that aren't edges of the picture: no seam, (B, 1, h, w)."""
    sides = []
    for axis in (0, 1):
        along = place[:, axis].movedim(2 - axis, -1)[:, 0]  # (B, w) or (B, h)
        steps = torch.arange(1, along.shape[-1] + 1, device=place.device, dtype=place.dtype) / FADE
        low = torch.where(along[:, :1] > -0.999, steps, 1.0)
        high = torch.where(along[:, -1:] < 0.999, steps.flip(0), 1.0)
        sides.append(torch.minimum(low, high).clamp_max(1))
    return (sides[1][:, :, None] * sides[0][:, None])[:, None]


class PatchDiscriminator(nn.Module):
    """Judges every patch of what it is given, (B, I, H, W)."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        sizes = (channels, 2 * channels, 4 * channels)
        self.layers = nn.ModuleList([Halve(inputs, channels)])
        self.layers += [nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(sizes)]
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.score = nn.Conv2d(4 * channels, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Logits (B, 1, H / 8, W / 8), and the layers' outputs."""
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.score(x), features


class SkeletonDiscriminator(nn.Module):
    """Three judges: of a picture that shows a pose, of the same at half size, and of a picture after another.

    Beside a picture they are given its fine detail, what a 3 x 3 blur takes away, made stronger: a blurred face differs
    from a sharp one in little else, and without it hundreds of steps go by before that is found.
    """

    DETAIL = 4.0

    def __init__(self, config: SkeletonGanConfig) -> None:
        super().__init__()
        self.config = config
        self.near = PatchDiscriminator(DRAWN + 6, config.channels)
        self.far = PatchDiscriminator(DRAWN + 6, config.channels)
        self.pair = PatchDiscriminator(2 + 6, config.channels // 2)

    def forward(
        self, pictures: torch.Tensor, drawing: torch.Tensor, before: torch.Tensor, previous: torch.Tensor
    ) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
        """What each judge says, logits (B, 1, h, w), and its layers' outputs.

        pictures (B, 3, H, W) of poses drawn (B, P, H, W); previous, of the poses `before`, are the pictures before."""
        blurred = F.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
        shown = torch.cat([pictures, self.DETAIL * (pictures - blurred), drawing], dim=1)
        poses = [maps.amax(dim=1, keepdim=True) for maps in (drawing, before)]
        moved = torch.cat([pictures, self.DETAIL * (pictures - previous), *poses], dim=1)
        return [self.near(shown), self.far(F.avg_pool2d(shown, 2)), self.pair(moved)]
