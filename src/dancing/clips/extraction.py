"""Extract the features of every clip in a folder: audio features and poses, one row a frame, and a quality report."""

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
from dancing.files import atomic_write
from dancing.media import audio, video
from dancing.media.audio import AudioFeatures
from dancing.media.container import AUDIO_SUFFIXES, VIDEO_SUFFIXES, MediaError
from dancing.media.sound import read_audio, silences

LANDMARK_SUFFIX = ".npz"
#: A larger difference in length between a song and its landmarks, in seconds, is noted in the report.
_SAME_LENGTH_S = 1.0


class ClipRejectedError(UserError):
    """A clip cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class ExtractionSettings:
    """Everything besides the clip that its features depend on."""

    fps: float  # rows a second
    n_mfcc: int  # MFCC coefficients
    smooth_cutoff: float  # Hz, low-pass filter of detected landmarks; 0 = off
    max_gap_s: float  # seconds; a longer gap without a pose separates two segments
    min_length_s: float  # seconds; shorter segments are dropped
    min_detected: float  # share of the frames that must have a pose


@dataclass(frozen=True)
class ClipFeatures:
    """All that later stages need of a clip, except its frames. Audio and pose have the same number of rows."""

    audio: AudioFeatures
    pose: PoseTrack
    width: int  # pixels, of the upright image
    height: int  # pixels
    fps: float  # rows a second
    report: dict[str, Any]  # `QualityReport` and properties of the file, as plain values

    def save(self, path: str | os.PathLike) -> None:
        """Write all arrays to one .npz file, completely or not at all. The same features give the same bytes."""
        arrays = {**vars(self.audio), **vars(self.pose), "width": self.width, "height": self.height, "fps": self.fps}
        arrays["segments"] = np.array(self.pose.segments, np.int64).reshape(-1, 2)
        arrays["report"] = json.dumps(self.report, sort_keys=True)
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> ClipFeatures:
        """Read a file that `save` wrote."""
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
    """Extract the features of one clip.

    Args:
        path: a video, or a song with a landmark file of the same name in its folder (see `mocap`).
        settings: see `ExtractionSettings`.

    Raises:
        ClipRejectedError: the clip cannot be read, has no video, audio or landmarks, is too short, or has too few
            frames with a pose.
    """
    path, fps = Path(path), settings.fps
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    try:
        sound, track, source = (_read_video if is_video else _read_capture)(path, settings)
    except (MediaError, LandmarkFileError) as error:
        raise ClipRejectedError(str(error)) from error
    report = detection.quality(track, fps, has_sound=True)
    if report.detected < settings.min_detected:
        advice = "film the whole body, one person, in good light" if is_video else "a pose that contains NaN is ignored"
        raise ClipRejectedError(
            f"somebody is seen in {report.detected:.0%} of its frames, at least {settings.min_detected:.0%} needed: "
            f"{advice}"
        )
    if not track.segments:
        raise ClipRejectedError(
            f"no stretch of {settings.min_length_s:g} s with a pose and without a gap over {settings.max_gap_s:g} s "
            f"(longest gap {report.longest_gap:.1f} s)"
        )
    return ClipFeatures(
        audio=audio.extract(sound, fps, settings.n_mfcc, n_frames=len(track.landmarks)),
        pose=track,
        width=source["width"],
        height=source["height"],
        fps=fps,
        report={**asdict(report), "has_frames": is_video, **source},
    )


def _read_video(path: Path, settings: ExtractionSettings) -> tuple[np.ndarray, PoseTrack, dict[str, Any]]:
    """Audio samples (n,), poses, and the properties of the file for the report."""
    info = video.probe(path)
    _check_length(info.duration, settings)
    notes, rate = list(info.notes), audio.sample_rate_of(settings.fps)
    sound = read_audio(path, rate, notes=notes)
    silent = _silences(sound, rate, info.duration, notes)
    track = detection.track(
        video.read_frames(path, settings.fps),
        settings.fps,
        settings.smooth_cutoff,
        settings.max_gap_s,
        settings.min_length_s,
        left_out=[*info.gaps, *silent],
    )
    source = {
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "source_fps": info.fps,
        "variable_frame_rate": info.variable_frame_rate,
        "note": "; ".join(notes),
    }
    return sound, track, source


def _read_capture(path: Path, settings: ExtractionSettings) -> tuple[np.ndarray, PoseTrack, dict[str, Any]]:
    """Like `_read_video`, for a song and its landmark file. The longer of the two is cut.

    The landmarks are not smoothed: only detected landmarks have jitter, measured ones don't.
    """
    landmarks = path.with_suffix(LANDMARK_SUFFIX)
    if path == landmarks:
        raise ClipRejectedError(
            f"landmarks without their song: put it beside them, named {path.stem}.mp3, .wav, .ogg or so"
        )
    if not landmarks.is_file():
        raise ClipRejectedError(
            f"a song without a dance: it needs its landmarks beside it ({landmarks.name}), or use a video instead; a "
            "song for rendering (render.song) belongs in another folder"
        )
    capture = mocap.read(landmarks)
    notes, rate = list[str](), audio.sample_rate_of(settings.fps)
    sound = read_audio(path, rate, notes=notes)
    song = len(sound) / rate  # s
    common = min(song, capture.duration)
    _check_length(common, settings)
    if abs(song - capture.duration) > _SAME_LENGTH_S:
        notes.append(f"song {song:.1f} s, landmarks {capture.duration:.1f} s: the first {common:.1f} s are used")
    silent = _silences(sound, rate, common, notes)
    raw, visibility = mocap.resample(capture, settings.fps, n_frames=int(common * settings.fps + 0.5))
    track = detection.assemble(
        raw, visibility, settings.fps, settings.max_gap_s, settings.min_length_s, left_out=silent
    )
    source = {
        "width": capture.width, "height": capture.height, "source_fps": capture.fps, "note": "; ".join(notes)
    }  # fmt: skip
    return sound, track, source


def _silences(sound: np.ndarray, rate: int, duration: float, notes: list[str]) -> list[tuple[float, float]]:
    """The silent stretches, which are left out: there is no music to learn from. Each gets a note."""
    silent = silences(sound, rate, duration)
    notes += [f"silent from {start:.1f} s to {stop:.1f} s: this part is left out" for start, stop in silent]
    return silent


def _check_length(duration: float, settings: ExtractionSettings) -> None:
    if duration < settings.min_length_s:
        raise ClipRejectedError(f"{duration:.2f} s long, at least {settings.min_length_s:g} s needed")


def list_clips(folder: str | os.PathLike) -> dict[str, Path]:
    """List the clips in a folder and its subfolders: videos, and songs with landmark files.

    A song without landmarks is listed too, and so are landmarks without a song, so that `extract_clip` can report what
    is missing. A song or landmark file with the same path as a video, apart from the suffix, belongs to the video and
    is not listed.

    Returns:
        Path of each clip by its name, sorted. The name is the path relative to the folder with "__" for "/". It has no
        suffix, unless two clips would have the same name.

    Raises:
        MediaError: the folder is missing or contains no clip, two clips have the same name, or two songs have the same
            landmark file.
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
    """Write ``out_dir/<name>.npz`` for every clip that can be used; the others are reported with the reason.

    Features are cached in ``cache_dir`` under a digest of the clip, the settings and the code, so that only new clips
    need to be processed.

    Args:
        folder: see `list_clips`.
        out_dir: made if missing; all .npz files in it are replaced.
        settings: see `ExtractionSettings`.
        cache_dir: made if missing; may be shared, and may be deleted.
        jobs: clips processed in parallel; -1 for one a core. A joblib backend can distribute them over machines.

    Returns:
        One report a clip, sorted by name: "clip" (name), "file", "used" and "reason" (why it is not used). For used
        clips also the fields of `QualityReport`, "has_frames" (it is a video), the size, the frame rate of the file,
        and "note" (a warning, or "").

    Raises:
        MediaError: there is no clip, or none can be used; the message lists the reasons.
    """
    clips = list_clips(folder)
    out_dir, cache_dir = Path(out_dir), Path(cache_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    cache_dir.mkdir(parents=True, exist_ok=True)
    for stale in out_dir.glob("*.npz"):
        stale.unlink()

    files = {name: cache_dir / f"{_key(path, settings)}.npz" for name, path in clips.items()}
    parallel = joblib.Parallel(n_jobs=min(joblib.effective_n_jobs(jobs), len(clips)), return_as="generator")
    results = parallel(joblib.delayed(_extract_cached)(path, settings, files[name]) for name, path in clips.items())
    reports = []
    progress = tqdm(results, total=len(clips), unit="clip", desc="extract", disable=None)  # on terminals only
    for (name, path), (cached, reason) in zip(clips.items(), progress, strict=True):
        report = {"clip": name, "file": path.relative_to(folder).as_posix(), "used": not reason, "reason": reason}
        if cached is not None:
            with atomic_write(out_dir / f"{name}.npz") as partial:
                shutil.copyfile(cached, partial)
            report |= ClipFeatures.load(cached).report
        reports.append(report)
    if not any(report["used"] for report in reports):
        reasons = "\n".join(f"  {report['file']}: {report['reason']}" for report in reports)
        raise MediaError(f"{folder}: no clip can serve:\n{reasons}")
    return reports


def _extract_cached(path: Path, settings: ExtractionSettings, cached: Path) -> tuple[Path | None, str]:
    """The cached features of a clip and "", or None and the reason. An exception would end all workers."""
    try:
        if not cached.exists():
            with threadpool_limits(1):  # the number of threads changes the last bit of sums
                extract_clip(path, settings).save(cached)
    except ClipRejectedError as error:
        return None, str(error)
    except Exception as error:
        return None, f"failed with {type(error).__name__}: {error}"
    return cached, ""


def _key(path: Path, settings: ExtractionSettings) -> str:
    """Digest of everything that the features of a clip depend on."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    capture = path.with_suffix(LANDMARK_SUFFIX)  # used for songs only, not for videos
    landmarks = [capture] if path.suffix.lower() in AUDIO_SUFFIXES and capture.is_file() else []
    folders = Path(video.__file__).parent, Path(detection.__file__).parent
    code = [*(file for folder in folders for file in sorted(folder.glob("*.py"))), Path(__file__)]
    for source in [*code, path, *landmarks]:
        with source.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
