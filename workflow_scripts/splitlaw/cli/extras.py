"""The extra of the distribution that provides a package."""

from __future__ import annotations

EXTRAS = {
    "corpus": (
        "charset_normalizer",
        "pyarrow",
        "pydantic",
        "rensa",
        "sklearn",
        "tokenizers",
        "tqdm",
        "yaml",
    ),
    "train": ("filelock", "huggingface_hub", "safetensors", "torch", "transformers"),
    "benchmark": ("datasets", "lm_eval"),
    "track": ("tensorboard", "wandb"),
    "report": ("jinja2", "markupsafe", "matplotlib", "seaborn"),
    "serve": ("starlette", "uvicorn"),
    "workflow": ("psutil", "pydantic", "rich", "ruamel", "snakemake", "yaml"),
}
"""Packages by their import names; each is listed once, by the extra that is advised."""


def missing_package(cause: ModuleNotFoundError) -> str | None:
    """Message that names the extra to install; None for a module that no extra provides."""
    package = (cause.name or "").split(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return f"{package} is not installed; pip install 'splitlaw[{extra}]'"
    return None
