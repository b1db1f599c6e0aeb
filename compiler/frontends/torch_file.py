"""Files of torch: they hold weights, not networks, and are never unpickled."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from spikec.compiler.errors import SpikecError
from spikec.compiler.frontends.torch_library import table, torch

SUFFIXES = (".pt", ".pth", ".ckpt")
REMEDY = "module:attribute, or spikec.load(module)"


def refuse_file(path: Path) -> NoReturn:
    """Say what a file of torch holds, and what to give instead.

    Raises:
        SpikecError: SPK1344 on a file that is more than plain tensors, SPK1345 on one that cannot
            be read; errors of ``refuse_weights``.
    """
    if not os.path.isfile(path):
        raise SpikecError("SPK1345", str(path), "there is no such file", "Check the path")
    try:
        held = torch().load(path, map_location="cpu", weights_only=True)
    except SpikecError:
        raise
    except Exception:  # whatever a damaged or hostile file makes torch raise
        raise SpikecError(
            "SPK1344",
            str(path),
            "it is no file of plain tensors, so reading it could run code",
            f"Give the module: {REMEDY}",
        ) from None
    refuse_weights(held, str(path))


def refuse_weights(held: object, where: str) -> NoReturn:
    """Say that weights alone are no network.

    Raises:
        SpikecError: SPK1343.
    """
    names = [str(name) for name in table(held) or ()]
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    what = f"a state_dict of {len(names)} tensors: {listed}" if names else type(held).__name__
    raise SpikecError(
        "SPK1343",
        where,
        f"it holds weights ({what}), not the network",
        f"Load them into the module, and give that: {REMEDY}",
    )


def is_weights(value: object) -> bool:
    """Return whether a value is a state_dict, without importing torch."""
    loaded, held = sys.modules.get("torch"), table(value)
    if loaded is None or not held:
        return False
    return all(isinstance(v, loaded.Tensor) for v in held.values())
