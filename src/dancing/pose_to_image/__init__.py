"""From poses to images: 33 body landmarks go in, an image of one dancer in front of a background comes out.

`task` trains the GANs on frames of `clips.dataset`. Our GAN generates crops around the person (`person_crops`) over a
background that `background` estimates. `inference` renders poses as images.
"""
