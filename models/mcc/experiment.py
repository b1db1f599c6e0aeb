# pyright: basic, reportMissingImports=false
"""All runs of the experiment, each kept in the user's cache folder as soon as it is done.

A run is named by its recipe, by the features' origin and by the code that decides about it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch

from spikec.compiler.disk import whole_file
from spikec.compiler.types import Array
from spikec.models.mcc import nets, training
from spikec.models.mcc.features import Features, cache_folder, load_features
from spikec.models.mcc.nets import Net, Shape, equal_parameters
from spikec.models.mcc.training import Lesion, Recipe, lesion_mask, score, smoothed

SHARES = (0.1, 0.3, 0.5)
FAULT_RATE = 1e-4  # bits that flip, of the 8 of each weight
RECOVERED = 1.1  # times the error before the lesion


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of an experiment.

    Attributes:
        clips: Of GRID; None: all.
        steps: Of training.
        seeds: How many.
        width: Cells per stream and layer.
        penalty: Of the mean activity, where there is one.
        labelled: Share of clips with words, where not all have them.
    """

    clips: int | None = None
    steps: int = 400
    seeds: int = 5
    width: int = 48
    penalty: float = 0.5
    labelled: float = 0.1

    def shapes(self) -> dict[str, Shape]:
        """Return the networks by name."""
        co = Shape("co", self.width)
        return {
            "point": Shape("point", self.width),
            "narrow": Shape("fused", self.width),
            "fused": equal_parameters(co),
            "tm1": Shape("tm1", self.width),
            "co": co,
        }

    def runs(self) -> "list[Run]":
        """Return every run."""
        made: list[Run] = []
        for seed in range(self.seeds):
            for name, shape in self.shapes().items():
                for labelled in (1.0, self.labelled):
                    for penalty in (0.0, self.penalty):
                        recipe = Recipe(shape, penalty, labelled, self.steps, seed)
                        made.append(Run(name, recipe))
                plain = Recipe(shape, steps=self.steps, seed=seed)
                made += [Run(name, plain, share) for share in SHARES]
        return made


FULL = Plan()
SMOKE = Plan(clips=40, steps=30, seeds=1, width=16)


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    Attributes:
        network: point, narrow, fused, tm1 or co.
        recipe: How it is trained.
        lesion: Share of the cells that are silenced half way; 0: none.
    """

    network: str
    recipe: Recipe
    lesion: float = 0.0

    def key(self, origin: str) -> str:
        """Return the name of the run's files."""
        code = [Path(m.__file__).read_bytes() for m in (nets, training) if m.__file__]
        text = repr((self, origin, torch.__version__)).encode()
        return f"{self.network}_{hashlib.sha256(b''.join([text, *code])).hexdigest()[:20]}"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A run and what came of it.

    Attributes:
        run: The run.
        figures: nmse, words, active on test clips; after a training with a lesion ``drop`` and
            ``recovery``; else ``lesions`` and ``faults``, the errors of the damaged network.
        weights: Of the network, by name.
    """

    run: Run
    figures: dict[str, Any]
    weights: dict[str, Array]


def experiment(
    plan: Plan, data: Path, jobs: int = 2, progress: Callable[[int, int], None] | None = None
) -> list[Result]:
    """Train what is not in the cache yet, and return all results.

    Args:
        plan: What to run.
        data: Folder that holds ``grid_s1``.
        jobs: Processes, of one thread each.
        progress: Called with how many runs are done, and of how many.

    Raises:
        SpikecError: Errors of ``load_features``, and of the disk.
    """
    features, runs = load_features(data, plan.clips), plan.runs()
    keys = [r.key(features.origin) for r in runs]
    missing = [(r, k) for r, k in zip(runs, keys, strict=True) if not _paths(k)[0].is_file()]
    done = len(runs) - len(missing)
    tasks = (joblib.delayed(_train)(r, k, data, plan.clips) for r, k in missing)
    for _ in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
        done += 1
        if progress is not None:
            progress(done, len(runs))
    return [_kept(r, k) for r, k in zip(runs, keys, strict=True)]


def _paths(key: str) -> tuple[Path, Path]:
    base = cache_folder()
    return base / f"{key}.json", base / f"{key}.npz"


def _kept(run: Run, key: str) -> Result:
    figures, weights = _paths(key)
    with np.load(weights, allow_pickle=False) as held:
        return Result(run, json.loads(figures.read_text()), dict(held))


@lru_cache(maxsize=1)
def _features(data: Path, clips: int | None) -> Features:
    """Return the features, read once by a process."""
    return load_features(data, clips)


def _train(run: Run, key: str, data: Path, clips: int | None) -> None:
    """Train one network, measure it, and keep both."""
    features = _features(data, clips)
    recipe, errors = run.recipe, list[float]()
    lesion = None
    if run.lesion:
        mask = lesion_mask(recipe.shape, run.lesion, recipe.seed)
        lesion = Lesion(recipe.steps // 2, mask)
    net = training.train(recipe, features.train, lesion, lambda step, error: errors.append(error))
    on_test = score(net, features.test)
    figures: dict[str, Any] = {
        "nmse": on_test.nmse,
        "words": on_test.words,
        "active": on_test.active,
        "validation": score(net, features.validation).nmse,
    }
    if lesion is not None:
        figures |= _recovery(errors, lesion.step)
    elif not recipe.penalty and recipe.labelled == 1.0:
        figures |= {"lesions": _lesions(net, features, recipe), "faults": _faults(net, features)}
    weights = {n: t.numpy() for n, t in net.state_dict().items()}
    paths = _paths(key)
    with whole_file(paths[1]) as temporary, temporary.open("wb") as out:
        np.savez(out, **weights)
    with whole_file(paths[0]) as temporary:
        temporary.write_text(json.dumps(figures, sort_keys=True) + "\n")


def _recovery(errors: Sequence[float], step: int) -> dict[str, Any]:
    """Return how much the error rises at a lesion, and after how many steps it is back.

    Before: the mean of 20 batches. Back: the mean of the last 10 since the lesion is below 1.1
    times that; None where it never is.
    """
    before = float(np.mean(errors[max(step - 20, 0) : step]))
    after = errors[step:]
    running = smoothed(after, 10)
    back = np.flatnonzero(running[9:] <= RECOVERED * before) if len(after) > 9 else np.array([])
    return {
        "drop": float(np.mean(after[:3])) / before,
        "recovery": int(back[0]) + 10 if back.size else None,
    }


def _lesions(net: Net, features: Features, recipe: Recipe) -> list[float]:
    """Return the errors with each share of the cells silenced, without further training."""
    found: list[float] = []
    for share in SHARES:
        net.alive.copy_(torch.from_numpy(lesion_mask(recipe.shape, share, recipe.seed)))
        found.append(score(net, features.test).nmse)
    net.alive.fill_(1.0)
    return found


def _faults(net: Net, features: Features, draws: int = 5) -> list[float]:
    """Return the errors with weights of 8 bits in which one bit of 10^4 has flipped.

    The first is without faults. Every array has the power of two of ``quantize_values``.
    """
    held = {n: t.clone() for n, t in net.named_parameters()}
    found: list[float] = []
    for draw in range(draws + 1):
        random = np.random.default_rng(draw)
        with torch.no_grad():
            for name, t in net.named_parameters():
                if t.dim() == 2 and not name.startswith("words"):
                    rate = FAULT_RATE if draw else 0.0
                    t.copy_(torch.from_numpy(_flipped(held[name].numpy(), rate, random)))
        found.append(score(net, features.test).nmse)
    with torch.no_grad():
        for name, t in net.named_parameters():
            t.copy_(held[name])
    return found


def _flipped(weights: Array, rate: float, random: np.random.Generator) -> Array:
    """Return weights rounded to 8 bits, with bits flipped at random."""
    frac = int(np.floor(np.log2(127) - np.log2(np.abs(weights).max())))
    stored = np.clip(np.rint(np.ldexp(weights, frac)), -127, 127).astype(np.int8)
    flips = random.random((*weights.shape, 8)) < rate
    pattern = np.packbits(flips, axis=-1)[..., 0].view(np.int8)
    return np.asarray(np.ldexp((stored ^ pattern).astype(np.float32), -frac))


def selected(results: Sequence[Result], network: str, penalty: bool, semi: bool) -> list[Result]:
    """Return the results without lesion of one network and training, by seed."""
    return [
        r
        for r in results
        if r.run.network == network
        and not r.run.lesion
        and bool(r.run.recipe.penalty) == penalty
        and (r.run.recipe.labelled < 1.0) == semi
    ]


def smaller(plan: Plan, seeds: int | None, steps: int | None) -> Plan:
    """Return the plan with other seeds and steps, where given."""
    return replace(plan, seeds=seeds or plan.seeds, steps=steps or plan.steps)
