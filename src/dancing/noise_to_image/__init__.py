"""From noise to images: random numbers go in, faces, digits or other images come out.

`sources` and `dataset` bring images of any kind into one file; `vae_task` and `gan_task` train on it; `inference`
samples images, and reconstructs them by a VAE.
"""
