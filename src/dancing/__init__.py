"""Train generative models on clips of a dancer, and render that dancer dancing to any song.

In: a folder of dance clips and params.yaml. Out: models, metrics and videos. Each system is a folder that imports no
other system: music_to_pose, pose_to_image and noise_to_image.
"""
