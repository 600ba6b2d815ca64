"""The dancer's body as 33 landmarks (MediaPipe Pose).

In: RGB frames of a clip, or a landmark file (motion capture). Out: smoothed landmarks with visibility and gaps, and
what models need of them: pose vectors, heatmaps of limbs and joints, placement in the image.
"""
