"""What a video of a dance shows: a layout is a list of panels, a panel an iterator of pictures with a caption."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancing.body.skeleton import PoseSpace
from dancing.errors import UserError
from dancing.inference import Dancer, Painter
from dancing.media.video import VIDEO_SUFFIXES
from dancing.params import Params
from dancing.render import panels

VAE, GAN = Path("models/vae"), Path("models/gan")
Panel = Iterator[np.ndarray]  # (height, width, 3) uint8 each


@dataclass(frozen=True)
class Show:
    """A dance and the song that it belongs to; params.render says how they are shown."""

    song: panels.Song
    poses: np.ndarray  # (T, 33, 2) in [0, 1], at `fps`
    fps: float  # of the video
    space: PoseSpace
    painter: Painter | None
    params: Params

    @property
    def captioned(self) -> bool:
        return self.params.render.layout == "comparison"

    @property
    def height(self) -> int:
        """Of a panel, px."""
        return self.params.render.height - (panels.CAPTION_HEIGHT if self.captioned else 0)

    @property
    def width(self) -> int:
        """Of a panel, px."""
        return panels.panel_width(self.space, self.height)

    def panels(self) -> dict[str, Panel]:
        """The layout's panels by caption. One that can't be shown is left out, and why is printed.

        Raises UserError where none is left.
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

    def pictures(self, shown: Mapping[str, Panel]) -> Iterator[np.ndarray]:
        """The video's pictures, (params.render.height, panels * width, 3) uint8, one at a time."""
        return panels.captioned(shown, self.width) if self.captioned else panels.side_by_side(shown)


def _skeleton(show: Show) -> Panel:
    return panels.skeletons(show.poses, show.height, show.width)


def _ours(show: Show) -> Panel:
    if show.painter is None:
        raise UserError("gan.model is none, so nothing was trained to paint; choose another model")
    return panels.paintings(show.poses, show.painter, show.height, show.width)


def _real(show: Show) -> Panel:
    clip, data = show.song.path, show.params.data
    among = clip.parent.resolve().is_relative_to(Path(data.clips).resolve())
    if not among or clip.suffix.lower() not in VIDEO_SUFFIXES:
        raise UserError(f"{clip} is no video of data.clips ({data.clips}); let render.song or --song be one of them")
    return panels.recording(clip, show.fps, len(show.poses), data.fit, show.height, show.width)


def _seed(show: Show) -> Panel:
    """What the models that the project started from dance and paint."""
    try:
        dancer, painter = Dancer.load(VAE / "lstm/best.pt"), Painter.load(GAN / "dense/best.pt")
    except UserError as error:
        raise UserError(f"{error} (vae.baseline: true, gan.baseline: true)") from None
    poses = dancer.dance(show.song.features, show.params.render.seed, show.params.render.temperature)
    poses = panels.resample(painter.figure.fit(poses), dancer.fps, show.fps)
    return panels.paintings(poses, painter, show.height, show.width)


_LAYOUTS: dict[str, dict[str, Callable[[Show], Panel]]] = {
    "side_by_side": {"skeleton": _skeleton, "ours": _ours},
    "picture": {"ours": _ours},
    "skeleton": {"skeleton": _skeleton},
    "comparison": {"real": _real, "ours": _ours, "seed": _seed},
}
