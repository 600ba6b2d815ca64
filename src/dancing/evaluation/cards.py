"""The model card and the data card of a dance, filled from the run.

Mitchell et al., Model Cards for Model Reporting, FAT* 2019; Gebru et al., Datasheets for Datasets, CACM 2021.
"""

import re
from collections.abc import Mapping

from dancing.clips.dataset import Dataset
from dancing.clips.dataset import subject_title as title
from dancing.evaluation.report import IMAGE, MOTION, markdown_table
from dancing.metrics.bootstrap_cells import Row
from dancing.params import Params

_UNSTATED = "Not stated. The pipeline can't know it: state it here before you share the {thing}."


def model_card(params: Params, dataset: Dataset, tables: Mapping[str, Mapping[str, Row]]) -> str:
    """Return the model card as Markdown.

    Args:
        params: of the run.
        dataset: that the models were trained on.
        tables: "motion" and "image", the rows that were measured.
    """
    seconds = {split: sum(map(len, dataset.split(split))) / dataset.fps for split in ("train", "val", "test")}
    clips, image = len({piece.clip for piece in dataset.split("train")}), tables.get("image", {})
    images = markdown_table(image, IMAGE, ("ours", "ours_danced", "real")) if image else "No images were trained."
    return f"""# Model card

## What it is
Two models. `vae.model: {params.vae.model}` (prior: {params.vae.prior}) turns music into poses of 33 landmarks;
`gan.model: {params.gan.model}` turns poses into images of one person. Both were trained from nothing, on the data
below alone.

## Trained on
{seconds["train"]:.0f} s of dance in {clips} clips at {dataset.fps} frames/s; early stopping on {seconds["val"]:.0f} s,
figures from {seconds["test"]:.0f} s that no training saw. See the data card.

## Intended use
Videos of the person who was filmed, dancing to other songs, made with that person's consent. Research on dance
generation.

## Not intended
Videos of anybody who has not agreed to them. Videos that are shown as recordings. The images look like the person:
say that they are generated wherever they are shown.

## Limits
It knows the moves, the clothes and the room of its clips and no others. Poses that are far from them give broken
images. Hands and faces are blurred. With few clips the motion repeats. Music without a beat is danced to at 120 beats a
minute.

## Figures on held-out data
{markdown_table(tables["motion"], MOTION, ("ours", "lstm", "real", "ours_to_other_music"))}

{images}

Each figure's interval and meaning are in index.html.

## Consent and licence
{_UNSTATED.format(thing="model")}
"""


def data_card(dataset: Dataset, source: str) -> str:
    """Return the data card as Markdown.

    Args:
        dataset: the data.
        source: the folder of clips.
    """
    clips = {piece.clip: piece for piece in dataset.pieces}
    lines = []
    for name in sorted(clips):
        pieces = [piece for piece in dataset.pieces if piece.clip == name]
        seconds = sum(map(len, pieces)) / dataset.fps
        parts = ", ".join(sorted({piece.split for piece in pieces}))
        kind = "video" if dataset.has_frames(pieces[0]) else "song and landmarks"
        shown = re.sub(r"([\\`*_\[\]<>|&~])", r"\\\1", name)  # no mark-up, whatever the file is called
        lines.append(f"| {shown} | {title(pieces[0].subject)} | {seconds:.1f} | {parts} | {kind} |")
    return f"""# Data card

## What it is
{len(clips)} clips from `{source}`: dance with its music, at {dataset.fps} frames/s, frames of {dataset.width} x
{dataset.height} px. For each frame there are audio features, 33 landmarks of one person (detected by MediaPipe, or
measured), and the image.

| clip | dancer | seconds used | part | kind |
| --- | --- | ---: | --- | --- |
{chr(10).join(lines)}

## How it was made
Clips that could not be used were skipped, and stretches without a person or without sound were left out:
`data/features/report.html` says which, and why. Gaps in the landmarks were bridged, and they were smoothed.

## Personal data
Faces and bodies of the people who were filmed. Keep the clips, `data/dataset.h5` and the models as you would keep the
clips themselves.

## Consent and licence of the footage and of the music
{_UNSTATED.format(thing="data")}
"""
