"""Picture metrics on pictures and poses whose answer is known by hand."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from dancing.metrics import image as metrics
from dancing.metrics.image_table import redetection_row

WIDTH, HEIGHT, TORSO = 48, 64, 20  # px
BOX = torch.tensor([[10, 20, 30, 50]])


def pictures(frames=3, seed=0):
    return torch.rand(frames, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def poses(frames=4):
    """Landmarks with a torso of 20 px (half of them at the hips, which matters to nobody), all seen."""
    landmarks = np.full((frames, 33, 2), (24.0, 44.0))
    landmarks[:, [0, 11, 12]] = (24, 12), (28, 24), (20, 24)
    landmarks[:, [23, 24, 27, 28]] = (26, 44), (22, 44), (28, 60), (20, 60)
    return landmarks / [WIDTH, HEIGHT], np.ones((frames, 33))


def errors_of(detected, landmarks, visibility, clips=None):
    return metrics.joint_errors(detected, landmarks, visibility, WIDTH, HEIGHT, clips)


def redetection(detected, landmarks, visibility):
    """The means of the row, by name."""
    row = redetection_row(detected, landmarks, visibility, WIDTH, HEIGHT, [0] * len(landmarks), seed=0)
    return {name: cell["mean"] for name, cell in row.items()}


# ---------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("boxes", [None, BOX.expand(3, 4)])
def test_equal_pictures_are_perfect(boxes):
    real = pictures()
    assert metrics.l1(real, real, boxes).tolist() == [0, 0, 0]
    assert metrics.psnr(real, real, boxes).tolist() == [100, 100, 100]
    torch.testing.assert_close(metrics.ssim(real, real, boxes), (torch.ones(3), torch.ones(3)))


def test_known_errors():
    real = torch.full((2, 3, HEIGHT, WIDTH), 0.5)
    generated = real + torch.tensor([0.1, -0.01])[:, None, None, None]
    torch.testing.assert_close(metrics.l1(generated, real), torch.tensor([0.1, 0.01]))
    torch.testing.assert_close(metrics.psnr(generated, real), torch.tensor([20.0, 40.0]))  # -10 log10 of 1e-2, 1e-4


def test_whole_pictures_agree_with_torchmetrics():
    generated, real = pictures(seed=1), pictures()
    psnr = peak_signal_noise_ratio(generated, real, data_range=1.0, reduction="none", dim=(1, 2, 3))
    ssim = structural_similarity_index_measure(generated, real, data_range=1.0, reduction="none")
    torch.testing.assert_close(metrics.psnr(generated, real), psnr)
    torch.testing.assert_close(metrics.ssim(generated, real), (ssim, ssim))
    whole = torch.tensor([[0, 0, WIDTH, HEIGHT]]).expand(3, 4)
    torch.testing.assert_close(metrics.ssim(generated, real, whole), (ssim, ssim))


def test_crop_sees_the_box_alone():
    real = torch.full((1, 3, HEIGHT, WIDTH), 0.5)
    generated = real.clone()
    generated[:, :, 20:50, 10:30] += 0.1
    assert metrics.l1(generated, real, BOX).item() == pytest.approx(0.1)
    assert metrics.psnr(generated, real, BOX).item() == pytest.approx(20, abs=1e-3)
    assert metrics.l1(generated, real).item() == pytest.approx(0.1 * 600 / (WIDTH * HEIGHT))
    elsewhere = real.clone()
    elsewhere[:, :, :8] = 0
    assert metrics.psnr(elsewhere, real, BOX).item() == 100
    everywhere, inside_the_box = metrics.ssim(elsewhere, real, BOX)
    assert inside_the_box.item() == pytest.approx(1)  # 8 + half a window of 11 is above 20
    assert everywhere.item() < 0.95


def test_a_blur_is_less_sharp_and_noise_is_sharper():
    real = pictures()
    blurred = F.avg_pool2d(real, 3, stride=1, padding=1)
    energy, of_blurred = (metrics.gradient_energy(images, BOX.expand(3, 4)) for images in (real, blurred))
    assert (of_blurred < 0.5 * energy).all()
    ramp = torch.arange(WIDTH).expand(1, 3, HEIGHT, WIDTH) * 0.01
    torch.testing.assert_close(metrics.gradient_energy(ramp, BOX), torch.tensor([1e-4]))
    torch.testing.assert_close(metrics.gradient_energy(2 * ramp, BOX), torch.tensor([4e-4]))


def test_overlap_counts_what_is_certain():
    real = np.zeros((2, 4, 4), np.uint8)
    real[:, :2], real[:, 2] = 255, 128  # two rows of the person, one that is uncertain, one of the background
    ours = np.zeros((2, 4, 4), np.uint8)
    ours[0, 1:], ours[1, :3] = 200, 200
    both, either = metrics.mask_overlap(ours, real)
    assert both.tolist() == [4, 8]
    assert either.tolist() == [12, 8]


def test_each_frame_has_its_own_box():
    real = torch.zeros(2, 3, HEIGHT, WIDTH)
    generated = real.clone()
    generated[:, :, :, :24] = 1
    boxes = torch.tensor([[0, 0, 24, HEIGHT], [12, 0, 36, HEIGHT]])
    torch.testing.assert_close(metrics.l1(generated, real, boxes), torch.tensor([1.0, 0.5]))


@pytest.mark.parametrize(
    ("generated", "real"),
    [
        (torch.zeros(1, 3, 16, 16), torch.zeros(2, 3, 16, 16)),
        (torch.zeros(3, 16, 16), torch.zeros(3, 16, 16)),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), torch.zeros(1, 3, 16, 16, dtype=torch.uint8)),
    ],
)
@pytest.mark.parametrize("score", [metrics.l1, metrics.psnr, metrics.ssim, metrics.ms_ssim])
def test_pictures_that_cannot_be_compared(score, generated, real):
    with pytest.raises(ValueError, match="expected"):
        score(generated, real)


@pytest.mark.parametrize(
    ("size", "scales"), [((16, 16), 2), ((40, 64), 2), ((72, 128), 3), ((64, 64), 3), ((176, 200), 5)]
)
def test_ms_ssim_takes_as_many_scales_as_fit(size, scales):
    real = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(metrics.ms_ssim(real, real), torch.ones(2))
    weights = torch.tensor(metrics.SCALE_WEIGHTS[:scales])
    noisy = real + 0.1
    known = multiscale_structural_similarity_index_measure(
        noisy, real, data_range=1.0, reduction="none", betas=tuple((weights / weights.sum()).tolist())
    )
    torch.testing.assert_close(metrics.ms_ssim(noisy, real), known)
    assert (known < 1).all()


def texture(height, width):
    """A cloudy picture (H, W, 3) uint8 in which every place is like no other."""
    rough = np.random.default_rng(0).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


def test_a_picture_that_is_shifted_has_no_warping_error():
    large = texture(120, 144)
    frames = np.stack([large[16 - 2 * k : 112 - 2 * k, 16 - 3 * k : 128 - 3 * k] for k in range(4)])  # goes to (3, 2)
    offsets, trusted = metrics.optical_flow(frames)
    assert offsets.shape == (3, 96, 112, 2)
    middle = np.zeros_like(trusted)
    middle[:, 16:-16, 16:-16] = True
    np.testing.assert_allclose(np.median(offsets[middle], axis=0), [-3, -2], atol=0.1)
    assert trusted[middle].mean() > 0.95
    shown = metrics.as_tensor(frames)
    where = torch.from_numpy(middle & trusted)
    assert metrics.warping_errors(shown, offsets, where).max() < 0.004  # half a grey level's rounding, and the flow's
    assert metrics.warping_errors(shown, np.zeros_like(offsets), where).min() > 0.02
    blinking = shown * torch.tensor([1.0, 0.5, 1.0, 0.5]).view(-1, 1, 1, 1)
    assert metrics.warping_errors(blinking, offsets, where).min() > 0.1
    assert metrics.warping_errors(shown, offsets, where & False).isnan().all()


def test_what_appears_has_no_flow():
    frames = np.stack([texture(64, 64)] * 2)
    frames[1, 20:44, 20:44] = texture(128, 128)[70:94, 70:94]
    trusted = metrics.optical_flow(frames)[1][0]
    assert trusted[:16].all()
    assert not trusted[24:40, 24:40].all()


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_sequences_have_no_flow_or_one(frames):
    shown = np.stack([texture(32, 40)] * frames)
    offsets, trusted = metrics.optical_flow(shown)
    assert (offsets.shape, trusted.shape) == ((frames - 1, 32, 40, 2), (frames - 1, 32, 40))
    errors = metrics.warping_errors(metrics.as_tensor(shown), offsets, torch.from_numpy(trusted))
    assert errors.tolist() == [0.0] * (frames - 1)


def test_box_goes_round_the_seen_landmarks_with_a_margin():
    landmarks, visibility = poses(frames=4)
    landmarks[1, 30] = (5, 5)  # outside the picture: the box ends at its edge
    landmarks[2, 30] = (5, 5)
    visibility[2, 30] = 0.2  # not seen: doesn't count
    visibility[3] = 0  # nothing seen: the whole picture
    boxes = metrics.person_boxes(landmarks, visibility, WIDTH, HEIGHT, margin=0.125)
    # x 20..28 and y 12..60, the longer side 48, so 6 px on every side; the lower edge is cut at 64.
    assert boxes.tolist() == [[14, 6, 34, 64], [0, 0, 48, 64], [14, 6, 34, 64], [0, 0, 48, 64]]


def test_flicker_is_of_the_background():
    frames = torch.zeros(5, 3, HEIGHT, WIDTH)
    frames[:, :, 20:50, 10:30] = torch.rand(5, 3, 30, 20)  # the person may change
    boxes = BOX.expand(5, 4)
    assert metrics.frame_changes(frames, boxes).tolist() == [0] * 4
    frames[1::2] += 0.25  # the whole picture blinks
    torch.testing.assert_close(metrics.frame_changes(frames, boxes), torch.full((4,), 0.25))
    assert len(metrics.frame_changes(frames[:1], boxes[:1])) == 0
    assert metrics.frame_changes(frames, torch.tensor([[0, 0, WIDTH, HEIGHT]]).expand(5, 4)).isnan().all()


def test_a_moving_person_leaves_no_flicker_behind():
    frames, boxes = torch.zeros(4, 3, HEIGHT, WIDTH), []
    for k in range(4):
        frames[k, :, 10:50, 8 * k : 8 * k + 10] = 1
        boxes.append([8 * k, 10, 8 * k + 10, 50])
    assert metrics.frame_changes(frames, torch.tensor(boxes)).tolist() == [0] * 3


# ------------------------------------------------------------------------------------------------------------- poses


def test_torso_is_measured_in_pixels_by_clip():
    landmarks, visibility = poses(frames=5)
    landmarks[4] *= 0.5
    lengths = metrics.torso_lengths(landmarks, visibility, WIDTH, HEIGHT, clips=["a"] * 4 + ["b"])
    np.testing.assert_allclose(lengths, [20, 20, 20, 20, 10])
    landmarks[1, [11, 12]] = landmarks[1, [23, 24]]  # bent towards the camera for a frame
    np.testing.assert_allclose(metrics.torso_lengths(landmarks, visibility, WIDTH, HEIGHT), 20)
    assert np.isnan(metrics.torso_lengths(landmarks, visibility * 0, WIDTH, HEIGHT)).all()


@pytest.mark.parametrize("direction", [(1, 0), (0, -1), (0.6, 0.8)])
@pytest.mark.parametrize(("offset", "at_10", "at_20"), [(0.05, 1, 1), (0.15, 0, 1), (0.25, 0, 0)])
def test_pck_of_known_offsets(offset, at_10, at_20, direction):
    landmarks, visibility = poses()
    detected = landmarks + offset * TORSO * np.array(direction) / [WIDTH, HEIGHT]
    errors = errors_of(detected, landmarks, visibility)
    np.testing.assert_allclose(errors, offset)
    row = redetection(detected, landmarks, visibility)
    assert (row["pck_10"], row["pck_20"]) == (at_10, at_20)
    assert row["mean_error"] == pytest.approx(offset)


def test_undetected_frames_are_wrong_unless_asked_of_detected():
    landmarks, visibility = poses(frames=4)
    detected = landmarks.copy()
    detected[3] = np.nan
    row = redetection(detected, landmarks, visibility)
    assert row["detection_rate"] == row["pck_10"] == 0.75
    assert row["pck_10_of_detected"] == 1
    assert row["mean_error"] == 0

    nobody = redetection(np.full_like(detected, np.nan), landmarks, visibility)
    assert nobody["pck_20"] == 0
    assert nobody["pck_20_of_detected"] is nobody["mean_error"] is None


def test_only_joints_of_the_body_that_the_target_shows_count():
    landmarks, visibility = poses(frames=1)
    detected = landmarks.copy()
    detected[:, [1, 9, 19, 31]] += 1  # face, finger and toe are not asked about
    assert redetection(detected, landmarks, visibility)["pck_10"] == 1
    detected[:, 15] += 1
    assert redetection(detected, landmarks, visibility)["pck_10"] == pytest.approx(12 / 13)
    visibility[:, 15] = 0.4  # nor is a wrist that the target doesn't show
    assert redetection(detected, landmarks, visibility)["pck_10"] == 1
    assert redetection(detected, landmarks, visibility * 0)["pck_10"] is None


def test_poses_of_other_shapes_are_refused():
    landmarks, visibility = poses()
    with pytest.raises(ValueError, match="expected detected"):
        errors_of(landmarks[:3], landmarks, visibility)
    with pytest.raises(ValueError, match="clips"):
        errors_of(landmarks, landmarks, visibility, clips=["a"])
