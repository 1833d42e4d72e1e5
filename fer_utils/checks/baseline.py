"""Exercises of notebook 2: the network and the model to beat."""
