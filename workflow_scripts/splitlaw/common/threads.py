"""The number of threads of numerical libraries."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def one_blas_thread(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """`function` with one thread for the products of matrices.

    The matrices of laws and plans are small: with two threads, BLAS takes two to five times as
    long.
    """

    @wraps(function)
    def limited(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with threadpool_limits(1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
