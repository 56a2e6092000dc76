__version__ = "0.1.0"

from .adaptive import AdaptiveAsymmetry
from .losses import AsymmetricLossMultiLabel, AsymmetricLossSingleLabel, asymmetric_loss

__all__ = ["AdaptiveAsymmetry", "AsymmetricLossMultiLabel", "AsymmetricLossSingleLabel", "asymmetric_loss"]
