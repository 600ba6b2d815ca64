"""Media files: video, audio and images.

In: paths of clips and songs. Out: RGB frames and audio samples on one clock, and the audio features of each frame.
Frames and samples also go the other way, into mp4 and audio files. Nothing here knows poses, datasets or models.
"""
