"""From a folder of dance clips to dataset.h5.

In: videos, or songs with landmark files. Out: a feature file for each clip (audio features and poses on one clock),
then dataset.h5 with train, val and test pieces. Everything after it reads dataset.h5 alone.
"""
