"""Exercises of notebook 4: training with centre loss."""
