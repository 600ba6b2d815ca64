"""The puppet: a skeleton whose joints are dragged, and the generator's image of it, at once."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dancing.body.skeleton import BONES
from dancing.errors import UserError
from dancing.params import Params
from dancing.trained import HERE, load_dance_models

_FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = ((_FOLDER / f"puppet.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
DANCE = Path("dance.npz")
_POSES = 200  # at most on the slider
_HEIGHT = 512  # px, of the image


def start(params: Params) -> dict[str, Any]:
    """What the page needs to draw the skeleton: poses of a dance, bones, and the width of the picture over its height.

    Returns:
        "error" alone where there is no dance or no generator of images.
    """
    try:
        models = load_dance_models(HERE, params.render.guidance)
        if models.image_model is None:
            raise UserError("gan.model is none: no generator of images was trained")
        if not DANCE.is_file():
            raise UserError(f"{DANCE}: no dance is rendered yet; `dvc repro` renders one")
    except UserError as error:
        return {"error": str(error)}
    with np.load(DANCE) as dance:
        poses, width, height = dance["landmarks"], int(dance["width"]), int(dance["height"])
    step = -(-len(poses) // _POSES)
    return {"poses": np.round(poses[::step], 4).tolist(), "bones": list(BONES), "ratio": width / height}


def paint(landmarks: list[list[float]], params: Params) -> str:
    """The generator's image of a pose.

    Args:
        landmarks: (33, 2), in fractions of the image.
        params: the section render is used.

    Returns:
        A data URL.
    """
    pose = np.array(landmarks, np.float32)
    if pose.shape != (33, 2) or not np.isfinite(pose).all():
        raise UserError(f"a pose has (33, 2) numbers, got {pose.shape}")
    generator = load_dance_models(HERE, params.render.guidance).image_model
    assert generator is not None, "`start` has said so"
    image = Image.fromarray(next(generator.render(pose[None])))
    large = image.resize((round(_HEIGHT * image.width / image.height), _HEIGHT), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
