"""Numerical libraries on one thread, where more would cost time or change the last digits."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


def single_threaded(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a function's matrix products and loops of OpenMP use one thread.

    Sums then do not depend on how many threads share them, and the many small products of a search do not wait for
    threads that another process keeps busy (ten times the CPU time where they do).
    """

    @wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return wrapper
