"""A small feature network, trained on the project's own images, and distances between sets of images in its features.

Real training images go in, to train the network and as reference; then any sets of images do, and rows of metrics come
out (MMD, density, coverage). No weights of other projects are used, so its distances are neither FID nor KID.
"""
