"""The tables to look at.

Motion: speed over the beats, skeletons, tempo locking, latents, and a video to listen to. Pictures: side by side, the
worst ones, and where they flicker.

Letters: T frames of a dance, N pictures compared, H x W pixels.
"""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np

from dancing.clips.dataset import Dataset
from dancing.errors import UserError
from dancing.evaluation.common import held_out
from dancing.evaluation.images import ImageResult
from dancing.evaluation.motion import MotionResult
from dancing.media.song import SOUND_RATE
from dancing.media.video import MediaError, VideoWriter, read_audio
from dancing.metrics.image import as_tensor, inside, ssim
from dancing.metrics.motion import FPS, prepare
from dancing.metrics.rhythm import PERIODS, STRETCHES, WRONG, body_speed
from dancing.render import panels, plots

#: Rows of the table that are shown, where they are there, in this order.
SHOWN = ("real", "ours", "lstm", "retrieval")
SPEED_SONGS, SPEED_SECONDS = 6, 15.0  # songs at most, evenly spaced over the test part; their beginnings
STRIP_SECONDS, STRIP_COLUMNS = 3.0, 12  # the middle of the first song, a quarter of a second a step
TRAIL_SECONDS = 0.5
VIDEO_SECONDS = 20.0  # the first song's beginning, at most
PAINTED = ("real", "ours", "dense")  # rows of the table of pictures, likewise
SAMPLES, WORST = 12, 8  # pictures side by side
WORST_ERROR = 0.5  # of the range, in white
CELL_HEIGHT, PANEL_HEIGHT = 200, 288  # px, of a skeleton in a picture and in the video


def save_speeds(path: Path, dataset: Dataset, moved: MotionResult) -> None:
    """Body speed over the beats, a panel a song: what motion beats are the minima of."""
    pieces = held_out(dataset)
    speeds: dict[str, dict[str, np.ndarray]] = {}
    for i in np.linspace(0, len(pieces) - 1, min(len(pieces), SPEED_SONGS)).round().astype(int):
        piece = pieces[i]
        # All are masked where the real dancer is not seen: like is compared with like.
        seen = (piece.visibility, dataset.fps, dataset.width, dataset.height)
        speeds[piece.name] = {
            name: body_speed(prepare(moved.dances[name][i], *seen))[: round(SPEED_SECONDS * FPS)]
            for name in _shown(moved.dances)
        }
    beats = {piece.name: piece.beats for piece in pieces}
    plots.save_figure(path, plots.speed_over_beats(speeds, beats, FPS))


def save_strip(path: Path, dataset: Dataset, moved: MotionResult) -> None:
    """The dances to the first song at the same moments."""
    frames = len(moved.dances["real"][0])
    span = min(round(STRIP_SECONDS * dataset.fps), frames)
    start = (frames - span) // 2
    dances, shape = _first_song(dataset, moved, slice(start, start + span))
    plots.save_picture(path, plots.dance_strip(dances, CELL_HEIGHT, round(CELL_HEIGHT * shape), STRIP_COLUMNS))


def save_locking(path: Path, moved: MotionResult) -> None:
    """Tempo locking at the music's tempo and at wrong ones, mean over the songs."""
    spectra = {name: moved.locking[name] for name in _shown(moved.locking, "ours_to_other_music")}
    panels = [*(f"once in {n} beats" if n > 1 else "every beat" for n in PERIODS), "all together"]
    plots.save_figure(path, plots.locking_spectra(spectra, STRETCHES, WRONG, panels))


def save_traversal(path: Path, dataset: Dataset, traversal: np.ndarray, values: Sequence[float]) -> None:
    """What each latent does at the moment at which it does most, and in the half second before.

    traversal: (dims, V, T, 33, 2), dances in which one dimension, the most active first, is given each of V values.
    """
    frames = traversal.shape[2]
    trail = min(round(TRAIL_SECONDS * dataset.fps), frames - 1)
    apart = np.nan_to_num(traversal.std(axis=1)).sum(axis=(2, 3))  # (dims, T)
    moments = trail + apart[:, trail:].argmax(axis=1)
    shown = np.stack([dances[:, m - trail : m + 1] for dances, m in zip(traversal, moments, strict=True)])
    (near,), shape = plots.close_up([shown], dataset.width, dataset.height)
    names = [f"latent {n}" for n in range(1, len(traversal) + 1)]
    sheet = plots.latent_traversal(near, values, names, CELL_HEIGHT, round(CELL_HEIGHT * shape))
    plots.save_picture(path, sheet)


def save_samples(path: Path, painted: ImageResult) -> None:
    """Held-out poses, evenly spread, as everybody paints them."""
    some = np.linspace(0, len(painted.landmarks) - 1, min(SAMPLES, len(painted.landmarks))).astype(int)
    shown = {name: painted.pictures[name][some] for name in PAINTED if name in painted.pictures}
    _save_columns(path, {"pose": painted.landmarks[some], **shown})


def save_danced(path: Path, painted: ImageResult) -> None:
    """Generated poses, evenly spread, as ours paints them."""
    some = np.linspace(0, len(painted.danced) - 1, min(SAMPLES, len(painted.danced))).astype(int)
    _save_columns(path, {"danced": painted.danced_landmarks[some], "ours": painted.danced[some]})


def save_worst(path: Path, painted: ImageResult) -> None:
    """Where ours is least like the real person (SSIM of the crop), worst first, with the absolute error.

    One frame of a run of neighbours, which would all show the same.
    """
    real, ours = painted.pictures["real"], painted.pictures["ours"]
    scores = ssim(as_tensor(ours), as_tensor(real), painted.boxes).numpy()
    _, firsts = np.unique(painted.runs[np.argsort(scores)], return_index=True)
    worst = np.argsort(scores)[np.sort(firsts)[:WORST]]
    errors = np.abs(ours[worst].astype(float) - real[worst]).mean(axis=-1) / 255  # (n, H, W)
    shown = {"real": real[worst], "ours": ours[worst], "error": plots.heat(errors, WORST_ERROR)}
    _save_columns(path, {"pose": painted.landmarks[worst], **shown})


def save_flicker(path: Path, painted: ImageResult) -> None:
    """Mean absolute change from frame to frame of every pixel while it lies outside the person's box; grey: never."""
    height, width = painted.pictures["real"].shape[1:3]
    person = inside(painted.boxes, height, width).numpy()
    together = np.diff(painted.runs) == 0
    outside = ~(person[1:] | person[:-1])[together]  # (pairs, H, W)
    counts = outside.sum(axis=0)
    shown = {}
    for name in (name for name in PAINTED if name in painted.pictures):
        pictures = painted.pictures[name].astype(np.float32) / 255
        changes = np.abs(pictures[1:] - pictures[:-1]).mean(axis=-1)[together]
        shown[name] = np.where(counts > 0, (changes * outside).sum(axis=0) / np.maximum(counts, 1), np.nan)
    plots.save_figure(path, plots.maps(shown, "mean absolute change a frame, of a range of 1, outside the person"))


def _save_columns(path: Path, shown: Mapping[str, np.ndarray]) -> None:
    height, width = shown["ours"].shape[1:3]
    plots.save_picture(path, plots.columns({name: list(cells) for name, cells in shown.items()}, height, width))


def first_sound(dataset: Dataset, clips: Path) -> np.ndarray:
    """What is heard in the comparison: the first test song from its start, (n, 2) at `SOUND_RATE`.

    Read it before the hard work: a comparison without its music would tell nothing, so there is none.

    Raises:
        UserError: where the clip is gone or has no sound that can be read, or there is no test part.
    """
    piece = held_out(dataset)[0]
    try:
        sound = read_audio(clips / piece.clip, SOUND_RATE, channels=2)
    except MediaError as error:
        raise UserError(
            f"{error}. The comparison video needs this test clip's sound: put the clip back, or let `dvc repro` go by "
            "the clips that are there"
        ) from error
    # Where the sound ends before the piece begins, one sample is left, and silence follows.
    start = min(round(piece.start * SOUND_RATE), len(sound) - 1)
    return sound[start : start + round(VIDEO_SECONDS * SOUND_RATE)].copy()  # a long clip's rest is let go


def save_comparison(path: Path, dataset: Dataset, moved: MotionResult, sound: np.ndarray) -> None:
    """A video of the dances to the first song, side by side, with its `first_sound`."""
    dances, shape = _first_song(dataset, moved, slice(round(VIDEO_SECONDS * dataset.fps)))
    width = 2 * round(PANEL_HEIGHT * shape / 2)  # even, as H.264 wants it
    shown = {name: panels.skeletons(dance, PANEL_HEIGHT, width) for name, dance in dances.items()}
    size = {"width": len(dances) * width, "height": PANEL_HEIGHT + panels.CAPTION_HEIGHT}
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, dataset.fps, **size, audio=sound, sample_rate=SOUND_RATE, crf=23) as video:
        for picture in panels.captioned(shown, width):
            video.write(picture)


def _first_song(dataset: Dataset, moved: MotionResult, frames: slice) -> tuple[dict[str, np.ndarray], float]:
    """These frames of everybody's dance to the first song as one near camera sees them, and its width over height."""
    names = _shown(moved.dances)
    near, shape = plots.close_up([moved.dances[name][0][frames] for name in names], dataset.width, dataset.height)
    return dict(zip(names, near, strict=True)), shape


def _shown(rows: Container[str], *more: str) -> list[str]:
    return [name for name in (*SHOWN, *more) if name in rows]
