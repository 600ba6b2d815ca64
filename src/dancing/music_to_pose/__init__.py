"""From music to poses: audio features of each frame go in, 33 landmarks of each frame come out.

`task` trains the VAEs on windows of `clips.dataset`, `train_prior` the flow over the latents of the motion VAE;
`inference` generates poses for any song. `retrieval` is the baseline without a model.
"""
