"""Centre loss: Eq. 1 pulls each feature towards its class centre, Eq. 2 moves the centres."""

from .loss import CenterLoss

__all__ = ["CenterLoss"]
