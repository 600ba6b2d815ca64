"""What can be refused before any model is loaded, which takes seconds."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dancing.errors import UserError
from dancing.params import Kind, parse_params


def with_render(params: Kind, values: Mapping[str, Any], name: str) -> Kind:
    """Return params with other values in the section render.

    Args:
        params: of a dance or of an image system.
        values: by key.
        name: where they come from, for the message.

    Raises:
        ParamsError: a value is not allowed; the message lists all that aren't.
    """
    everything = params.model_dump()
    return parse_params(everything | {"render": everything["render"] | values}, name, type(params))


def check_request(out: Path, song: str | None) -> None:
    """Check where a video is to be written, and that its song is there.

    Raises:
        UserError: the name doesn't end in .mp4, the folder is missing or can't be written, or there is no such song.
    """
    if out.suffix.lower() != ".mp4":
        raise UserError(f"{out}: the video is written as mp4; give a name that ends in .mp4")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder; make it, or give another name with --out")
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"{out.parent}: can't be written; give a name in another folder with --out")
    if song is not None and not Path(song).is_file():
        raise UserError(f"{song}: no such file; give a song that is there")
