"""splitlaw: when should a general pretraining run be split into specialists?"""

__version__ = "0.1.0"
