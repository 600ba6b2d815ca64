"""Measuring on the test part, beside chance levels, controls and ceilings.

Trained models and the test part of a dataset go in; tables of metrics, plots and comparison videos come out. `motion`
and `images` measure the dance, `generated` the image systems; `pictures` and `sample_sheets` show what was measured.
"""
