"""From poses to images: 33 landmarks go in, images of one dancer in front of the background come out.

`task` trains the GANs on frames of `clips.dataset` in crops around the person (`person_crops`), over a background that
`background` estimates; `inference` renders poses as images.
"""
