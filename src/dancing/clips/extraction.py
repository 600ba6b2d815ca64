"""Extract the features of every clip in a folder: audio features and poses, one row a frame, and a quality report."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import cv2
import joblib
import numpy as np
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dancing.body import detection, mocap
from dancing.body.detection import PoseTrack
from dancing.body.masks import MaskTrack
from dancing.body.mocap import LandmarkFileError
from dancing.clips import cluster
from dancing.clips.advice import advice
from dancing.clips.listing import LANDMARK_SUFFIX, list_clips
from dancing.errors import UserError
from dancing.files import atomic_write
from dancing.media import audio, video
from dancing.media.audio import AudioFeatures
from dancing.media.container import AUDIO_SUFFIXES, VIDEO_SUFFIXES, MediaError
from dancing.media.sound import read_audio, silences
from dancing.npz import read_npz
from dancing.params import Features

#: A larger difference in length between a song and its landmarks, in seconds, is noted in the report.
_SAME_LENGTH_S = 1.0
_MAX_BYTES = 2**32  # of a feature file; a day of dance takes half of it
_THUMBNAIL_PX = 240  # the longer side


class ClipRejectedError(UserError):
    """A clip cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class ExtractionSettings:
    """Everything besides the clip that its features depend on."""

    fps: float  # rows a second
    n_mfcc: int  # MFCC coefficients
    detect_every: int  # frames of a video from one detected pose to the next
    smooth_cutoff: float  # Hz, low-pass filter of detected landmarks; 0 = off
    max_gap_s: float  # seconds; a longer gap without a pose separates two segments
    min_length_s: float  # seconds; shorter segments are dropped
    min_detected: float  # share of the frames that must have a pose

    @classmethod
    def of(cls, features: Features) -> ExtractionSettings:
        """The settings that the section features of params.yaml asks for."""
        return cls(
            fps=features.fps,
            n_mfcc=features.n_mfcc,
            detect_every=features.detect_every,
            smooth_cutoff=features.smooth_cutoff,
            max_gap_s=features.max_gap,
            min_length_s=features.min_length,
            min_detected=features.min_detected,
        )


@dataclass(frozen=True)
class ClipFeatures:
    """All that later stages need of a clip, except its frames. Audio and pose have the same number of rows."""

    audio: AudioFeatures
    pose: PoseTrack
    width: int  # pixels, of the upright image
    height: int  # pixels
    fps: float  # rows a second
    thumbnail: np.ndarray  # (H, W, 3) uint8, a frame from the middle; without pixels if the clip has no video
    thumbnail_frame: int  # its row
    report: dict[str, Any]  # `QualityReport` and properties of the file, as plain values

    def save(self, path: str | os.PathLike) -> None:
        """Write all arrays to one .npz file, completely or not at all. The same features give the same bytes."""
        arrays = {**vars(self.audio), **vars(self.pose), "width": self.width, "height": self.height, "fps": self.fps}
        arrays |= vars(arrays.pop("masks"))
        arrays |= {"thumbnail": self.thumbnail, "thumbnail_frame": self.thumbnail_frame}
        arrays["segments"] = np.array(self.pose.segments, np.int64).reshape(-1, 2)
        arrays["report"] = json.dumps(self.report, sort_keys=True)
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> ClipFeatures:
        """Read a file that `save` wrote.

        Raises:
            UserError: the file is missing or broken, or somebody else wrote it.
        """
        keys = [field.name for kind in (cls, AudioFeatures, PoseTrack, MaskTrack) for field in fields(kind)]
        try:
            arrays = read_npz(path, keys, _MAX_BYTES)
            stored: dict[str, Any] = {key: value if value.ndim else value.item() for key, value in arrays.items()}
            stored["segments"] = [(int(start), int(stop)) for start, stop in stored["segments"]]
            stored["masks"] = MaskTrack(**{field.name: stored[field.name] for field in fields(MaskTrack)})
            features = cls(
                audio=AudioFeatures(**{field.name: stored[field.name] for field in fields(AudioFeatures)}),
                pose=PoseTrack(**{field.name: stored[field.name] for field in fields(PoseTrack)}),
                width=stored["width"],
                height=stored["height"],
                fps=stored["fps"],
                thumbnail=stored["thumbnail"],
                thumbnail_frame=stored["thumbnail_frame"],
                report=json.loads(stored["report"]),
            )
            features._check()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(
                f"{path}: not a file of the stage extract_features ({reason}); delete it and run the stage again"
            ) from None
        return features

    def _check(self) -> None:
        """Raise ValueError where the arrays don't belong together."""
        T = len(self.pose.landmarks)
        of_beats = ("beats", "tempo")  # not one row a frame
        rows = [value for key, value in vars(self.audio).items() if key not in of_beats]
        if any(len(value) != T or value.dtype.kind != "f" for value in [*rows, self.pose.visibility]):
            raise ValueError("its arrays differ in length, or hold no numbers")
        if self.pose.landmarks.shape[1:] != (33, 2) or self.pose.landmarks.dtype.kind != "f":
            raise ValueError(f"landmarks is {self.pose.landmarks.shape}, expected ({T}, 33, 2)")
        if not all(0 <= start < stop <= T for start, stop in self.pose.segments):
            raise ValueError(f"segments is {self.pose.segments}, in {T} frames")
        self.pose.masks.check(T)
        if not (self.fps > 0 and self.width > 0 and self.height > 0):
            raise ValueError(f"fps, width and height are {self.fps}, {self.width} and {self.height}")


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
        sound, track, source, thumbnail = (_read_video if is_video else _read_capture)(path, settings)
    except (MediaError, LandmarkFileError, av.FFmpegError) as error:
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
        thumbnail=thumbnail.picture,
        thumbnail_frame=thumbnail.frame,
        report={**asdict(report), "has_frames": is_video, **source},
    )


class _Thumbnail:
    """Keeps a small copy of one frame of those that pass by."""

    def __init__(self, frame: int) -> None:
        self.frame = frame
        self.picture: np.ndarray = np.zeros((0, 0, 3), np.uint8)

    def watch(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the frames."""
        for k, frame in enumerate(frames):
            if k == self.frame:
                scale = _THUMBNAIL_PX / max(frame.shape[:2])
                size = (max(round(frame.shape[1] * scale), 1), max(round(frame.shape[0] * scale), 1))
                self.picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
            yield frame


_Read = tuple[np.ndarray, PoseTrack, dict[str, Any], _Thumbnail]


def _read_video(path: Path, settings: ExtractionSettings) -> _Read:
    """Audio samples (n,), poses, the properties of the file for the report, and a thumbnail."""
    info = video.probe(path)
    _check_length(info.duration, settings)
    notes, rate = list(info.notes), audio.sample_rate_of(settings.fps)
    sound = read_audio(path, rate, notes=notes)
    silent = _silences(sound, rate, info.duration, notes)
    thumbnail = _Thumbnail(int(info.duration * settings.fps) // 2)
    track = detection.track(
        thumbnail.watch(video.read_frames(path, settings.fps)),
        settings.fps,
        settings.detect_every,
        settings.smooth_cutoff,
        settings.max_gap_s,
        settings.min_length_s,
        left_out=[*info.gaps, *silent],
        notes=notes,
    )
    source = {
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "source_fps": info.fps,
        "variable_frame_rate": info.variable_frame_rate,
        "notes": notes,
    }
    return sound, track, source, thumbnail


def _read_capture(path: Path, settings: ExtractionSettings) -> _Read:
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
        "width": capture.width, "height": capture.height, "source_fps": capture.fps, "notes": notes
    }  # fmt: skip
    return sound, track, source, _Thumbnail(0)


def _silences(sound: np.ndarray, rate: int, duration: float, notes: list[str]) -> list[tuple[float, float]]:
    """The silent stretches, which are left out: there is no music to learn from. Each gets a note."""
    silent = silences(sound, rate, duration)
    notes += [f"silent from {start:.1f} s to {stop:.1f} s: this part is left out" for start, stop in silent]
    return silent


def _check_length(duration: float, settings: ExtractionSettings) -> None:
    if duration < settings.min_length_s:
        raise ClipRejectedError(f"{duration:.2f} s long, at least {settings.min_length_s:g} s needed")


def extract_folder(
    folder: str | os.PathLike,
    out_dir: str | os.PathLike,
    settings: ExtractionSettings,
    cache_dir: str | os.PathLike,
    jobs: int = -1,
    scheduler: str | None = None,
) -> list[dict[str, Any]]:
    """Write ``out_dir/<name>.npz`` for every clip that can be used; the others are reported with the reason.

    Features are cached in ``cache_dir`` under a digest of the clip, the settings and the code, so that only new clips
    need to be processed. A clip is refused for what is in it. Other faults, such as a full disk, end the extraction.

    Args:
        folder: see `list_clips`.
        out_dir: made if missing; all .npz files in it are replaced.
        settings: see `ExtractionSettings`.
        cache_dir: made if missing; may be shared, and may be deleted.
        jobs: clips processed in parallel; -1 for one a core.
        scheduler: address of a Dask scheduler, whose workers extract the clips instead of this machine. They need the
            clips and the cache in the same place.

    Returns:
        One report a file, sorted by path: "clip" (name; None if it is no clip), "file", "used", "reason" (why it is not
        used) and "notes" (list of oddities). For used clips also the fields of `QualityReport`, "has_frames" (it is a
        video), the size, and the frame rate of the file.

    Raises:
        MediaError: there is no such folder.
        UserError: the cluster can't be used, see `cluster.run`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MediaError(f"data.clips: {folder} is no folder: put dance clips there")
    # Absolute, because joblib's workers outlive a call, and keep the current folder that they were started in.
    folder, out_dir, cache_dir = folder.absolute(), Path(out_dir), Path(cache_dir).absolute()
    listing = list_clips(folder)
    out_dir.mkdir(parents=True, exist_ok=True)
    cache_dir.mkdir(parents=True, exist_ok=True)
    for stale in out_dir.glob("*.npz"):
        stale.unlink()
    reports = [_report(None, file, reason) for file, reason in listing.refused.items()]
    # The largest first: a long clip that starts last would leave all cores but one idle at the end.
    clips = sorted(listing.clips.items(), key=lambda clip: clip[1].stat().st_size, reverse=True)
    todo = {name: (path, settings, cache_dir / f"{_key(path, settings)}.npz") for name, path in clips}
    progress = tqdm(_extract_all(todo, jobs, scheduler), total=len(todo), unit="clip", desc="extract", disable=None)
    for name, reason in progress:  # the bar is shown on terminals only
        path, _, cached = todo[name]
        report = _report(name, path.relative_to(folder).as_posix(), reason)
        if not reason:
            with atomic_write(out_dir / f"{name}.npz") as partial:
                shutil.copyfile(cached, partial)
            features = ClipFeatures.load(cached)
            report |= features.report
            report["notes"] = [*report["notes"], *advice(features.pose, report["duration"])]
        reports.append(report)
    return sorted(reports, key=lambda report: report["file"])


def _report(name: str | None, file: str, reason: str) -> dict[str, Any]:
    return {"clip": name, "file": file, "used": not reason, "reason": reason, "notes": []}


_Task = tuple[Path, ExtractionSettings, Path]  # clip, settings, file in the cache


def _extract_all(todo: dict[str, _Task], jobs: int, scheduler: str | None) -> Iterator[tuple[str, str]]:
    """Extract the clips, here or on a cluster. Yields the name of each, and why it is refused, or ""."""
    waiting = dict(todo)
    results = _over_cluster(todo, scheduler) if scheduler else _over_cores(todo, jobs)
    with suppress(TerminatedWorkerError):  # a native crash, or out of memory: which clip did it?
        for name, reason in results:
            del waiting[name]
            yield name, reason
    for name, task in waiting.items():
        yield name, _extract_alone(task)


def _over_cores(todo: dict[str, _Task], jobs: int) -> Iterator[tuple[str, str]]:
    if jobs == 1:
        results = (_extract_cached(*task) for task in todo.values())
    else:
        workers = max(min(joblib.effective_n_jobs(jobs), len(todo)), 2)  # one would be this process
        parallel = joblib.Parallel(workers, return_as="generator")
        results = parallel(joblib.delayed(_extract_cached)(*task) for task in todo.values())
    yield from zip(todo, results, strict=True)


def _over_cluster(todo: dict[str, _Task], scheduler: str) -> Iterator[tuple[str, str]]:
    """Only clips that are not in the cache go to the cluster; those whose workers died are left out."""
    # The folder is listed, because NFS goes on saying that a file is missing to whom it has once said so.
    present = {file for folder in {task[2].parent for task in todo.values()} for file in folder.iterdir()}
    missing = {name: task for name, task in todo.items() if task[2] not in present}
    yield from ((name, "") for name in todo if name not in missing)
    if missing:
        tasks = {name: (str(path), asdict(s), str(cached.absolute())) for name, (path, s, cached) in missing.items()}
        shared = next(iter(missing.values()))[2].parent
        yield from cluster.run(scheduler, f"{__name__}:extract_shared", tasks, shared)


def extract_shared(path: str, settings: dict[str, Any], cached: str) -> str:
    """Like `_extract_cached`, for another machine: the file in the cache is the one that is wanted there, or none.

    Raises:
        UserError: the clip or the code differs from that of the machine which asks.
    """
    clip, asked = Path(path), ExtractionSettings(**settings)
    if not clip.is_file() or f"{_key(clip, asked)}.npz" != Path(cached).name:
        raise UserError(
            f"features.cluster: on {platform.node()}, {path} is missing or another file, or the code is another "
            "version: share the folder of clips with all machines, and start workers anew when the code changes"
        )
    return _extract_cached(clip, asked, Path(cached))


def _extract_alone(task: _Task) -> str:
    """Like `_extract_cached`, in a process of its own, whose crash refuses the clip."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_extract_cached, *task).result()
        except BrokenProcessPool:
            return "reading it crashed, or took too much memory: convert it again, or make it smaller"


def _extract_cached(path: Path, settings: ExtractionSettings, cached: Path) -> str:
    """Write the features of a clip into the cache if they are not there. Returns why the clip is refused, or ""."""
    try:
        if not cached.exists():
            with threadpool_limits(1):  # the number of threads changes the last bit of sums
                extract_clip(path, settings).save(cached)
    except ClipRejectedError as error:
        return str(error).removeprefix(f"{path}: ")
    except Exception as error:
        error.add_note(f"while the features of {path} were extracted")
        raise
    return ""


def _code() -> bytes:
    """Digest of the code that features depend on."""
    folders = Path(video.__file__).parent, Path(detection.__file__).parent
    digest = hashlib.sha256()
    for source in [*(file for folder in folders for file in sorted(folder.glob("*.py"))), Path(__file__)]:
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.digest()


#: Of the code that this process runs. The workers of a cluster may live longer than the files it was read from.
_CODE = _code()


def _key(path: Path, settings: ExtractionSettings) -> str:
    """Digest of everything that the features of a clip depend on."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode() + _CODE)
    capture = path.with_suffix(LANDMARK_SUFFIX)  # used for songs only, not for videos
    landmarks = [capture] if path.suffix.lower() in AUDIO_SUFFIXES and capture.is_file() else []
    for source in [path, *landmarks]:
        with source.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
