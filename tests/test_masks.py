"""Masks of the dancer: compressed, between two of them, unknown, and broken."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancing.body.masks import SIDE, UNKNOWN, MaskRecorder, MaskTrack
from dancing.media.framing import Framing


def recorded(masks: list[np.ndarray | None], every: int = 2, right: list[bool] | None = None) -> MaskTrack:
    recorder = MaskRecorder()
    for mask in masks:
        recorder.add(mask)
    numbers = every * np.arange(len(masks))
    return recorder.track(numbers, np.array(right or [True] * len(masks)), every)


@given(seed=st.integers(0, 999), height=st.integers(1, 40), width=st.integers(1, 40))
def test_masks_come_back_in_sixteen_levels(seed: int, height: int, width: int):
    masks = list(np.random.default_rng(seed).random((3, height, width)).astype(np.float32))
    again = list(recorded(masks).between(0, 5))
    for mask, read in zip(masks, again[::2], strict=True):
        assert read.shape == (height, width)
        assert abs(read / 255 - mask).max() <= 0.5 / 15 + 1e-6
    mean = (again[0].astype(int) + again[2]) / 2
    assert abs(again[1] - mean).max() <= 0.5


def test_a_large_mask_is_made_smaller():
    mask = np.zeros((1920, 1080), np.float32)
    mask[:960] = 1
    (small,) = recorded([mask]).between(0, 1)
    assert small.shape == (SIDE, 288)
    assert small[:255].min() == 255
    assert not small[257:].any()


def test_where_nobody_was_found_or_somebody_else_nothing_is_known():
    full = np.ones((4, 4), np.float32)
    track = recorded([full, None, full, full, full], right=[True, True, True, False, True])
    shown = [int(mask[0, 0]) for mask in track.between(0, 9)]
    assert shown == [255, UNKNOWN, UNKNOWN, UNKNOWN, 255, UNKNOWN, UNKNOWN, UNKNOWN, 255]
    track.check(9)
    assert [mask.shape for mask in MaskTrack.none().between(0, 2)] == [(1, 1)] * 2


def test_masks_of_another_make_are_refused():
    track = recorded([np.ones((4, 4), np.float32)] * 3)
    track.check(5)
    wrong = [
        replace(track, mask_frames=track.mask_frames[::-1]), replace(track, mask_ends=track.mask_ends[:-1]),
        replace(track, mask_ends=track.mask_ends + 1), replace(track, mask_size=np.array([4, 9999])),
        replace(track, mask_size=track.mask_size.astype(float)), replace(track, mask_reach=0),
        replace(track, mask_bytes=track.mask_bytes.astype(np.int16)),
    ]  # fmt: skip
    for other in wrong:
        with pytest.raises(ValueError, match="masks"):
            other.check(5)
    with pytest.raises(ValueError, match="masks"):
        track.check(4)  # a mask of the fifth frame, of four
    broken = replace(track, mask_bytes=255 - track.mask_bytes)
    with pytest.raises(ValueError, match="broken"):
        list(broken.between(0, 5))
    for size in ([3, 4], [5, 4]):
        with pytest.raises(ValueError, match="broken"):
            list(replace(track, mask_size=np.array(size)).between(0, 5))


@pytest.mark.parametrize(("width", "height"), [(40, 64), (64, 40), (48, 48)])
@pytest.mark.parametrize("fit", ["letterbox", "crop"])
def test_a_mask_is_framed_as_its_picture(width: int, height: int, fit):
    framing = Framing(180, 320, width, height, fit)
    picture = np.zeros((320, 180, 3), np.uint8)
    picture[80:240, 45:135] = 255
    mask = picture[::2, ::2, 0]  # masks may have another size
    assert abs(framing.mask(mask).astype(int) - framing.picture(picture)[..., 0]).mean() < 3
