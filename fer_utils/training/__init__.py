"""Recipes, the loop that follows them, and what it leaves behind."""

from .loop import ENGINE, FitResult, fit, train_epoch, training_step
from .parts import (
    Parts,
    build,
    choose_device,
    choose_precision,
    derive,
    make_accelerator,
    make_scheduler,
    peak_memory,
    prepare,
)
from .recipe import RECIPES, Recipe, get_recipe, lambda_conventions

__all__ = ["ENGINE", "RECIPES", "FitResult", "Parts", "Recipe", "build", "choose_device", "choose_precision", "derive",
           "fit", "get_recipe", "lambda_conventions", "make_accelerator", "make_scheduler", "peak_memory", "prepare",
           "train_epoch", "training_step"]
