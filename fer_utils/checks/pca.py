"""Exercises of notebook 6: pictures of features, and numbers."""
