"""Figures. Pure functions: data in, a matplotlib or plotly figure out; ``show`` puts one into a notebook with its alt
text. Classes are told apart by colour and by marker."""

from .center_loss import feature_film, moving_centers, noise_floor, paths_by_alpha, staircase
from .display import SYMBOLS, picture, png, show
from .faces import class_shares, face_grid, face_wall
from .runs import (
    ablation_curve,
    both_losses,
    confusion_matrices,
    follow,
    learning_curves,
    projections,
    projections_live,
    result_panels,
)

__all__ = ["SYMBOLS", "ablation_curve", "both_losses", "class_shares", "confusion_matrices", "face_grid", "face_wall",
           "feature_film", "follow", "learning_curves", "moving_centers", "noise_floor", "paths_by_alpha", "picture",
           "png", "projections", "projections_live", "result_panels", "show", "staircase"]
