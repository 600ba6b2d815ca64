"""Plots, sheets and a video of what the motion table and the image table measure.

Of motion: speed over beats, skeletons, tempo locking, latents, and a comparison video with sound. Of images: samples
side by side, the worst ones, and a map of the flicker.

Letters: T frames of a dance, N frames compared, H x W pixels.
"""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np

from dancing.clips.dataset import Dataset
from dancing.errors import UserError
from dancing.evaluation.common import held_out
from dancing.evaluation.images import ImageResult
from dancing.evaluation.motion import MotionResult
from dancing.media.container import MediaError
from dancing.media.song import SOUND_RATE
from dancing.media.sound import read_audio
from dancing.media.video_writer import VideoWriter
from dancing.metrics.image import as_tensor, inside, ssim
from dancing.metrics.motion import FPS, prepare
from dancing.metrics.rhythm import PERIODS, STRETCHES, WRONG, body_speed
from dancing.render import panels, plots

#: Rows of the motion table that are shown, in this order, if they exist.
SHOWN = ("real", "ours", "lstm", "retrieval")
#: The same for the image table.
IMAGES_SHOWN = ("real", "ours", "dense")
SPEED_SONGS, SPEED_SECONDS = 6, 15.0  # songs at most, evenly spaced over the test part; length from their start
STRIP_SECONDS, STRIP_COLUMNS = 3.0, 12  # from the middle of the first song, a quarter of a second a step
TRAIL_SECONDS = 0.5
VIDEO_SECONDS = 20.0  # at most, from the start of the first song
SAMPLES, WORST = 12, 8  # frames side by side
WORST_ERROR = 0.5  # the error, for images in [0, 1], that is shown in the brightest colour
CELL_HEIGHT, PANEL_HEIGHT = 200, 288  # px, of a skeleton in a sheet and in the video


def save_speeds(path: Path, dataset: Dataset, result: MotionResult) -> None:
    """Plot body speed, whose minima are the motion beats, with the beats of the music: one panel per song."""
    pieces = held_out(dataset)
    speeds: dict[str, dict[str, np.ndarray]] = {}
    for i in np.linspace(0, len(pieces) - 1, min(len(pieces), SPEED_SONGS)).round().astype(int):
        piece = pieces[i]
        # Every dance gets the real dance's visibility, so that all speeds are of the same joints.
        real = (piece.visibility, dataset.fps, dataset.width, dataset.height)
        speeds[piece.name] = {
            name: body_speed(prepare(result.dances[name][i], *real))[: round(SPEED_SECONDS * FPS)]
            for name in _shown(result.dances)
        }
    beats = {piece.name: piece.beats for piece in pieces}
    plots.save_figure(path, plots.speed_over_beats(speeds, beats, FPS))


def save_strip(path: Path, dataset: Dataset, result: MotionResult) -> None:
    """Draw the dances to the first song as rows of skeletons at the same moments."""
    frames = len(result.dances["real"][0])
    span = min(round(STRIP_SECONDS * dataset.fps), frames)
    start = (frames - span) // 2
    dances, shape = _first_song(dataset, result, slice(start, start + span))
    plots.save_picture(path, plots.dance_strip(dances, CELL_HEIGHT, round(CELL_HEIGHT * shape), STRIP_COLUMNS))


def save_locking(path: Path, result: MotionResult) -> None:
    """Plot tempo locking at the music's tempo and at wrong tempi, mean over songs."""
    spectra = {name: result.locking[name] for name in _shown(result.locking, "ours_to_other_music")}
    panels = [*(f"once in {n} beats" if n > 1 else "every beat" for n in PERIODS), "sum of all"]
    plots.save_figure(path, plots.locking_spectra(spectra, STRETCHES, WRONG, panels))


def save_traversal(path: Path, dataset: Dataset, traversal: np.ndarray, values: Sequence[float]) -> None:
    """Draw what each latent dimension changes, at the moment when it changes the pose most.

    Args:
        path: file to write.
        dataset: of the dances.
        traversal: (dims, V, T, 33, 2) in [0, 1], dances in which one dimension is set to each of V values; the most
            active dimension comes first.
        values: (V,), in standard deviations.
    """
    frames = traversal.shape[2]
    trail = min(round(TRAIL_SECONDS * dataset.fps), frames - 1)
    apart = np.nan_to_num(traversal.std(axis=1)).sum(axis=(2, 3))  # (dims, T)
    moments = trail + apart[:, trail:].argmax(axis=1)
    excerpts = np.stack([dances[:, m - trail : m + 1] for dances, m in zip(traversal, moments, strict=True)])
    (near,), shape = plots.close_up([excerpts], dataset.width, dataset.height)
    names = [f"latent {n}" for n in range(1, len(traversal) + 1)]
    sheet = plots.latent_traversal(near, values, names, CELL_HEIGHT, round(CELL_HEIGHT * shape))
    plots.save_picture(path, sheet)


def save_samples(path: Path, result: ImageResult) -> None:
    """Draw evenly spaced held-out poses next to the images of every row of `IMAGES_SHOWN`."""
    some = np.linspace(0, len(result.landmarks) - 1, min(SAMPLES, len(result.landmarks))).astype(int)
    shown = {name: result.pictures[name][some] for name in IMAGES_SHOWN if name in result.pictures}
    _save_columns(path, {"pose": result.landmarks[some], **shown})


def save_generated_poses(path: Path, result: ImageResult) -> None:
    """Draw evenly spaced generated poses next to the images of "ours"."""
    some = np.linspace(0, len(result.danced) - 1, min(SAMPLES, len(result.danced))).astype(int)
    _save_columns(path, {"generated pose": result.danced_landmarks[some], "ours": result.danced[some]})


def save_worst(path: Path, result: ImageResult) -> None:
    """Draw the frames of "ours" with the lowest SSIM in the person's box, worst first, and their absolute error.

    Only the worst frame of each run, because neighbouring frames look the same.
    """
    real, ours = result.pictures["real"], result.pictures["ours"]
    scores = ssim(as_tensor(ours), as_tensor(real), result.boxes)[1].numpy()
    _, firsts = np.unique(result.runs[np.argsort(scores)], return_index=True)
    worst = np.argsort(scores)[np.sort(firsts)[:WORST]]
    errors = np.abs(ours[worst].astype(float) - real[worst]).mean(axis=-1) / 255  # (n, H, W)
    shown = {"real": real[worst], "ours": ours[worst], "error": plots.heat(errors, WORST_ERROR)}
    _save_columns(path, {"pose": result.landmarks[worst], **shown})


def save_flicker(path: Path, result: ImageResult) -> None:
    """Plot each pixel's mean absolute change from frame to frame while it is outside the person's box; grey: never."""
    height, width = result.pictures["real"].shape[1:3]
    person = inside(result.boxes, height, width).numpy()
    same_run = np.diff(result.runs) == 0
    outside = ~(person[1:] | person[:-1])[same_run]  # (pairs, H, W)
    counts = outside.sum(axis=0)
    shown = {}
    for name in (name for name in IMAGES_SHOWN if name in result.pictures):
        pictures = result.pictures[name].astype(np.float32) / 255
        changes = np.abs(pictures[1:] - pictures[:-1]).mean(axis=-1)[same_run]
        shown[name] = np.where(counts > 0, (changes * outside).sum(axis=0) / np.maximum(counts, 1), np.nan)
    plots.save_figure(
        path, plots.maps(shown, "mean absolute change per frame outside the person, for images in [0, 1]")
    )


def _save_columns(path: Path, shown: Mapping[str, np.ndarray]) -> None:
    height, width = shown["ours"].shape[1:3]
    plots.save_picture(path, plots.columns({name: list(cells) for name, cells in shown.items()}, height, width))


def first_sound(dataset: Dataset, clips: Path) -> np.ndarray:
    """Read the sound of the comparison video: the first test song from its start.

    Call it before the evaluation, which is slow: without the sound there is no comparison video.

    Args:
        dataset: of the clips.
        clips: folder of the clips.

    Returns:
        (n, 2) at `SOUND_RATE`, of at most `VIDEO_SECONDS`.

    Raises:
        UserError: where the clip is missing or has no readable sound, or there is no test part.
    """
    piece = held_out(dataset)[0]
    try:
        sound = read_audio(clips / piece.clip, SOUND_RATE, channels=2)
    except MediaError as error:
        raise UserError(
            f"{error}. The comparison video needs this test clip's sound: put the clip back, or run `dvc repro` to use "
            "the clips that are there"
        ) from error
    # Where the sound ends before the piece begins, one sample is kept; the video is silent after it.
    start = min(round(piece.start * SOUND_RATE), len(sound) - 1)
    return sound[start : start + round(VIDEO_SECONDS * SOUND_RATE)].copy()  # frees the rest of a long clip


def save_comparison(path: Path, dataset: Dataset, result: MotionResult, sound: np.ndarray) -> None:
    """Write a video of the dances to the first song, side by side, with the song's sound.

    Args:
        path: file to write.
        dataset: of the dances.
        result: evaluated dances.
        sound: (n, 2), from `first_sound`.
    """
    dances, shape = _first_song(dataset, result, slice(round(VIDEO_SECONDS * dataset.fps)))
    width = 2 * round(PANEL_HEIGHT * shape / 2)  # even, as H.264 wants it
    shown = {name: panels.skeletons(dance, PANEL_HEIGHT, width) for name, dance in dances.items()}
    size = {"width": len(dances) * width, "height": PANEL_HEIGHT + panels.CAPTION_HEIGHT}
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, dataset.fps, **size, audio=sound, sample_rate=SOUND_RATE, crf=23) as video:
        for frame in panels.captioned(shown, width):
            video.write(frame)


def _first_song(dataset: Dataset, result: MotionResult, frames: slice) -> tuple[dict[str, np.ndarray], float]:
    """Close-up of some frames of the dances to the first song, by row, and its width over its height."""
    names = _shown(result.dances)
    near, shape = plots.close_up([result.dances[name][0][frames] for name in names], dataset.width, dataset.height)
    return dict(zip(names, near, strict=True)), shape


def _shown(rows: Container[str], *more: str) -> list[str]:
    """Names of the motion table's rows that are shown."""
    return [name for name in (*SHOWN, *more) if name in rows]
