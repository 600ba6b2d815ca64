"""Extraction of features, beside the loop that a tutorial would write, on one core and on all, and beside its limits.

    python -m benchmarks.extraction --json benchmarks/results/extraction.json

The clips are drawn here. The tutorial's loop reads them with OpenCV frame by frame, finds the pose in every frame with
MediaPipe, and computes audio features of the same kinds with librosa from a wav file. The limits are decoding the
frames, and MediaPipe on every frame that has been decoded before. Ours on one core and on all handle all clips, so that
the seconds in which processes start don't count; the others handle an eighth of them. Each run is a fresh process with
an empty cache, after it has loaded its libraries; those on one core are held there by the scheduler (on Linux;
elsewhere they may use more). The contenders take turns, and a figure is the median of all rounds.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import stages  # noqa: F401
from benchmarks.common import alone, command, write_record
from dancing.errors import exit_on_user_error

FPS = 30
FEWER = 8
CONTENDERS = {
    "tutorial": "the tutorial's loop, one core",
    "one": "ours, one core",
    "every_frame": "ours with features.detect_every 1, one core",
    "all": "ours, all cores",
    "decoding": "decoding alone, one core",
    "mediapipe": "MediaPipe alone, one core",
}


def main() -> None:
    """Measure, print a table, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=40, help="how many (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a clip (%(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(540, 960), help="width and height of the clips, px")
    parser.add_argument("--rounds", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/extraction.json")
    options = parser.parse_args()
    runs: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = alone(_draw, folder, options.clips, options.seconds, *options.size)
        for _ in range(options.rounds):
            for contender, speeds in runs.items():
                share = 1 if contender in ("one", "all") else FEWER
                speeds.append(frames / share / alone(_measure, contender, folder, options.clips // share))
    speed = {name: statistics.median(speeds) for name, speeds in runs.items()}
    cores = len(_cores())
    values = {f"{name}_fps": round(fps, 1) for name, fps in speed.items()} | {
        "cores": cores,
        "over_tutorial": round(speed["one"] / speed["tutorial"], 2),
        "over_one_a_core": round(speed["all"] / speed["one"] / cores, 2),
    }
    print(f"$ {command('extraction')}\n{cores} cores, {frames} frames; frames/s, median of {options.rounds}\n")
    for name, title in CONTENDERS.items():
        print(f"{title}: {speed[name]:.1f}")
    print(f"ours over the tutorial's loop, one core: {values['over_tutorial']}")
    print(f"all cores over one, a core: {values['over_one_a_core']}")
    write_record(options.json, "extraction", "Extraction of features, frames/s", "cpu", values)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _draw(folder: Path, clips: int, seconds: float, width: int, height: int) -> int:
    """Draw the clips, write their sound beside them, and return the number of all frames."""
    import soundfile

    from dancing.media.sound import read_audio
    from dancing.media.video import read_frames
    from data.demo import make

    arguments = ["--count", clips, "--seconds", seconds, seconds, "--width", width, "--height", height, "--out", folder]
    make.main(["clips", *map(str, arguments)])
    (folder / "wav").mkdir()
    for clip in (folder / "clips").iterdir():
        soundfile.write(folder / "wav" / f"{clip.stem}.wav", read_audio(clip, 44_100), 44_100)
    return sum(1 for clip in (folder / "clips").iterdir() for _ in read_frames(clip, FPS))


def _measure(contender: str, folder: Path, count: int) -> float:
    """Return the time of a contender for some of the clips, s."""
    if contender != "all" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores()[:1])  # before libraries count the cores
    jobs: dict[str, Callable[[Path], float]] = {
        "tutorial": _tutorial, "decoding": _decoding, "mediapipe": _mediapipe,
        "one": lambda clips: _ours(clips, 1), "every_frame": lambda clips: _ours(clips, 1, detect_every=1),
        "all": lambda clips: _ours(clips, -1),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for clip in sorted((folder / "clips").iterdir())[:count]:
            (Path(name) / clip.name).symlink_to(clip)
        return jobs[contender](Path(name))


def _ours(clips: Path, jobs: int, detect_every: int = 2) -> float:
    from dancing.clips.extraction import ExtractionSettings, extract_folder

    settings = ExtractionSettings(
        fps=FPS, n_mfcc=20, detect_every=detect_every, smooth_cutoff=5.0, max_gap_s=0.5, min_length_s=1.0,
        min_detected=0.5,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        reports = extract_folder(clips, Path(name) / "features", settings, Path(name) / "cache", jobs)
        seconds = time.perf_counter() - start
    assert all(report["used"] for report in reports)
    return seconds


def _tutorial(clips: Path) -> float:
    import cv2
    import librosa
    import mediapipe as mp

    start = time.perf_counter()
    for clip in sorted(clips.iterdir()):
        capture, poses = cv2.VideoCapture(str(clip)), []
        with mp.solutions.pose.Pose() as pose:
            while True:
                read, frame = capture.read()
                if not read:
                    break
                found = pose.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).pose_landmarks
                poses.append([(p.x, p.y, p.visibility) for p in found.landmark] if found else None)
        sound, rate = librosa.load(clips.parent / "wav" / f"{clip.stem}.wav")
        librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=20)
        librosa.feature.chroma_cqt(y=sound, sr=rate)
        librosa.onset.onset_strength(y=sound, sr=rate)
        librosa.beat.beat_track(y=sound, sr=rate)
    return time.perf_counter() - start


def _decoding(clips: Path) -> float:
    from dancing.media.video import read_frames

    start = time.perf_counter()
    for clip in clips.iterdir():
        for _ in read_frames(clip, FPS):
            pass
    return time.perf_counter() - start


def _mediapipe(clips: Path) -> float:
    from dancing.body.detection import detect
    from dancing.media.video import read_frames

    seconds = 0.0
    for clip in clips.iterdir():
        frames = list(read_frames(clip, FPS))
        start = time.perf_counter()
        detect(frames)
        seconds += time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    exit_on_user_error(main)
