"""Makes an animated WebP of some seconds of a video, as sharp as a limit on its size allows.

    python -m docgen.moving_picture dance.mp4 docs/dance.webp --seconds 6 --start 2

Frame rate and height are chosen; the quality is the highest of `QUALITIES` at which the file is small enough.
"""

import argparse
import io
import sys
from pathlib import Path

import av
from PIL import Image

from dancing.files import atomic_write

QUALITIES = (90, 80, 70, 60, 50, 40, 30, 20)  # of WebP's lossy coder, best first


def read_pictures(video: Path, start: float, seconds: float, fps: float, height: int) -> list[Image.Image]:
    """Pictures of a video at `fps` frames/s from `start` (s) on, scaled to `height` px."""
    pictures: list[Image.Image] = []
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            time = frame.time - start
            # Half a source frame of tolerance, so that a steady rate stays steady.
            if time < len(pictures) / fps - 0.5 / float(stream.average_rate or fps):
                continue
            if time >= seconds:
                break
            width = round(frame.width * height / frame.height / 2) * 2
            pictures.append(frame.to_image().resize((width, height), Image.Resampling.LANCZOS))
    return pictures


def encode(pictures: list[Image.Image], fps: float, limit: int) -> tuple[bytes, int]:
    """An animated WebP of at most `limit` bytes that runs for ever, and its quality.

    Raises:
        ValueError: even the lowest quality is larger.
    """
    for quality in QUALITIES:
        file = io.BytesIO()
        pictures[0].save(
            file, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0,
            quality=quality, method=4,
        )  # fmt: skip
        if file.tell() <= limit:
            return file.getvalue(), quality
    raise ValueError(f"{file.tell() / 1e6:.2f} MB at the lowest quality; choose fewer seconds or a lower height")


def main() -> None:
    """Write the picture that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m docgen.moving_picture", description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path, help="the picture to write, .webp")
    for name, default, what in (
        ("start", 2.0, "s into the video"), ("seconds", 6.0, "s, length of the picture"),
        ("fps", 15.0, "frames/s"), ("megabytes", 1.5, "the largest size allowed"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=float, default=default, help=f"{what} (%(default)s)")
    parser.add_argument("--height", type=int, default=400, help="px (%(default)s)")
    options = parser.parse_args()
    try:
        pictures = read_pictures(options.video, options.start, options.seconds, options.fps, options.height)
    except (OSError, IndexError) as error:
        sys.exit(f"error: {options.video}: {error}")
    if not pictures:
        sys.exit(f"error: {options.video} ends before {options.start} s")
    try:
        content, quality = encode(pictures, options.fps, int(options.megabytes * 1e6))
    except ValueError as error:
        sys.exit(f"error: {error}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(options.out) as partial:
        partial.write_bytes(content)
    print(f"{options.out}: {len(pictures)} pictures, quality {quality}, {len(content) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
