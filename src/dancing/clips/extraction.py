"""From a folder of clips to a file of features a clip: sound, poses and how good they are, on one clock."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dancing.body import detection, mocap
from dancing.body.detection import PoseTrack
from dancing.body.mocap import LandmarkFileError
from dancing.errors import UserError
from dancing.files import written_whole
from dancing.media import audio, downbeats, video
from dancing.media.audio import AudioFeatures
from dancing.media.video import AUDIO_SUFFIXES, VIDEO_SUFFIXES, MediaError

LANDMARK_SUFFIX = ".npz"
#: A song and its landmarks that differ by less in length, seconds, are as long as each other.
_SAME_LENGTH_S = 1.0


class ClipRejected(UserError):  # noqa: N818 - what happened to the clip, not a fault of the program
    """A clip that cannot serve; the message says why and what would help."""


@dataclass(frozen=True)
class ExtractionSettings:
    """What the features of a clip depend on besides the clip."""

    fps: float  # frames a second: the clock
    n_mfcc: int
    smooth_cutoff: float  # Hz, low-pass over the landmarks; 0 = off
    max_gap_s: float  # a longer stretch without a pose parts two segments
    min_length_s: float  # a shorter segment is dropped
    min_detected: float  # share of the frames that must show a pose


@dataclass(frozen=True)
class ClipFeatures:
    """All that later stages need of a clip but its pictures; T frames in every array."""

    audio: AudioFeatures
    pose: PoseTrack
    width: int  # of the upright picture, pixels
    height: int
    fps: float
    report: dict[str, Any]

    def save(self, path: str | os.PathLike) -> None:
        """Write one .npz with a flat list of arrays, whole or not at all; the same features give the same bytes."""
        arrays = {**vars(self.audio), **vars(self.pose), "width": self.width, "height": self.height, "fps": self.fps}
        arrays["segments"] = np.array(self.pose.segments, np.int64).reshape(-1, 2)
        arrays["report"] = json.dumps(self.report, sort_keys=True)
        with written_whole(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> ClipFeatures:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            stored = {key: value if value.ndim else value.item() for key, value in file.items()}
        stored["segments"] = [(int(start), int(stop)) for start, stop in stored["segments"]]
        return cls(
            audio=AudioFeatures(**{field.name: stored[field.name] for field in fields(AudioFeatures)}),
            pose=PoseTrack(**{field.name: stored[field.name] for field in fields(PoseTrack)}),
            width=stored["width"],
            height=stored["height"],
            fps=stored["fps"],
            report=json.loads(stored["report"]),
        )


def extract_clip(path: str | os.PathLike, settings: ExtractionSettings) -> ClipFeatures:
    """Features of one clip: a video, or a song with the landmark file of its name beside it (see `mocap`).

    Raises:
        ClipRejected: the clip cannot be read, lacks its picture, sound or landmarks, is too short, or hardly shows
            anybody.
    """
    path, fps = Path(path), settings.fps
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    try:
        sound, track, source = (_read_video if is_video else _read_capture)(path, settings)
    except (MediaError, LandmarkFileError) as error:
        raise ClipRejected(str(error)) from error
    report = detection.quality(track, fps, has_sound=True)
    if report.detected < settings.min_detected:
        advice = "film the whole body, one person, in good light" if is_video else "a pose with NaN in it shows nobody"
        raise ClipRejected(
            f"somebody is seen in {report.detected:.0%} of its frames, at least {settings.min_detected:.0%} needed: "
            f"{advice}"
        )
    if not track.segments:
        raise ClipRejected(
            f"no stretch of {settings.min_length_s:g} s without a gap over {settings.max_gap_s:g} s in which "
            f"somebody is seen (longest gap {report.longest_gap:.1f} s)"
        )
    return ClipFeatures(
        audio=audio.extract(sound, fps, settings.n_mfcc, n_frames=len(track.landmarks)),
        pose=track,
        width=source["width"],
        height=source["height"],
        fps=fps,
        report={**asdict(report), "has_pictures": is_video, **source},
    )


def _read_video(path: Path, settings: ExtractionSettings) -> tuple[np.ndarray, PoseTrack, dict[str, Any]]:
    """Sound (n,), poses and what the report says of the file."""
    info = video.probe(path)
    _check_length(info.duration, settings)
    sound = video.read_audio(path, audio.sample_rate_for(settings.fps))
    track = detection.track(
        video.read_frames(path, settings.fps),
        settings.fps,
        settings.smooth_cutoff,
        settings.max_gap_s,
        settings.min_length_s,
    )
    source = {
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "source_fps": info.fps,
        "variable_frame_rate": info.variable_frame_rate,
        "note": "",
    }
    return sound, track, source


def _read_capture(path: Path, settings: ExtractionSettings) -> tuple[np.ndarray, PoseTrack, dict[str, Any]]:
    """Like `_read_video`, for a song and its landmarks.

    They are not smoothed: that is for the trembling of detected landmarks, and measured ones have none. What song and
    landmarks both cover is used.
    """
    landmarks = path.with_suffix(LANDMARK_SUFFIX)
    if path == landmarks:
        raise ClipRejected(f"landmarks without their song: put it beside them, named {path.stem}.mp3, .wav, .ogg or so")
    if not landmarks.is_file():
        raise ClipRejected(
            f"a song without a dance: it needs its landmarks beside it ({landmarks.name}), or a video instead of it; a "
            "song to dance to (render.song) belongs in another folder"
        )
    capture = mocap.read(landmarks)
    rate = audio.sample_rate_for(settings.fps)
    sound = video.read_audio(path, rate)
    heard = len(sound) / rate
    common = min(heard, capture.duration)
    _check_length(common, settings)
    raw, visibility = mocap.resample(capture, settings.fps, n_frames=int(common * settings.fps + 0.5))
    track = detection.assemble(raw, visibility, settings.fps, settings.max_gap_s, settings.min_length_s)
    differ = abs(heard - capture.duration) > _SAME_LENGTH_S
    note = (
        f"song {heard:.1f} s, landmarks {capture.duration:.1f} s: the first {common:.1f} s are used" if differ else ""
    )
    source = {"width": capture.width, "height": capture.height, "source_fps": capture.fps, "note": note}
    return sound, track, source


def _check_length(duration: float, settings: ExtractionSettings) -> None:
    if duration < settings.min_length_s:
        raise ClipRejected(f"{duration:.2f} s long, at least {settings.min_length_s:g} s needed")


def list_clips(folder: str | os.PathLike) -> dict[str, Path]:
    """Clips in a folder and those below it, by name, sorted: videos, and songs with landmarks beside them.

    A song without landmarks, or landmarks without a song, is listed too, for `extract_clip` to say what it lacks. Songs
    and landmarks beside a video of their name are its own, and not listed.

    A clip's name is its path in the folder without the suffix, "/" written as "__"; the suffix stays where two clips
    would have one name.

    Raises:
        MediaError: the folder is missing or holds no clip, two clips cannot be told apart by name, or two songs stand
            beside one landmark file.
    """
    folder = Path(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    paths: list[Path] = []
    for suffixes in (VIDEO_SUFFIXES, AUDIO_SUFFIXES, (LANDMARK_SUFFIX,)):
        taken = {path.with_suffix("") for path in paths}
        paths += [path for path in files if path.suffix.lower() in suffixes and path.with_suffix("") not in taken]
    if not paths:
        state = "holds no clip" if folder.is_dir() else "is no folder"
        raise MediaError(
            f"{folder} {state}: put dance clips there ({', '.join(VIDEO_SUFFIXES)}), or songs with landmark files"
        )
    songs = Counter(path.with_suffix(LANDMARK_SUFFIX) for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
    for landmarks, count in songs.items():
        if count > 1 and landmarks.is_file():
            raise MediaError(f"{landmarks}: {count} songs of its name stand beside it: keep one")
    full = {path: "__".join(path.relative_to(folder).parts) for path in sorted(paths)}
    short = {path: name.removesuffix(path.suffix) for path, name in full.items()}
    shared = Counter(short.values())
    clips = {full[path] if shared[short[path]] > 1 else short[path]: path for path in full}
    if len(clips) < len(paths):
        raise MediaError(f'{folder}: two clips have one name when "/" is written as "__": rename one')
    return clips


def extract_folder(
    folder: str | os.PathLike,
    out_dir: str | os.PathLike,
    settings: ExtractionSettings,
    cache_dir: str | os.PathLike,
    jobs: int = -1,
) -> list[dict[str, Any]]:
    """Write ``out_dir/<name>.npz`` for every clip that can serve; a clip that cannot is reported, the others go on.

    Features are kept in ``cache_dir`` by what they depend on (the clip's content, the settings, this code), so that a
    new clip costs one clip.

    Args:
        folder: see `list_clips`.
        out_dir: made if absent; .npz files of clips that are no more are removed from it.
        settings: see `ExtractionSettings`.
        cache_dir: made if absent; may be shared and may be deleted.
        jobs: clips at a time; -1 is one a core. Set joblib's backend to spread them over other machines.

    Returns:
        A report a clip in order of names: "clip", "file", "used", "reason" (why not used), and for a clip that is used
        what `QualityReport` holds, "has_pictures", its size and own frame rate, and "note" where something is odd.

    Raises:
        MediaError: no clip at all, or none that can serve (with each one's reason).
    """
    clips = list_clips(folder)
    out_dir, cache_dir = Path(out_dir), Path(cache_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    cache_dir.mkdir(parents=True, exist_ok=True)
    for stale in out_dir.glob("*.npz"):
        stale.unlink()

    files = {name: cache_dir / f"{_key(path, settings)}.npz" for name, path in clips.items()}
    if not all(file.exists() for file in files.values()):
        audio.warm_up()
    parallel = joblib.Parallel(n_jobs=min(joblib.effective_n_jobs(jobs), len(clips)), return_as="generator")
    results = parallel(joblib.delayed(_extract_cached)(path, settings, files[name]) for name, path in clips.items())
    reports = []
    progress = tqdm(results, total=len(clips), unit="clip", desc="extract", disable=None)  # None: only on a terminal
    for (name, path), (cached, reason) in zip(clips.items(), progress, strict=True):
        report = {"clip": name, "file": path.relative_to(folder).as_posix(), "used": not reason, "reason": reason}
        if cached is not None:
            shutil.copyfile(cached, out_dir / f"{name}.npz")
            report |= ClipFeatures.load(cached).report
        reports.append(report)
    if not any(report["used"] for report in reports):
        reasons = "\n".join(f"  {report['file']}: {report['reason']}" for report in reports)
        raise MediaError(f"{folder}: no clip can serve:\n{reasons}")
    return reports


def _extract_cached(path: Path, settings: ExtractionSettings, cached: Path) -> tuple[Path | None, str]:
    """The file of a clip's features, or None with the reason. An exception here would end all the workers."""
    try:
        if not cached.exists():
            with threadpool_limits(1):  # sums differ in the last bit with the number of threads
                extract_clip(path, settings).save(cached)
    except ClipRejected as error:
        return None, str(error)
    except Exception as error:
        return None, f"failed with {type(error).__name__}: {error}"
    return cached, ""


def _key(path: Path, settings: ExtractionSettings) -> str:
    """Digest of all that the features of a clip depend on."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    beside = path.with_suffix(LANDMARK_SUFFIX)  # a song's; what stands beside a video is none of its business
    landmarks = [beside] if path.suffix.lower() in AUDIO_SUFFIXES and beside.is_file() else []
    code = (video.__file__, audio.__file__, downbeats.__file__, detection.__file__, mocap.__file__, __file__)
    for source in [*map(Path, code), path, *landmarks]:
        with source.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
