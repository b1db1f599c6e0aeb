"""The one place that calls numba.

``fastmath`` stays off: with it float results differ from numpy's.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

import numba as _numba
from numba.extending import intrinsic as _intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])
_njit: Any = cast(Any, _numba).njit
_cfunc: Any = cast(Any, _numba).cfunc
_types: Any = cast(Any, _numba).types
carray: Any = cast(Any, _numba).carray


def compiled(function: Function) -> Function:
    """Compile a function on its first call; keep the machine code beside the source."""
    return cast(Function, _njit(nogil=True, cache=True, error_model="numpy")(function))


def inlined(function: Function) -> Function:
    """Compile a function as a part of every function that calls it."""
    made = _njit(nogil=True, cache=True, error_model="numpy", inline="always")(function)
    return cast(Function, made)


def entry(function: Callable[[int, int], None]) -> Any:
    """Compile a function of two integers at once, to be called by its address (``invoke``)."""
    signature = _types.void(_types.int64, _types.int64)
    return _cfunc(signature, cache=True, error_model="numpy")(function)


def _pointer(typing: Any, address: Any) -> Any:
    """Return an address as a pointer, for ``carray``."""

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.inttoptr(given[0], context.get_value_type(signature.return_type))

    return _types.voidptr(_types.int64), made


def _invoke(typing: Any, address: Any, row: Any, step: Any) -> Any:
    """Call an ``entry`` by its address."""

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        ir: Any = import_module("llvmlite.ir")
        number = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [number, number])
        builder.call(builder.inttoptr(given[0], kind.as_pointer()), given[1:])
        return context.get_dummy_value()

    return _types.void(_types.int64, _types.int64, _types.int64), made


pointer: Any = cast(Any, _intrinsic)(_pointer)
invoke: Any = cast(Any, _intrinsic)(_invoke)
