"""Evaluation on the test part, next to chance levels, controls and ceilings.

Trained models and the test part of a dataset go in; tables of metrics, plots and comparison videos come out. `motion`
and `images` evaluate a dance system, `generated` an image system; `pictures` and `sample_sheets` draw the results.
"""
