"""The set-up: what is trained, on what, how."""

from unstuck.setup.batch import Batch
from unstuck.setup.data import Data, LoadedData, StackedData
from unstuck.setup.model import Edit, ModelRecipe
from unstuck.setup.optimizer import OptimizerRecipe
from unstuck.setup.record import Setup

__all__ = ["Batch", "Data", "Edit", "LoadedData", "ModelRecipe", "OptimizerRecipe", "Setup", "StackedData"]
