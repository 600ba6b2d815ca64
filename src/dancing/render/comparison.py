"""Dances of several models to one song, side by side in one video."""

from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from dancing.media.song import SOUND_RATE
from dancing.media.video_writer import VideoWriter
from dancing.params import Render
from dancing.render import panels
from dancing.render.dance import DanceModels, generate_dance


def write_comparison(out: Path, sides: Mapping[str, DanceModels], render: Render) -> None:
    """Write the video, with the names above.

    Args:
        out: the mp4 file.
        sides: name -> models.
        render: the song and how it is rendered; `layout` and `format` are not used.

    Raises:
        UserError: the song can't be read.
    """
    height = render.height - panels.CAPTION_HEIGHT
    width = max(panels.panel_width(models.pose_model.space, height) for models in sides.values())
    fps = render.fps or max(models.pose_model.fps for models in sides.values())
    shown, length = {}, 0
    for name, models in sides.items():
        dance = generate_dance(models, render)
        poses = panels.resample(dance.landmarks, models.pose_model.fps, fps)
        length = len(poses)
        if models.image_model is None:
            shown[name] = panels.skeletons(poses, height, width)
        else:
            shown[name] = panels.generated(poses, models.image_model, height, width)
    with VideoWriter(
        out, fps, len(shown) * width, render.height, dance.song.sound(), SOUND_RATE, render.quality
    ) as video:
        for image in tqdm(panels.captioned(shown, width), total=length, desc="compare", unit=" frames", disable=None):
            video.write(image)
