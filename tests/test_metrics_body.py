"""Feet and bones of figures whose answer is known by hand; controls that are what they say."""

import numpy as np
import pytest
from conftest import dance, standing

from dancing.body.skeleton import BONE_TWINS, BONES, LEFT_ELBOW, LEFT_WRIST, RIGHT_ELBOW, RIGHT_WRIST
from dancing.metrics import controls
from dancing.metrics.body import LONG, bone_limits, foot_slide, long_bones, physical_foot_contact
from dancing.metrics.motion import FPS, Motion, jerk, magnitude, prepare

T = np.arange(600) / FPS
LEFT, RIGHT = [27, 29, 31], [28, 30, 32]


def figure(**moves):
    """A standing figure, in torso lengths; left=, right=, body=: (x, y) by which that part goes, (N,) each."""
    landmarks = np.repeat(standing()[None] / 0.25, len(T), axis=0)
    parts = {"left": LEFT, "right": RIGHT, "body": [k for k in range(33) if k not in LEFT + RIGHT]}
    for part, (x, y) in moves.items():
        landmarks[:, parts[part]] += np.stack(np.broadcast_arrays(x, y, T)[:2], axis=-1)[:, None]
    return Motion(landmarks, torso=1.0)


def test_planted_feet_do_not_slide_whatever_the_body_does():
    assert foot_slide(figure(body=(0.3 * np.sin(6 * T), 0.2 * np.cos(6 * T)))) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_skating_feet_slide(sign):
    pair = (sign * 0.5 * T, 0)
    assert foot_slide(figure(left=pair, right=pair, body=pair)) == 1
    assert foot_slide(figure(left=pair, body=pair)) == pytest.approx(0.5)  # the other stands
    slow = (sign * 0.2 * T, 0)
    assert foot_slide(figure(left=slow, right=slow, body=slow)) == 0


def test_a_foot_that_steps_does_not_slide():
    # Once a second it goes up, over and down in 0.4 s, and stands for the rest.
    swing = np.clip((T % 1) / 0.4, 0, 1)
    steps = (np.floor(T) + swing) * 0.4, -0.3 * np.sin(np.pi * swing)
    assert foot_slide(figure(left=steps)) < 0.05
    # The same without lifting it slides while it goes: 0.4 of the time of one of two feet, and a little by smoothing.
    assert foot_slide(figure(left=(steps[0], 0))) == pytest.approx(0.2, abs=0.05)


def test_pfc_needs_both_feet_and_a_push():
    sway = 0.3 * np.sin(4 * T), 0
    assert physical_foot_contact(figure(body=sway, left=sway)) == pytest.approx(0, abs=1e-9)  # the right one holds it
    assert physical_foot_contact(figure()) == 0
    speed, accelerating = 0.3 * 4 * np.abs(np.cos(4 * T)), np.abs(np.sin(4 * T))
    expected = (accelerating * speed**2).mean()
    assert physical_foot_contact(figure(body=sway, left=sway, right=sway)) == pytest.approx(expected, rel=0.05)
    falling = 0.3 * np.sin(4 * T), 2 * T**2  # whoever falls needs no foot for it: only the sway is left
    pushed = physical_foot_contact(figure(body=falling, left=falling, right=falling))
    assert pushed == pytest.approx(expected, rel=0.05)


def test_bones_longer_than_in_training():
    real = figure()
    limits = bone_limits([real])
    lengths = np.linalg.norm(
        real.landmarks[0, [a for a, _ in BONES]] - real.landmarks[0, [b for _, b in BONES]], axis=-1
    )
    np.testing.assert_allclose(limits, LONG * lengths, rtol=1e-5)
    assert long_bones(real, limits) == 0
    torn = real.landmarks.copy()
    torn[:150, LEFT_WRIST] += 1.0  # for a quarter of the time
    assert long_bones(Motion(torn, 1.0), limits) == 0.25
    torn[300:] = np.nan  # unseen for a half: neither sane nor not
    assert long_bones(Motion(torn, 1.0), limits) == 0.5
    assert np.isnan(long_bones(real, np.full(len(BONES), np.nan)))


def test_an_arm_always_seen_from_the_front_is_no_shorter_than_its_twin():
    short = figure().landmarks.copy()
    short[:, LEFT_WRIST] = (short[:, LEFT_WRIST] + short[:, LEFT_ELBOW]) / 2
    left, right = BONES.index((LEFT_ELBOW, LEFT_WRIST)), BONES.index((RIGHT_ELBOW, RIGHT_WRIST))
    limits = bone_limits([Motion(short, 1.0)])
    assert limits[left] == limits[right] == bone_limits([figure()])[right]
    assert BONE_TWINS[left] == right
    assert BONE_TWINS[right] == left


def test_nobody_has_no_feet_and_no_bones():
    nobody = Motion(np.full((120, 33, 2), np.nan), 1.0)
    assert np.isnan([foot_slide(nobody), physical_foot_contact(nobody), long_bones(nobody, np.ones(len(BONES)))]).all()
    assert np.isnan(bone_limits([nobody])).all()


def test_jitter_is_as_fast_as_the_dance_and_trembles():
    landmarks, seen = dance(300), np.ones((300, 33))
    seen[:, 16] = 0.2
    noise = controls.jitter(landmarks, seen, 30, 360, 640, seed=3)
    real, trembling = (prepare(x, seen, 30, 360, 640) for x in (landmarks, noise))
    assert magnitude(trembling) == pytest.approx(magnitude(real), rel=0.05)
    assert jerk(trembling) > 10 * jerk(real)
    np.testing.assert_array_equal(noise, controls.jitter(landmarks, seen, 30, 360, 640, seed=3))


def test_frozen_is_a_pose_that_stands():
    still = controls.frozen(dance(30))
    assert still.shape == (30, 33, 2)
    assert (still == still[0]).all()
