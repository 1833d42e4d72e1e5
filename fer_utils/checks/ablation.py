"""Exercises of notebook 5: what a grid of runs can show."""
