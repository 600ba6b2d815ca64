"""Backgrounds: the scene without the dancer, one image for each camera set-up.

Clips of one dancer may be filmed in several rooms, or from several places in one room. Letters: N images, S set-ups,
H x W image. Images are in [-1, 1]; unknown pixels are NaN.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from dancing.clips.dataset import Dataset, Piece
from dancing.media.pixels import from_uint8, mask_from_uint8

#: How many evenly spaced images a set-up's background is estimated from, and how many tell a clip's set-up.
BACKGROUND_FRAMES, CLIP_FRAMES = 120, 60
#: Largest `background_distance` within one set-up. Measured at 128 px: up to 7 between halves of a clip and between
#: clips of one room; up to 11 with exposure 10 %, white balance 12 % or gamma 1.2 off; 9 to 122 with the camera moved
#: by a sixteenth of the image (9 in an almost empty room); from 55 between different rooms.
SAME_SETUP = 12.0
#: Largest factor by which exposure and white balance drift. Beyond it the light is another, as is the set-up.
DRIFT = 1.1
#: Level, of 255, up to which a pixel is ignored if it is as dark in both backgrounds: often a bar beside the image.
BLACK = 8.0
#: Quantile of the pixels' differences that is two backgrounds' distance.
DISTANCE_QUANTILE = 0.9
#: Masks above this show the dancer, and masks below the other show the background; between them it is uncertain.
DANCER, BACKGROUND = 0.5, 0.1
#: Share of the dancer's pixels that may lie outside the box that `dancer_margin` gives.
OUTSIDE = 0.002
#: Background counts only where it is farther than H / 32 px from the dancer: what is nearer may be hair, or in motion.
REACHES_PER_HEIGHT = 32


@dataclass(frozen=True)
class Backgrounds:
    """The backgrounds of a dataset's clips. Set-up 0 is the one with the most training frames.

    Attributes:
        images: (S, 3, H, W) in [-1, 1], without NaN.
        of_clip: the set-up of every clip, including held-out clips.
    """

    images: torch.Tensor
    of_clip: dict[str, int]

    def of(self, piece: Piece) -> int:
        """Return the number of the set-up that a piece of the dataset was filmed in."""
        return self.of_clip[piece.clip]


def estimate_backgrounds(dataset: Dataset) -> Backgrounds:
    """Estimate the backgrounds of all clips of a dataset whose pieces have images.

    Training clips are grouped by their backgrounds, those with more frames first. A clip joins the set-up whose first
    clip has the nearest background, if that is within `SAME_SETUP`, or else starts a new one. A held-out clip belongs
    to the `nearest_setup`.

    Raises:
        ValueError: there is no training piece.
    """
    train = dataset.split("train")
    if not train:
        raise ValueError("no training piece to estimate backgrounds from")
    train_clips, clips = _by_clip(train), _by_clip(dataset.pieces)
    setups = _group_by_background(dataset, train_clips)
    of_clip = {clip: number for number, setup in enumerate(setups) for clip in setup}
    pieces_of_setups = ([piece for piece in train if of_clip[piece.clip] == number] for number in range(len(setups)))
    images = torch.stack(
        [estimate_background(*_sample(dataset, pieces, BACKGROUND_FRAMES)) for pieces in pieces_of_setups]
    )
    for clip in clips.keys() - train_clips.keys():
        of_clip[clip] = nearest_setup(images, *_sample(dataset, clips[clip], CLIP_FRAMES))
    return Backgrounds(images, dict(sorted(of_clip.items())))


def _group_by_background(dataset: Dataset, clips: dict[str, list[Piece]]) -> list[list[str]]:
    """Return the names of the clips of each set-up, the one with the most frames first."""
    frames = {clip: sum(map(len, pieces)) for clip, pieces in clips.items()}
    visible = {clip: visible_background(*_sample(dataset, pieces, CLIP_FRAMES)) for clip, pieces in clips.items()}
    setups: list[list[str]] = []
    for clip in sorted(clips, key=lambda clip: (-frames[clip], clip)):
        distances = [background_distance(visible[clip], visible[first]) for first, *_ in setups]
        if min(distances, default=np.inf) <= SAME_SETUP:
            setups[int(np.argmin(distances))].append(clip)
        else:
            setups.append([clip])
    return sorted(setups, key=lambda setup: -sum(frames[clip] for clip in setup))


def dancer_margin(dataset: Dataset, backgrounds: Backgrounds) -> int:
    """Return how far, in px, the dancer reaches beyond the bounding box of the landmarks: hair, skirts.

    In training images, all but the share `OUTSIDE` of the dancer's pixels are within this margin.
    """
    size = np.array([dataset.width, dataset.height])
    pieces = [piece for piece in dataset.split("train") if backgrounds.of(piece) == 0]
    chosen = _evenly_spaced(pieces, BACKGROUND_FRAMES)
    masks = mask_from_uint8(np.stack([dataset.mask(piece, i) for piece, i in chosen]))
    landmarks = np.stack([piece.landmarks[i] for piece, i in chosen])  # (N, 33, 2)
    low, high = (torch.from_numpy((edges * size).astype(np.float32)) for edges in (landmarks.min(1), landmarks.max(1)))
    x, y = (  # px beyond the box, (N, W) and (N, H)
        torch.maximum(low[:, axis, None] - centres, centres - high[:, axis, None]).clamp_min(0)
        for axis, centres in enumerate(torch.arange(n) + 0.5 for n in size)
    )
    distance = torch.maximum(y[:, :, None], x[:, None])[masks[:, 0] > DANCER]
    if not len(distance):
        return 0
    return math.ceil(float(distance.sort().values[int((1 - OUTSIDE) * (len(distance) - 1))]))


def nearest_setup(backgrounds: torch.Tensor, images: torch.Tensor, masks: torch.Tensor) -> int:
    """Return which background is behind the dancer.

    Args:
        backgrounds: (S, 3, H, W) in [-1, 1].
        images: (N, 3, H, W) in [-1, 1].
        masks: (N, 1, H, W) in [0, 1], of the dancer.
    """
    visible = visible_background(images, masks)
    return int(np.argmin([background_distance(visible, background) for background in backgrounds]))


def background_distance(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the 0.9 quantile of the difference of two backgrounds (3, H, W), in levels of 255.

    Only pixels that are known in both count; without any the distance is infinite. A quantile, not the mean: a moved
    camera changes edges only and would change the mean little, while an object left in the scene would change it much.
    A common factor of each colour, up to `DRIFT`, is removed first.
    """
    known = ~(first + second).isnan().any(dim=0)
    if not known.any():
        return float("inf")
    x, y = ((image[:, known] + 1) * 127.5 for image in (first, second))  # (3, n) levels
    lit = torch.maximum(x, y).amax(dim=0) > BLACK
    if not lit.any():
        return 0.0
    x, y = x[:, lit], y[:, lit]
    drift = ((x + 1) / (y + 1)).median(dim=1, keepdim=True).values.clamp(1 / DRIFT, DRIFT)
    return float((x - drift * y).abs().mean(dim=0).quantile(DISTANCE_QUANTILE))


def estimate_background(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the scene without the dancer, (3, H, W) in [-1, 1], without NaN.

    It is the `visible_background`; pixels that are always covered are filled in from their surroundings.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        masks: (N, 1, H, W) in [0, 1], of the dancer.
    """
    image = visible_background(images, masks)[None]
    known = ~image[:, :1].isnan()
    if not known.any():
        return images.median(dim=0).values
    image = image.nan_to_num()
    while not known.all():  # from the edge of each hole inwards: an unknown pixel gets the mean of its known neighbours
        share = F.avg_pool2d(known.float(), 3, stride=1, padding=1)
        means = F.avg_pool2d(image * known, 3, stride=1, padding=1) / share.clamp_min(1e-6)  # no division by 0
        ring = (share > 0) & ~known
        image, known = torch.where(ring, means, image), known | ring
    return image[0]


def visible_background(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return each pixel's median over the images in which the dancer is not near it, (3, H, W); NaN if always near.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        masks: (N, 1, H, W) in [0, 1], of the dancer.
    """
    reach = images.shape[-2] // REACHES_PER_HEIGHT
    near = F.max_pool2d(masks, 2 * reach + 1, stride=1, padding=reach) > BACKGROUND  # (N, 1, H, W)
    return images.masked_fill(near, float("nan")).nanmedian(dim=0).values


def _by_clip(pieces: Iterable[Piece]) -> dict[str, list[Piece]]:
    clips = defaultdict(list)
    for piece in pieces:
        clips[piece.clip].append(piece)
    return dict(clips)


def _evenly_spaced(pieces: list[Piece], count: int) -> list[tuple[Piece, int]]:
    """Return up to `count` frames, evenly spaced over the pieces: the piece, and the number in it."""
    frames = [(piece, i) for piece in pieces for i in range(len(piece))]
    return [frames[int(k)] for k in np.linspace(0, len(frames) - 1, min(count, len(frames)))]


def _sample(dataset: Dataset, pieces: list[Piece], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (N, 3, H, W) and masks (N, 1, H, W) of up to `count` frames, evenly spaced over the pieces."""
    chosen = _evenly_spaced(pieces, count)
    images = from_uint8(np.stack([dataset.frame(piece, i) for piece, i in chosen]))
    return images, mask_from_uint8(np.stack([dataset.mask(piece, i) for piece, i in chosen]))
