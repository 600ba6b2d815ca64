"""Background plates: the scene without the dancer, one picture a camera set-up.

Clips of one dancer may be filmed in several rooms, or from several places in one. Letters: N pictures, S set-ups,
H x W picture; pictures are in [-1, 1], NaN where nobody knows.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from dancing.body.skeleton import limb_heatmaps
from dancing.clips.dataset import Dataset, Piece
from dancing.media.pixels import from_uint8

#: Pictures, evenly spaced, that a set-up's plate is taken from, and those that tell which set-up a clip is of.
BACKGROUND_FRAMES, CLIP_FRAMES = 120, 60
#: Two backgrounds are one set-up's up to this `background_distance`. Measured at 128 px: halves of one clip and clips of
#: one room up to 7, with exposure 10 %, white balance 12 % or gamma 1.2 off up to 11; the camera moved by a sixteenth of the
#: picture 9 to 122 (9 in the barest of rooms); other rooms from 55.
SAME_SETUP = 12.0
#: Exposure and white balance may drift by this factor; what differs more is another light, and deserves its own plate.
DRIFT = 1.1
#: What is darker in both plates, of 255 levels, is a bar beside the picture or a dark that tells nothing.
BLACK = 8.0
#: From which difference of [-1, 1] on a pixel isn't the background's, and which share of these `dancer_margin` leaves out.
DIFFERENT, BEYOND = 0.2, 0.002


@dataclass(frozen=True)
class Backgrounds:
    """The scenes of a dataset's clips without the dancer; number 0 is the one with most training frames."""

    images: torch.Tensor  # (S, 3, H, W) in [-1, 1], all known
    of_clip: dict[str, int]  # every clip's set-up, held-out clips' too

    def of(self, piece: Piece) -> int:
        """The number of the set-up in which a piece of the dataset was filmed."""
        return self.of_clip[piece.clip]


def estimate_backgrounds(dataset: Dataset) -> Backgrounds:
    """The plates of all clips of a dataset whose pieces have pictures.

    A training clip joins the set-up whose first clip's plate is nearest, if they agree (`SAME_SETUP`), or begins one;
    clips with more frames come first. A held-out clip belongs to the `nearest_setup`. Raises ValueError where there is
    no training piece.
    """
    train = dataset.split("train")
    if not train:
        raise ValueError("no training piece to take background plates from")
    pieces, clips = _by_clip(train), _by_clip(dataset.pieces)
    frames = {clip: sum(map(len, its)) for clip, its in pieces.items()}
    seen = {clip: visible_background(*_sample(dataset, its, CLIP_FRAMES)) for clip, its in pieces.items()}

    setups: list[list[str]] = []
    for clip in sorted(pieces, key=lambda clip: (-frames[clip], clip)):
        distances = [background_distance(seen[clip], seen[first]) for first, *_ in setups]
        if min(distances, default=np.inf) <= SAME_SETUP:
            setups[int(np.argmin(distances))].append(clip)
        else:
            setups.append([clip])
    setups.sort(key=lambda setup: -sum(frames[clip] for clip in setup))
    of_clip = {clip: number for number, setup in enumerate(setups) for clip in setup}

    shown = ([piece for piece in train if of_clip[piece.clip] == number] for number in range(len(setups)))
    pictures = torch.stack([estimate_background(*_sample(dataset, its, BACKGROUND_FRAMES)) for its in shown])
    for clip in clips.keys() - pieces.keys():
        of_clip[clip] = nearest_setup(pictures, *_sample(dataset, clips[clip], CLIP_FRAMES))
    return Backgrounds(pictures, dict(sorted(of_clip.items())))


def dancer_margin(dataset: Dataset, backgrounds: Backgrounds) -> int:
    """How far beyond the box round the landmarks the dancer reaches, px: hair, skirts, shadows.

    Next to nothing (`BEYOND`) of what in training pictures differs from the plate lies farther out. Where the scene
    itself is restless that may be the whole picture's size.
    """
    size = np.array([dataset.width, dataset.height])
    shown = [piece for piece in dataset.split("train") if backgrounds.of(piece) == 0]
    landmarks, frames = _sample(dataset, shown, BACKGROUND_FRAMES)
    different = (frames - backgrounds.images[0]).abs().amax(dim=1) > DIFFERENT  # (N, H, W)
    low, high = (edges.float() * torch.from_numpy(size) for edges in (landmarks.amin(1), landmarks.amax(1)))  # (N, 2)
    x, y = (
        torch.maximum(low[:, axis, None] - steps, steps - high[:, axis, None]).clamp_min(0)  # px beyond, (N, W), (N, H)
        for axis, steps in enumerate(torch.arange(n) + 0.5 for n in size)
    )
    distance = torch.maximum(y[:, :, None], x[:, None])[different]
    if not len(distance):
        return 0
    return math.ceil(float(distance.sort().values[int((1 - BEYOND) * (len(distance) - 1))]))


def nearest_setup(plates: torch.Tensor, landmarks: torch.Tensor, frames: torch.Tensor) -> int:
    """Which of the plates (S, 3, H, W) is behind the dancer of landmarks (N, 33, 2) and pictures (N, 3, H, W)."""
    seen = visible_background(landmarks, frames)
    return int(np.argmin([background_distance(seen, plate) for plate in plates]))


def background_distance(first: torch.Tensor, second: torch.Tensor) -> float:
    """By how much, of 255 levels, two plates (3, H, W) differ where both are known; a tenth of it may differ more.

    A mean would count a moved camera for little, whose pictures differ at edges alone, and a forgotten bag, or what is
    left of the dancer, for much. `DRIFT` is taken off, a factor a colour. Infinite where they have nothing in common.
    """
    known = ~(first + second).isnan().any(dim=0)
    if not known.any():
        return float("inf")
    x, y = ((plate[:, known] + 1) * 127.5 for plate in (first, second))  # (3, n)
    lit = torch.maximum(x, y).amax(dim=0) > BLACK
    if not lit.any():
        return 0.0
    x, y = x[:, lit], y[:, lit]
    drift = ((x + 1) / (y + 1)).median(dim=1, keepdim=True).values.clamp(1 / DRIFT, DRIFT)
    return float((x - drift * y).abs().mean(dim=0).quantile(0.9))


def estimate_background(landmarks: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """The scene without the dancer, (3, H, W), of pictures (N, 3, H, W) and their landmarks (N, 33, 2) in [0, 1].

    What is `visible_background`; where there is always a limb, what is round about goes on.
    """
    plate = visible_background(landmarks, frames)[None]
    known = ~plate[:, :1].isnan()
    if not known.any():
        return frames.median(dim=0).values
    plate = plate.nan_to_num()
    while not known.all():  # ring by ring inwards: an unknown pixel becomes the mean of its known neighbours
        share = F.avg_pool2d(known.float(), 3, stride=1, padding=1)
        spread = F.avg_pool2d(plate * known, 3, stride=1, padding=1) / share.clamp_min(1e-6)
        ring = (share > 0) & ~known
        plate, known = torch.where(ring, spread, plate), known | ring
    return plate[0]


def visible_background(landmarks: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Each pixel's median over those pictures (N, 3, H, W) in which no limb is near it, (3, H, W); NaN where always."""
    height, width = frames.shape[-2:]
    near = torch.stack(
        [limb_heatmaps(pose[None], height, width, thickness=height / 32)[0].amax(0) for pose in landmarks]
    )
    return frames.masked_fill((near > 0.2)[:, None], float("nan")).nanmedian(dim=0).values


def _by_clip(pieces: Iterable[Piece]) -> dict[str, list[Piece]]:
    clips = defaultdict(list)
    for piece in pieces:
        clips[piece.clip].append(piece)
    return dict(clips)


def _sample(dataset: Dataset, pieces: list[Piece], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Landmarks (N, 33, 2) and pictures (N, 3, H, W) of at most `count` frames, evenly spaced over the pieces."""
    frames = [(piece, i) for piece in pieces for i in range(len(piece))]
    chosen = [frames[int(k)] for k in np.linspace(0, len(frames) - 1, min(count, len(frames)))]
    landmarks = torch.from_numpy(np.stack([piece.landmarks[i] for piece, i in chosen]))
    return landmarks, from_uint8(np.stack([dataset.frame(piece, i) for piece, i in chosen]))
