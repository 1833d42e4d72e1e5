"""Exercises of notebook 7: numbers in a paper, and claims."""
