"""Figures. Pure functions: data in, a matplotlib or plotly figure out; ``show`` puts one into a notebook with its alt
text. Classes are told apart by colour and by marker."""

from .center_paths import digit_planes, feature_film, noise_floor, paths_by_alpha, staircase
from .comparisons import alpha_curves, lambda_curves, pair_distances, paired_runs, recalls, seeds_needed
from .curves import both_losses, confusion_matrices, follow, learning_curves, reliability
from .display import picture, png, show
from .face_grids import class_shares, face_grid, face_wall, saliency_maps
from .projections import mean_distances, projections, space_live

__all__ = ["alpha_curves", "both_losses", "class_shares", "confusion_matrices", "digit_planes", "face_grid",
           "face_wall", "feature_film", "follow", "lambda_curves", "learning_curves", "mean_distances", "noise_floor",
           "pair_distances", "paired_runs", "paths_by_alpha", "picture", "png", "projections", "recalls", "reliability",
           "saliency_maps", "seeds_needed", "show", "space_live", "staircase"]
