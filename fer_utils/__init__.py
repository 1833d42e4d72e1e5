"""The small package behind the course: one module per noun, each read in one sitting."""

from .center_loss import CenterLoss
from .datasets import FaceDataset, load_dataset
from .emotions import EMOTIONS
from .errors import FerError
from .model import CLResNet50
from .training import RECIPES, Recipe, fit, get_recipe

__all__ = ["EMOTIONS", "RECIPES", "CLResNet50", "CenterLoss", "FaceDataset", "FerError", "Recipe", "fit", "get_recipe",
           "load_dataset"]
__version__ = "0.1.0"
