"""splitlaw: when should a general pretraining run be split into specialists?

>>> import splitlaw
>>> law = splitlaw.fit_law("losses.csv", law="two_skills", draws=20)
>>> plan = splitlaw.plan(law, flops=1e18, params=1e7)
>>> 0 < plan.fraction_general < 1
True

The functions are documented in `splitlaw.api`, `RoutedModel` in `splitlaw.delivery.routed`. They
are imported when they are first used, so that `import splitlaw` itself costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splitlaw.api import FitResult, Plan, fit_law, load_law, plan, predict_loss
    from splitlaw.delivery.routed import RoutedModel

__version__ = "0.2.0"
__all__ = ["FitResult", "Plan", "RoutedModel", "fit_law", "load_law", "plan", "predict_loss"]


def __getattr__(name: str) -> Any:
    if name == "RoutedModel":  # imports torch, which a law and a plan do not need
        return getattr(import_module("splitlaw.delivery.routed"), name)
    if name in __all__:
        return getattr(import_module("splitlaw.api"), name)
    raise AttributeError(f"module 'splitlaw' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
