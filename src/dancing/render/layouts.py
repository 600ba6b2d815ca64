"""Videos of a dance. A layout is a list of panels; a panel is an iterator of images with a caption."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dancing.body.skeleton import PoseSpace
from dancing.errors import UserError
from dancing.media.container import VIDEO_SUFFIXES
from dancing.media.song import SOUND_RATE, Song
from dancing.media.video_writer import VideoWriter
from dancing.music_to_pose.inference import MusicToPose
from dancing.params import Params
from dancing.pose_to_image.inference import PoseToImage
from dancing.render import panels
from dancing.render.plots import still

LSTM_BASELINE, DENSE_BASELINE = Path("models/vae/lstm/best.pt"), Path("models/gan/dense/best.pt")
Panel = Iterator[np.ndarray]  # images (height, width, 3) uint8


@dataclass(frozen=True)
class DanceVideo:
    """A dance and its song, to be written as a video as params.render describes."""

    song: Song
    poses: np.ndarray  # (T, 33, 2) in [0, 1], at `fps`
    fps: float  # of the video
    space: PoseSpace
    image_model: PoseToImage | None  # None where gan.model is none
    params: Params

    @property
    def captioned(self) -> bool:
        """Whether the panels have captions."""
        return self.params.render.layout == "comparison"

    @property
    def height(self) -> int:
        """Height of a panel, px."""
        return self.params.render.height - (panels.CAPTION_HEIGHT if self.captioned else 0)

    @property
    def width(self) -> int:
        """Width of a panel, px."""
        return panels.panel_width(self.space, self.height)

    def panels(self) -> dict[str, Panel]:
        """Return the layout's panels by caption. One that can't be shown is left out, and the reason is printed.

        Raises:
            UserError: where none is left.
        """
        layout, shown = self.params.render.layout, {}
        for name, panel in _LAYOUTS[layout].items():
            try:
                shown[name] = panel(self)
            except UserError as error:
                print(f"No panel {name!r}: {error}")
        if not shown:
            raise UserError(f"nothing is left of the layout {layout}; choose another with render.layout or --layout")
        return shown

    def images(self, shown: Mapping[str, Panel]) -> Iterator[np.ndarray]:
        """Yield the video's images, (params.render.height, panels * width, 3) uint8."""
        return panels.captioned(shown, self.width) if self.captioned else panels.side_by_side(shown)

    def write(self, out: Path) -> list[np.ndarray]:
        """Write the video, and print its length and the rendering speed.

        Args:
            out: file to write.

        Returns:
            `render.stills` evenly spaced images for the contact sheet.

        Raises:
            UserError: where no panel can be shown.
        """
        render, frames, shown = self.params.render, len(self.poses), self.panels()
        on_sheet = set(np.linspace(0, frames - 1, render.stills).astype(int))
        stills, start = [], time.perf_counter()
        with VideoWriter(
            out, self.fps, width=len(shown) * self.width, height=render.height, audio=self.song.sound(),
            sample_rate=SOUND_RATE, crf=render.quality,
        ) as video:  # fmt: skip
            bar = tqdm(self.images(shown), desc="render", total=frames, unit=" frames", disable=None)
            for k, image in enumerate(bar):
                video.write(image)
                if k in on_sheet:
                    stills.append(still(image))
        print(f"{out}: {frames} frames, {frames / (time.perf_counter() - start):.0f} frames/s")
        return stills


def _skeleton(video: DanceVideo) -> Panel:
    """The poses as skeletons."""
    return panels.skeletons(video.poses, video.height, video.width)


def _ours(video: DanceVideo) -> Panel:
    """The poses as images of the trained generator. Raises UserError where there is none."""
    if video.image_model is None:
        raise UserError("gan.model is none, so no generator of images was trained; choose another model")
    return panels.generated(video.poses, video.image_model, video.height, video.width)


def _real(video: DanceVideo) -> Panel:
    """The clip that the song is from. Raises UserError where the song is not the sound of a clip."""
    clip, data = video.song.path, video.params.data
    among = clip.parent.resolve().is_relative_to(Path(data.clips).resolve())
    if not among or clip.suffix.lower() not in VIDEO_SUFFIXES:
        raise UserError(f"{clip} is no video of data.clips ({data.clips}); set render.song or --song to one of them")
    return panels.recording(clip, video.fps, len(video.poses), data.fit, video.height, video.width)


def _baseline(video: DanceVideo) -> Panel:
    """Poses and images of the original models, LSTM-VAE and dense GAN. Raises UserError where they are missing."""
    try:
        pose_model, image_model = MusicToPose.load(LSTM_BASELINE), PoseToImage.load(DENSE_BASELINE)
    except UserError as error:
        raise UserError(f"{error} (vae.baseline: true, gan.baseline: true)") from None
    render = video.params.render
    poses = pose_model.generate(video.song.features, render.seed, render.temperature)
    poses = panels.resample(image_model.placement.fit(poses), pose_model.fps, video.fps)
    return panels.generated(poses, image_model, video.height, video.width)


_LAYOUTS: dict[str, dict[str, Callable[[DanceVideo], Panel]]] = {
    "side_by_side": {"skeleton": _skeleton, "ours": _ours},
    "picture": {"ours": _ours},
    "skeleton": {"skeleton": _skeleton},
    "comparison": {"real": _real, "ours": _ours, "baseline": _baseline},
}
