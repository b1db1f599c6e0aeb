"""Named switches for every corner at which public emulators of Loihi disagree.

Source: the table of the Loihi specification (section 4). L is Lava 0.10.0, N nengo-loihi, B
brian2-loihi 0.5.2. The defaults follow the register widths that the chip's public descriptions
give; where they give none, the comment at the field says what was chosen. Corner 11, the choice of
the weight scale, is the quantiser's. Noise is not modelled.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Corners:
    """One meaning of every corner.

    Attributes:
        current_wrap: Corner 1. The 24-bit current: two's complement (N), the same but with +2^23 in
            place of -2^23 (lava), or without limit (B).
        synaptic_sum: Corner 2. The 22-bit sum: two's complement (N), without limit (L), or every
            weight clipped to +-(2^21 - 64) (clip, B).
        refractory: Corner 3. The membrane of a blocked neuron: zero (N), frozen (B), or no
            refractory period at all (absent, L). Default: no document; N, as the one that ran
            beside the chip.
        recorded_current: Corner 4. After the update (L, N), or after the next decay too (B).
        truncation: Corner 5. Dropped low bits of a weight: floor (L), nearest_even (N), or to_zero
            (B). Default: no document; L. Quantised programs have no low bits to drop.
        mixed_255: Corner 6. Weight 255 in mixed mode: truncate (L), clip (N), reject (B).
        negative_exponent: Corner 7. exact keeps w 2^(6 + e); the emulators keep multiples of 64:
            sum_then_shift (L), round_each (N), floor_each (B). Default: no document; exact, which
            equals all of them for the weights that quantize_loihi makes.
        bias: Corner 8. lava: -4096 to 4095, exponents may be negative; symmetric: +-4095, 0 to 7
            (N); none (B).
        drive_wrap: Corner 9. Current plus bias: exact (L), or wrapped to 24 bits (wrap, N).
            Default: no document; exact, since the membrane clips.
        membrane_limits: Corner 10. fixed, +-(2^23 - 1) (L); programmable, vmin and vmax (N); none
            (B).
    """

    current_wrap: Literal["twos_complement", "lava", "none"] = "twos_complement"
    synaptic_sum: Literal["wrap", "none", "clip"] = "wrap"
    refractory: Literal["zero", "frozen", "absent"] = "zero"
    recorded_current: Literal["updated", "decayed"] = "updated"
    truncation: Literal["floor", "nearest_even", "to_zero"] = "floor"
    mixed_255: Literal["truncate", "clip", "reject"] = "truncate"
    negative_exponent: Literal["exact", "sum_then_shift", "round_each", "floor_each"] = "exact"
    bias: Literal["lava", "symmetric", "none"] = "symmetric"
    drive_wrap: Literal["exact", "wrap"] = "exact"
    membrane_limits: Literal["fixed", "programmable", "none"] = "programmable"


DEFAULT = Corners()
LAVA = Corners(
    current_wrap="lava",
    synaptic_sum="none",
    refractory="absent",
    negative_exponent="sum_then_shift",
    bias="lava",
    membrane_limits="fixed",
)
NENGO = Corners(
    truncation="nearest_even",
    mixed_255="clip",
    negative_exponent="round_each",
    drive_wrap="wrap",
)
BRIAN = Corners(
    current_wrap="none",
    synaptic_sum="clip",
    refractory="frozen",
    recorded_current="decayed",
    truncation="to_zero",
    mixed_255="reject",
    negative_exponent="floor_each",
    bias="none",
    membrane_limits="none",
)
