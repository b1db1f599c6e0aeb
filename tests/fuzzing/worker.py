"""A process that runs cases: numbers come in on stdin, two lines of JSON a case go out.

The first says that the mutant is ready, the second what happened.
"""

import argparse
import json
import os
import resource
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from fuzzing import mutation
from fuzzing.trial import Trial
from fuzzing.watch import Watch
from spikec.backends.cpu.compiled import cache_folder


def peak() -> int:
    """Return the largest resident size so far, of this process or of one it waited for, bytes."""
    # What getrusage says of this process itself begins with the size of the one that started it.
    status = Path("/proc/self/status").read_text()
    own = int(status.partition("VmHWM:")[2].split()[0])
    return 1024 * max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("campaign", type=int)
    parser.add_argument("seeds", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--memory", type=int, default=5 << 30)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (arguments.memory, arguments.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    work: Path = arguments.work
    mutants = work / "mutant"
    for name in ("mutant", "out", "tmp"):
        (work / name).mkdir(parents=True, exist_ok=True)
    os.chdir(work / "out")
    watch = Watch([work / "out", work / "tmp", cache_folder()])
    trial = Trial(arguments.campaign, work / "out", watch)
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything prints is no report
    for line in sys.stdin:
        shutil.rmtree(mutants)
        shutil.rmtree(work / "tmp", ignore_errors=True)
        mutants.mkdir()
        (work / "tmp").mkdir()
        # The time limit begins where the mutant is ready.
        case = mutation.make(arguments.campaign, int(line), arguments.seeds, mutants)
        print(json.dumps({"number": case.number, "edits": case.edits}), file=report, flush=True)
        outcome = trial.run(case)
        said = {**asdict(outcome), "kind": case.kind, "seed": case.seed, "edits": case.edits}
        print(json.dumps({**said, "peak": peak()}), file=report, flush=True)


if __name__ == "__main__":
    main()
