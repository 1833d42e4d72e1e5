"""Exercises of notebook 1: a data set of faces."""
