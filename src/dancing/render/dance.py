"""A dance to a song: poses from the music, and a video of them. The stage render, `dancing` and MLflow use it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancing.files import atomic_write
from dancing.media.song import Song, read_song
from dancing.music_to_pose.beat_warping import warp_to_beats
from dancing.music_to_pose.inference import MusicToPose
from dancing.params import Params, Render
from dancing.pose_to_image.inference import PoseToImage, load_generator
from dancing.render import panels
from dancing.render.layouts import DanceVideo, OnFrame


@dataclass(frozen=True)
class DanceModels:
    """The two trained models of a dancer.

    Attributes:
        pose_model: from music to poses.
        image_model: from poses to images; None where `gan.model` was none.
        vae: the output folder of train_vae.
        gan: the output folder of train_gan.
    """

    pose_model: MusicToPose
    image_model: PoseToImage | None
    vae: Path
    gan: Path

    @classmethod
    def load(cls, vae: Path, gan: Path, guidance: float) -> "DanceModels":
        """Load the models from the output folders of the training stages.

        Raises:
            UserError: a checkpoint is missing or can't be read.
        """
        return cls(MusicToPose.load(vae / "best.pt", guidance), load_generator(gan), vae, gan)

    def load_baselines(self) -> tuple[MusicToPose, PoseToImage]:
        """Load the original models that were trained beside these.

        Raises:
            UserError: there are none, or they can't be read.
        """
        return MusicToPose.load(self.vae / "lstm/best.pt"), PoseToImage.load(self.gan / "dense/best.pt")


@dataclass(frozen=True)
class Dance:
    """Generated poses and the song that they belong to."""

    song: Song
    landmarks: np.ndarray  # (T, 33, 2) in [0, 1], a pose for each row of the song's features

    def save(self, path: Path, models: DanceModels) -> None:
        """Write the poses, their frame rate, the size of the image and the beats (s) as .npz."""
        space = models.pose_model.space
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file, landmarks=self.landmarks, fps=models.pose_model.fps, width=space.width, height=space.height,
                beats=self.song.beats,
            )  # fmt: skip


def generate_dance(models: DanceModels, render: Render) -> Dance:
    """Read the song of `render` and generate its dance, fitted to the person in the images.

    Raises:
        UserError: the song can't be read.
    """
    pose_model, image_model = models.pose_model, models.image_model
    song = read_song(Path(render.song), pose_model.fps, pose_model.n_mfcc, render.seconds, render.start)
    landmarks = pose_model.generate(song.features, render.seed, render.temperature)
    if render.beat_warp:
        pixels = np.array([pose_model.space.width, pose_model.space.height], dtype=np.float32)
        landmarks = warp_to_beats(landmarks * pixels, song.beats, pose_model.fps, render.beat_warp) / pixels
    return Dance(song, image_model.placement.fit(landmarks) if image_model else landmarks)


def write_dance(
    out: Path, dance: Dance, models: DanceModels, params: Params, on_frame: OnFrame | None = None
) -> list[np.ndarray]:
    """Write the video of a dance with its song, and its poses next to it as .npz.

    Args:
        out: the mp4 file.
        dance: to be shown.
        models: that generated it, and generate its images.
        params: `render` and `data` are used.
        on_frame: called after each frame with its number, from 1, and the number of all.

    Returns:
        The images of the contact sheet.

    Raises:
        UserError: no panel of the layout can be shown.
    """
    danced_fps = models.pose_model.fps
    fps = params.render.fps or danced_fps
    poses = panels.resample(dance.landmarks, danced_fps, fps)
    stills = DanceVideo(dance.song, poses, fps, models, params).write(out, on_frame)
    dance.save(out.with_suffix(".npz"), models)
    return stills
