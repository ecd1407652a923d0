"""FLOPs per token as a function of model size."""

from collections.abc import Mapping

import numpy as np


def flops_per_token_at(known: Mapping[float, float], params: float) -> float:
    """Training FLOPs per token at N = `params`.

    Between the sizes of the table the logarithms are interpolated; outside, the ratio to N of
    the nearest size holds. Without a table it is 6 N (Kaplan et al. 2020).
    """
    if not known:
        return 6.0 * params
    sizes = np.array(sorted(known))
    ratios = np.array([known[size] / size for size in sizes])
    return float(np.exp(np.interp(np.log(params), np.log(sizes), np.log(ratios))) * params)
