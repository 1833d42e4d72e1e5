"""Recipes, the loop that follows them, and what it leaves behind."""

from .loop import ENGINE, FitResult, build, choose_device, choose_precision, derive, fit, training_step
from .recipe import RECIPES, Recipe, get_recipe, lambda_conventions

__all__ = ["ENGINE", "RECIPES", "FitResult", "Recipe", "build", "choose_device", "choose_precision", "derive", "fit",
           "get_recipe", "lambda_conventions", "training_step"]
