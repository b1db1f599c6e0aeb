# pyright: basic, reportMissingImports=false
"""Train a network, or take it from the user's cache folder.

Weights that were trained on data of others stay out of the project: they lie in the cache, under a
name of the network, its options and the data's hash, and of all that decides about them: versions
of the packages, and the code that defines data and network.
"""

import hashlib
import os
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import parametrize

from spikec.compiler.disk import whole_file
from training import networks, tasks
from training.fit import Settings, fit
from training.rounded import rounded
from training.tasks import Task

PACKAGES = ("torch", "snntorch", "norse", "numpy")
CODE = ("digits", "fit", "networks", "rounded", "sound", "tasks")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network and how it is trained.

    Attributes:
        name: Of the network.
        hidden: Hidden neurons.
        settings: How to train.
        bits: Of the weights in training, which rounds them; None: floating point.
        seed: Of the first weights, the order of samples, and what is drawn of them.
    """

    name: str
    hidden: int
    settings: Settings
    bits: int | None = None
    seed: int = 0

    def with_options(self, epochs: int | None, seed: int, bits: int | None = None) -> "Recipe":
        """Return the recipe with another seed, and other epochs and bits (0: none) if given."""
        settings = self.settings if epochs is None else replace(self.settings, epochs=epochs)
        chosen = self.bits if bits is None else bits or None
        return replace(self, settings=settings, seed=seed, bits=chosen)


# Chosen on a fifth of the training data that was held back; the test data only measure.
FULL = {
    "mnist": Recipe("mnist", 256, Settings(epochs=8, batch=200, rate=1e-3, weight_decay=1e-4)),
    "recurrent": Recipe("recurrent", 128, Settings(40, 100, 3e-3, 1e-3), bits=8),
    "norse": Recipe("norse", 200, Settings(60, 50, 1e-2, 1e-2), bits=8),
    "norse_li": Recipe("norse_li", 200, Settings(60, 50, 5e-3, 1e-2)),
}
_QUICK = Settings(epochs=8, batch=64, rate=1e-2, weight_decay=1e-4)
SMALL = {name: Recipe(name, 32, _QUICK, full.bits) for name, full in FULL.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network.

    Attributes:
        recipe: How it was trained.
        task: On what.
        net: The module, in evaluation mode and float32.
        seconds: What training took; None for a network out of the cache.
    """

    recipe: Recipe
    task: Task
    net: Any
    seconds: float | None


def load_task(name: str, folder: Path | None) -> Task:
    """Return the data of a network: of the folder, or scikit-learn's digits for None."""
    return tasks.SMALL[name]() if folder is None else tasks.FULL[name](folder)


def train(recipe: Recipe, task: Task) -> Trained:
    """Return the network, trained now or earlier.

    Raises:
        SpikecError: Where the cache cannot be written.
    """
    torch.set_num_threads(1)  # a second one helps little, and sums in another order
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    net = networks.make(recipe.name, task.test.shape[2], recipe.hidden)
    path = cache_path(recipe, task)
    seconds: float | None = None
    if path.is_file():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        begin = time.perf_counter()
        _fit(net, recipe, task)
        seconds = time.perf_counter() - begin
        save(net, path)
    return Trained(recipe, task, net.eval(), seconds)


def _fit(net: Any, recipe: Recipe, task: Task) -> None:
    random = np.random.default_rng(recipe.seed)

    def scores(batch: Any) -> Any:
        with parametrize.cached():
            sent = networks.outputs(net, task.source.draw(batch.numpy(), random))
        return networks.scores(recipe.name, sent)

    labels = torch.from_numpy(task.labels)
    with rounded(networks.entering(recipe.name, net), recipe.bits):
        fit(net.train().parameters(), labels, recipe.settings, lambda: scores)


def save(net: Any, path: Path) -> None:
    """Write the weights as a state_dict, whole or not at all.

    Raises:
        SpikecError: Where the disk refuses.
    """
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        torch.save(net.state_dict(), stream)


def cache_path(recipe: Recipe, task: Task) -> Path:
    """Return where the weights are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    made_by = [f"{p} {version(p)}" for p in PACKAGES]
    code = [(Path(__file__).parent / f"{name}.py").read_text() for name in CODE]
    key = hashlib.sha256(repr((recipe, made_by, code, task.digest)).encode()).hexdigest()[:12]
    options = f"{recipe.name}-{recipe.hidden}-epochs{recipe.settings.epochs}-seed{recipe.seed}"
    return Path(base) / "spikec" / "trained" / f"{options}-{task.digest[:12]}-{key}.pt"
