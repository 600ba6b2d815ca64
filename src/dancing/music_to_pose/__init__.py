"""From music to poses: the audio features of each frame go in, 33 body landmarks a frame come out.

`task` trains the VAEs on windows of `clips.dataset`; `train_prior` trains the flow over the latents of the motion VAE.
`inference` generates poses for any song. `retrieval` is a baseline without a model.
"""
