"""One BLAS thread: with matrices of some hundred rows more are slower, by far on busy cores."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from spikec.compiler.untyped import threadpoolctl


@cache
def _controller() -> Any:
    return threadpoolctl.ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS has one thread."""
    context: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return context
