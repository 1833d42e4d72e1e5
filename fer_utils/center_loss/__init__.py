"""Centre loss: Eq. 1 pulls each feature towards its class centre, Eq. 2 moves the centres."""

from .loss import CenterLoss
from .simulation import Simulation, simulate

__all__ = ["CenterLoss", "Simulation", "simulate"]
