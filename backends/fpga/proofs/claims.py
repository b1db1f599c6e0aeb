"""Everything that is proved of a build: its lanes op by op, and the modules that carry events."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.proofs import protocol
from spikec.backends.fpga.proofs.proof import prove


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of one module.

    Attributes:
        module: Its name.
        claim: What it shall do.
        outcomes: How many obligations are proved, simulated, refuted, open or unknown.
        examples: Counterexamples, or properties that fail.
    """

    module: str
    claim: str
    outcomes: Mapping[str, int]
    examples: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether all of them are."""
        return set(self.outcomes) == {"proved"}


def claims(plan: Plan, made: Mapping[str, str]) -> list[Claim]:
    """Prove what can be proved of a build.

    Raises:
        SpikecError: SPK1801 without the tools, and what ``proof.prove`` raises.
    """
    found = [
        Claim(
            lane.name,
            "its equation, op by op",
            Counter(outcome.status for _, _, outcome in lane.outcomes),
            tuple(lane.vectors()),
        )
        for lane in prove([e.lane for e in plan.engines])
    ]
    kept = protocol.prove(made, plan.label)
    for module in sorted({k.module for k in kept}):
        mine = [k for k in kept if k.module == module]
        failed = {title for k in mine for title in k.failed}
        outcomes = Counter(k.status for k in mine)
        found.append(Claim(module, "its properties", outcomes, tuple(sorted(failed))))
    return found
