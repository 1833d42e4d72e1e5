"""The small package behind the course: one module per noun, each read in one sitting."""

from .center_loss import CenterLoss
from .datasets import FaceDataset, load_dataset
from .emotions import EMOTIONS
from .errors import FerError
from .model import CLResNet50
from .training import RECIPES, Recipe, fit, get_recipe
from .version import __version__, require_version

__all__ = ["EMOTIONS", "RECIPES", "CLResNet50", "CenterLoss", "FaceDataset", "FerError", "Recipe", "__version__",
           "fit", "get_recipe", "load_dataset", "require_version"]
