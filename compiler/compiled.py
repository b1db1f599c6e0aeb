"""The one place that calls numba.

``fastmath`` stays off: with it float results differ from numpy's.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba as _numba

Function = TypeVar("Function", bound=Callable[..., Any])
_njit: Any = cast(Any, _numba).njit


def compiled(function: Function) -> Function:
    """Compile a function on its first call; keep the machine code beside the source."""
    return cast(Function, _njit(nogil=True, cache=True, error_model="numpy")(function))
