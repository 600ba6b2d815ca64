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

from dancing import audio, bars, pose, video
from dancing.audio import AudioFeatures
from dancing.errors import UserError
from dancing.pose import PoseTrack
from dancing.video import VIDEO_SUFFIXES, MediaError


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
        path = Path(path)
        arrays = {**vars(self.audio), **vars(self.pose), "width": self.width, "height": self.height, "fps": self.fps}
        arrays["segments"] = np.array(self.pose.segments, np.int64).reshape(-1, 2)
        arrays["report"] = json.dumps(self.report, sort_keys=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, **arrays)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

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
    """Features of one clip.

    Raises:
        ClipRejected: the clip cannot be read, has no picture or no sound, is too short, or hardly shows anybody.
    """
    fps = settings.fps
    try:
        info = video.probe(path)
        if info.duration < settings.min_length_s:
            raise ClipRejected(f"{info.duration:.2f} s long, at least {settings.min_length_s:g} s needed")
        sound = video.read_audio(path, audio.sample_rate_for(fps))
        track = pose.track(
            video.read_frames(path, fps),
            fps,
            settings.smooth_cutoff,
            settings.max_gap_s,
            settings.min_length_s,
        )
    except MediaError as error:
        raise ClipRejected(str(error)) from error
    report = pose.quality(track, fps, info.has_audio)
    if report.detected < settings.min_detected:
        raise ClipRejected(
            f"somebody is seen in {report.detected:.0%} of its frames, at least {settings.min_detected:.0%} needed: "
            "film the whole body, one person, in good light"
        )
    if not track.segments:
        raise ClipRejected(
            f"no stretch of {settings.min_length_s:g} s without a gap over {settings.max_gap_s:g} s in which "
            f"somebody is seen (longest gap {report.longest_gap:.1f} s)"
        )
    source = {
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "source_fps": info.fps,
        "variable_frame_rate": info.variable_frame_rate,
    }
    return ClipFeatures(
        audio=audio.extract(sound, fps, settings.n_mfcc, n_frames=len(track.landmarks)),
        pose=track,
        width=info.width,
        height=info.height,
        fps=fps,
        report={**asdict(report), **source},
    )


def list_clips(folder: str | os.PathLike) -> dict[str, Path]:
    """Clips in a folder and those below it, by name, sorted.

    A clip's name is its path in the folder without the suffix, "/" written as "__"; the suffix stays where two clips
    would have one name.

    Raises:
        MediaError: the folder is missing or holds no clip, or two clips cannot be told apart by name.
    """
    folder = Path(folder)
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not paths:
        state = "holds no clip" if folder.is_dir() else "is no folder"
        raise MediaError(f"{folder} {state}: put dance clips there ({', '.join(VIDEO_SUFFIXES)})")
    full = {path: "__".join(path.relative_to(folder).parts) for path in paths}
    short = {path: name.removesuffix(path.suffix) for path, name in full.items()}
    shared = Counter(short.values())
    clips = {full[path] if shared[short[path]] > 1 else short[path]: path for path in paths}
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
        what `QualityReport` holds and its size, codec and own frame rate.

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
    for source in (video.__file__, audio.__file__, bars.__file__, pose.__file__, __file__, path):
        with open(source, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
