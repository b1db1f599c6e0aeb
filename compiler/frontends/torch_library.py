"""torch, snnTorch and Norse, imported only when a model of theirs is read."""

import importlib
import sys
from collections.abc import Iterable
from typing import Any, TypeGuard, cast

import numpy as np

from spikec.compiler.errors import SpikecError
from spikec.compiler.synapses import Shape
from spikec.compiler.types import Array

EXTRAS = {"snntorch": "snntorch", "norse": "norse"}


def torch() -> Any:
    """Return the torch package."""
    return extra("torch")


def extra(name: str) -> Any:
    """Return an optional package, or a module of one.

    Raises:
        SpikecError: SPK1303 when it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        wanted = EXTRAS.get(package, "snntorch]' or 'spikec[norse")
        raise SpikecError(
            "SPK1303",
            package,
            f"it is needed to read this model, and cannot be imported ({error})",
            f"Run pip install 'spikec[{wanted}]'",
        ) from error


def several(value: object) -> tuple[Any, ...] | None:
    """Return the parts of a tuple or list, or None."""
    return tuple(cast(Iterable[Any], value)) if isinstance(value, tuple | list) else None


def table(value: object) -> dict[Any, Any] | None:
    """Return a dict, or None."""
    return value if _is_dict(value) else None


def _is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    """Return whether a value is a tuple."""
    return isinstance(value, tuple)


def is_module(value: object) -> bool:
    """Return whether a value is a torch module, without importing torch."""
    loaded = sys.modules.get("torch")
    return loaded is not None and isinstance(value, loaded.nn.Module)


def numbers(tensor: Any) -> Array:
    """Return a tensor, or a number, as float64."""
    if not isinstance(tensor, torch().Tensor):
        return np.asarray(tensor, dtype=np.float64)
    made: Array = tensor.detach().to("cpu", torch().float64, copy=True).numpy()
    return made


def per_neuron(where: str, value: Any, shape: Shape) -> Array:
    """Return a parameter as one number, or one per neuron of a population.

    Args:
        where: Module and parameter, for messages.
        value: Tensor or number that broadcasts against (batch, *shape).
        shape: Of the population, behind its batch axis.

    Raises:
        SpikecError: SPK1304 when it does not broadcast, or differs along the batch.
    """
    array = numbers(value)
    try:
        batch = max(array.shape[0], 1) if array.ndim > len(shape) else 1
        full = np.broadcast_to(array, (batch, *shape))
        if np.array_equal(full, np.broadcast_to(full[:1], full.shape), equal_nan=True):
            one = full[0]
            return np.array(one.flat[0] if np.all(one == one.flat[0]) else one)
    except ValueError:
        pass
    raise SpikecError(
        "SPK1304",
        where,
        f"shape {array.shape} is not one number, or one per neuron of {shape}",
        "Give a scalar, or one number per neuron, the same for the whole batch",
    )
