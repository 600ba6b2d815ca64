"""Videos of a dance. A layout is a list of panels; a panel is an iterator of images with a caption."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from dancing.errors import UserError
from dancing.media.container import VIDEO_SUFFIXES
from dancing.media.song import SOUND_RATE, Song
from dancing.media.video_writer import VideoWriter
from dancing.params import Params
from dancing.render import panels
from dancing.render.plots import still

if TYPE_CHECKING:
    from dancing.render.dance import DanceModels

#: Width and height of a video, px, by `render.format`.
FORMATS = {"portrait": (1080, 1920), "landscape": (1920, 1080), "square": (1080, 1080)}
Panel = Iterator[np.ndarray]  # images (height, width, 3) uint8
OnFrame = Callable[[int, int], None]


@dataclass(frozen=True)
class DanceVideo:
    """A dance and its song, to be written as a video as params.render describes."""

    song: Song
    poses: np.ndarray  # (T, 33, 2) in [0, 1], at `fps`
    fps: float  # of the video
    models: "DanceModels"
    params: Params

    @property
    def captioned(self) -> bool:
        """Whether the panels have captions."""
        return self.params.render.layout == "comparison"

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the video, px; None where they follow from the panels."""
        return FORMATS.get(self.params.render.format)

    @property
    def height(self) -> int:
        """Height of a panel, px: as large as all panels of the layout fit into the video."""
        space, caption = self.models.pose_model.space, panels.CAPTION_HEIGHT if self.captioned else 0
        if self.size is None:
            return self.params.render.height - caption
        width, height = self.size
        widest = width // len(_LAYOUTS[self.params.render.layout])
        return min(height - caption, widest * space.height // space.width) // 2 * 2

    @property
    def width(self) -> int:
        """Width of a panel, px."""
        return panels.panel_width(self.models.pose_model.space, self.height)

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
        """Yield the video's images, (height, width, 3) uint8: the panels side by side, in the middle of `size`."""
        images = panels.captioned(shown, self.width) if self.captioned else panels.side_by_side(shown)
        return images if self.size is None else (panels.centred(image, *self.size) for image in images)

    def write(self, out: Path, on_frame: OnFrame | None = None) -> list[np.ndarray]:
        """Write the video, and print its length and the rendering speed.

        Args:
            out: file to write.
            on_frame: called after each frame with its number, from 1, and the number of all.

        Returns:
            `render.stills` evenly spaced images for the contact sheet.

        Raises:
            UserError: where no panel can be shown.
        """
        render, frames, shown = self.params.render, len(self.poses), self.panels()
        on_sheet = set(np.linspace(0, frames - 1, render.stills).astype(int))
        stills, start = [], time.perf_counter()
        width, height = self.size or (len(shown) * self.width, render.height)
        with VideoWriter(
            out, self.fps, width=width, height=height, audio=self.song.sound(), sample_rate=SOUND_RATE,
            crf=render.quality,
        ) as video:  # fmt: skip
            bar = tqdm(self.images(shown), desc="render", total=frames, unit=" frames", disable=None)
            for k, image in enumerate(bar):
                video.write(image)
                if k in on_sheet:
                    stills.append(still(image))
                if on_frame:
                    on_frame(k + 1, frames)
        print(f"{out}: {frames} frames, {frames / (time.perf_counter() - start):.0f} frames/s")
        return stills


def _skeleton(video: DanceVideo) -> Panel:
    """The poses as skeletons."""
    return panels.skeletons(video.poses, video.height, video.width)


def _ours(video: DanceVideo) -> Panel:
    """The poses as images of the trained generator. Raises UserError where there is none."""
    if video.models.image_model is None:
        raise UserError("gan.model is none, so no generator of images was trained; choose another model")
    return panels.generated(video.poses, video.models.image_model, video.height, video.width)


def _real(video: DanceVideo) -> Panel:
    """The clip that the song is from. Raises UserError where the song is not the sound of a clip."""
    clip, data = video.song.path, video.params.data
    among = clip.parent.resolve().is_relative_to(Path(data.clips).resolve())
    if not among or clip.suffix.lower() not in VIDEO_SUFFIXES:
        raise UserError(f"{clip} is no video of data.clips ({data.clips}); set render.song or --song to one of them")
    return panels.recording(clip, video.fps, len(video.poses), data.fit, video.height, video.width, video.song.start)


def _baseline(video: DanceVideo) -> Panel:
    """Poses and images of the original models, LSTM-VAE and dense GAN. Raises UserError where they are missing."""
    try:
        pose_model, image_model = video.models.load_baselines()
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
