"""Reduced or full sizes: ``make test-full`` sets SPIKEC_FULL, and records what was counted."""

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

FULL = bool(os.environ.get("SPIKEC_FULL"))


def size(reduced: int, full: int) -> int:
    """Return a count for this run."""
    return full if FULL else reduced


def examples(reduced: int, full: int) -> settings:
    """Return hypothesis settings for a slow property with so many generated networks."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=size(reduced, full),
        deadline=None,
        suppress_health_check=checks,
        derandomize=True,
        print_blob=True,
    )


def evidence(item: str, **figures: Any) -> None:
    """Keep a figure for docs/evidence.md, where SPIKEC_EVIDENCE names a folder."""
    folder = os.environ.get("SPIKEC_EVIDENCE")
    if folder:
        path = Path(folder) / f"{item}.json"
        path.write_text(json.dumps(figures, sort_keys=True) + "\n")
