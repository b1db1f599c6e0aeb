# pyright: basic, reportMissingImports=false, reportArgumentType=false
"""Train the bundled digits model; write digits.nir and digits.json into models/digits.

Run `python tools/train_digits.py` with torch, snntorch, nir and scikit-learn installed (versions:
see digits.json). Betas and training settings were chosen by 3-fold cross-validation inside the
training digits; the held-out digits only measure. If a check fails, nothing is written.
"""

import argparse
import json
import math
import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import snntorch
import torch
from snntorch import surrogate

from training.digits import SPLIT, split_digits
from training.fit import Settings, fit

PACKAGES = ("torch", "snntorch", "nir", "h5py", "scikit-learn", "numpy")
Array = npt.NDArray[np.float64]

STEPS, DT, SIZES = 16, 1e-3, (64, 128, 10)
BETAS = (15 / 16, 31 / 32)  # exact in float32, so torch and NIR decay alike
SURROGATE = surrogate.fast_sigmoid(slope=5)
NEURON: dict[str, Any] = {"threshold": 1.0, "reset_mechanism": "zero", "reset_delay": False}
NEURONS: list[Any] = [snntorch.Leaky(b, spike_grad=SURROGATE, **NEURON) for b in BETAS]
BATCH, RATE, WEIGHT_DECAY, DROPOUT, SHIFT = 64, 5e-3, 1e-2, 0.2, 0.4
LICENCE = "UCI ML hand-written digits, from scikit-learn's bundled copy, CC BY 4.0"


def encode(pixels: Array) -> Array:
    """Return spikes (STEPS, *pixels.shape): one per pixel, brighter is earlier, none for zero."""
    steps = np.floor((1 - pixels) * (STEPS - 1) + 0.5)
    return np.array([(steps == k) & (pixels > 0) for k in range(STEPS)], dtype=np.float64)


def shift_images(pixels: Array, rng: np.random.Generator) -> Array:
    """Move each image by up to SHIFT pixels each way (bilinear), to vary the training digits."""
    image = np.pad(pixels.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    for axis in (1, 2):
        move = rng.uniform(-SHIFT, SHIFT, (len(image), 1, 1))
        moved = np.where(move > 0, np.roll(image, 1, axis), np.roll(image, -1, axis))
        image = (1 - np.abs(move)) * image + np.abs(move) * moved
    return np.round(image[:, 1:-1, 1:-1] * 16).reshape(-1, 64) / 16


def run_torch(linears: list[Any], spikes: Any, mask: Any = 1.0) -> list[Any]:
    """Run snnTorch on spikes (STEPS, digits, 64); return each layer's spikes over time."""
    memory = [torch.zeros(spikes.shape[1], size) for size in SIZES[1:]]
    history: list[list[Any]] = [[], []]
    for current in linears[0](spikes):
        hidden, memory[0] = NEURONS[0](current, memory[0])
        output, memory[1] = NEURONS[1](linears[1](hidden * mask), memory[1])
        history[0].append(hidden)
        history[1].append(output)
    return [torch.stack(layer) for layer in history]


def train(pixels: Array, labels: npt.NDArray[np.int64], epochs: int, seed: int) -> list[Any]:
    """Train with cross entropy on the output spike counts; return the linear layers."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    linears = [torch.nn.Linear(a, b) for a, b in pairwise(SIZES)]
    for linear in linears:
        linear.weight.data.mul_(2)  # enough drive for the output to spike from the start

    def begin() -> Callable[[Any], Any]:
        spikes = torch.from_numpy(encode(shift_images(pixels, rng))).float()

        def scores(batch: Any) -> Any:
            mask = (torch.rand(len(batch), SIZES[1]) > DROPOUT).float() / (1 - DROPOUT)
            return run_torch(linears, spikes[:, batch], mask)[1].sum(0)

        return scores

    weights = [p for linear in linears for p in linear.parameters()]
    settings = Settings(epochs, BATCH, RATE, WEIGHT_DECAY)
    fit(weights, torch.from_numpy(labels), settings, begin)
    return linears


def build_graph(linears: list[Any]) -> Any:
    """Return the NIR graph whose exact solution at DT is the trained network."""
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array([SIZES[0]])})}
    for i, (linear, beta, size) in enumerate(zip(linears, BETAS, SIZES[1:], strict=True), 1):
        weight, bias = (p.detach().numpy() for p in (linear.weight, linear.bias))
        nodes[f"fc{i}"] = nir.Affine(weight=weight, bias=bias)
        nodes[f"lif{i}"] = nir.LIF(
            tau=np.full(size, -DT / math.log(beta)),
            r=np.full(size, 1 / (1 - beta)),
            v_leak=np.zeros(size),
            v_threshold=np.ones(size),
            v_reset=np.zeros(size),
        )
    nodes["output"] = nir.Output(output_type={"output": np.array([SIZES[-1]])})
    return nir.NIRGraph(nodes=nodes, edges=list(pairwise(nodes)))


def run_numpy(nodes: dict[str, Any], spikes: Array, eight_bits: bool = False) -> list[Array]:
    """Run the NIR nodes in float64; return each layer's spikes over time.

    With eight_bits, weights and biases are rounded to multiples of the largest weight / 127.
    """
    history: list[Array] = []
    for i in (1, 2):
        affine, lif = nodes[f"fc{i}"], nodes[f"lif{i}"]
        weight, bias = affine.weight.astype(np.float64), affine.bias.astype(np.float64)
        if eight_bits:
            scale = np.abs(weight).max() / 127
            weight, bias = np.round(weight / scale) * scale, np.round(bias / scale) * scale
        decay = np.exp(-DT / lif.tau)
        gain = lif.r * (1 - decay)
        v = np.zeros((spikes.shape[1], len(bias)))
        fired = np.zeros((STEPS, *v.shape))
        for step in range(STEPS):
            v = decay * v + gain * (spikes[step] @ weight.T + bias)
            fired[step] = v > 1
            v[v > 1] = 0
        history.append(fired)
        spikes = fired
    return history


def main() -> None:
    """Train, verify in numpy, and write the model and its description."""
    parser = argparse.ArgumentParser(description="Train the bundled digits model.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=300)
    models = Path(__file__).resolve().parent.parent / "models"
    parser.add_argument("--out", type=Path, default=models / "digits", help="output folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    pixels, held_out, labels, truth = split_digits()
    of = len(truth)
    graph = build_graph(linears := train(pixels, labels, args.epochs, args.seed))
    args.out.mkdir(parents=True, exist_ok=True)
    model, again, text = (args.out / f".{n}.{os.getpid()}.tmp" for n in ("nir", "copy", "json"))
    try:
        nir.write(model, graph)
        nir.write(again, graph)
        spikes, nodes = encode(held_out), nir.read(model).nodes
        with torch.no_grad():
            tensors = run_torch(linears, torch.from_numpy(spikes).float())
        expected = [np.asarray(t, dtype=np.float64) for t in tensors]
        actual = run_numpy(nodes, spikes)
        rounded = run_numpy(nodes, spikes, eight_bits=True)
        runs = {"snnTorch float32": expected, "numpy float64": actual, "numpy 8-bit": rounded}
        # argmax takes the lowest index of a tie
        hits = [int((run[1].sum(0).argmax(1) == truth).sum()) for run in runs.values()]
        for name, hit in zip(runs, hits, strict=True):
            print(f"{name}: {hit}/{of} = {hit / of:.2%}")
        differing = [int((a != e).sum()) for a, e in zip(actual, expected, strict=True)]
        totals = {"lif1": int(actual[0].sum()), "lif2": int(actual[1].sum())}
        print(f"spikes in numpy: {totals}, differing from snnTorch: {differing}")
        if model.read_bytes() != again.read_bytes():
            raise SystemExit("two writes of the same graph differ: nothing written")
        if hits[1] < 0.95 * of or abs(hits[1] - hits[0]) > 2 or hits[1] - hits[2] > 0.01 * of:
            raise SystemExit("accuracy is too low or does not carry over: nothing written")
        description: dict[str, Any] = {
            "dataset": "scikit-learn load_digits, 8x8, x = pixel / 16",
            "split": {"function": "train_test_split", **SPLIT, "stratify": True, "held_out": of},
            "encoding": {"name": "latency", "steps": STEPS},
            "readout": "argmax of output spike counts, ties to the lowest index",
            "dt": DT,
            "semantics": "nir",
            "betas": BETAS,
            "accuracy": {"correct": hits[1], "of": of, "arithmetic": "numpy float64"},
            "spikes": totals,
            "training": {"seed": args.seed, "epochs": args.epochs},
            "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            "licence": LICENCE,
        }
        text.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        os.replace(model, args.out / "digits.nir")
        os.replace(text, args.out / "digits.json")
    finally:
        for path in (model, again, text):
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
