"""Metrics as pure functions of arrays, and rows of tables made from them.

Poses, beat times, images, features or class probabilities go in; scores come out, with bootstrap intervals where they
form a row. Nothing here reads a file or runs a model: `dancing.evaluation` does.
"""
