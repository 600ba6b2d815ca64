"""Videos and plots.

Poses, a song and trained models go in; frames of a video come out (`layouts` and `panels` for a dance, `latent_walk`
for an image system). `plots` turns arrays into sheets, figures and CSV files, for every stage.
"""
