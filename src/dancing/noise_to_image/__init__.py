"""From noise to images: random vectors go in, images of faces, digits or any other kind come out.

`sources` reads images of any kind, and `dataset` writes them into one file. `vae_task` and `gan_task` train on that
file. `inference` generates images, and encodes given ones with a VAE.
"""
