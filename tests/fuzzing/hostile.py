"""Names, numbers and byte edits that mutations of either kind use."""

from random import Random
from typing import Any

CANARY = "SPIKEC_CANARY"  # a file of this name appears when text from a mutant is run as code
NAMES = (
    f"[exec touch {CANARY}]",
    f'"; import os; os.system("touch {CANARY}"); "',
    f"__import__('os').system('touch {CANARY}')",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"{{{{{CANARY}.__class__}}}}",
    f"x = open('{CANARY}', 'w') #",
    f"a\n    open('{CANARY}', 'w')\n",
    "../../etc/passwd",
    "..",
    ".",
    "",
    "\x00",
    "\x1b[2J\x1b]0;pwned\x07",
    "a\r\nSPK0000: fine",
    "\u202eevil",
    "\u0661",
    "\ud800",
    "é" * 40,
    "n" * 129,
    "n" * 100_000,
    "%s%n%x",
    "self",
    "lambda",
    "None",
    "__class__",
    "v",
    "in",
    "out",
    "input",
    "endmodule",
    "-rf",
    "in.sum",
    "node",
    "0",
)
NUMBERS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 2.5, 1e-3, 1e-9, 5e-324, -5e-324, 1e-300, 1e300, -1e300, 1e20),
    *(float("nan"), float("inf"), float("-inf"), 1.7976931348623157e308, 3.4e38, 65504.0, 1e9),
    *(2.0**31, 2.0**31 - 1, -(2.0**31), 2.0**32, 2.0**53, 2.0**62, 2.0**63, 2.0**64, 255.0),
)
INTEGERS = (
    *(0, 1, -1, 2, 3, 7, 8, 16, 63, 64, 100, 1000, 4096, 65535, 65536, 1 << 20, 1 << 24),
    *((1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 53) + 1, 1 << 62, (1 << 63) - 1),
    *(-2, -(1 << 31), -(1 << 63)),
)


def name(rnd: Random) -> str:
    """Return a hostile name."""
    return rnd.choice(NAMES)


def number(rnd: Random) -> float:
    """Return an extreme or a random number."""
    return rnd.choice(NUMBERS) if rnd.random() < 0.8 else rnd.gauss(0, 10.0 ** rnd.randint(-6, 6))


# ---------------------------------------------------------------- bytes


def truncate(data: bytearray, rnd: Random) -> None:
    """Cut at a random place."""
    del data[rnd.randrange(len(data) + 1) :]


def flip(data: bytearray, rnd: Random) -> None:
    """Change one to thirty bits."""
    for _ in range(rnd.randint(1, 30)):
        data[rnd.randrange(len(data))] ^= 1 << rnd.randrange(8)


def overwrite(data: bytearray, rnd: Random) -> None:
    """Replace a few bytes in one place by ones, zeros, or noise: lengths, counts, addresses."""
    at, width = rnd.randrange(len(data)), rnd.choice([1, 2, 4, 8, 8, 64, 1024])
    kinds = (b"\xff" * width, bytes(width), rnd.randbytes(width), b"\x7f" + b"\xff" * (width - 1))
    data[at : at + width] = rnd.choice(kinds)


def structure(data: bytearray, rnd: Random) -> None:
    """Damage what stands behind one of the marks of HDF5's own structures, or of zip's."""
    marks = (
        *(b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"BTHD"),
        *(b"FADB", b"EAHD", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"\x89HDF", b"\x93NUM"),
    )
    places = [k for m in marks for k in _all(data, m)]
    if not places:
        return overwrite(data, rnd)
    for _ in range(rnd.choice([1, 1, 1, 3])):
        at = rnd.choice(places) + rnd.randrange(4, 80)
        value = rnd.choice([b"\xff", b"\x00", b"\x01", b"\xff" * 8, bytes(8), rnd.randbytes(4)])
        data[at : at + len(value)] = value[: max(0, len(data) - at)]


def _all(data: bytearray, mark: bytes) -> list[int]:
    found: list[int] = []
    at = data.find(mark)
    while at >= 0 and len(found) < 500:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


def splice(data: bytearray, rnd: Random) -> None:
    """Copy a piece over another place, or into it."""
    size = rnd.choice([8, 16, 64, 512, 4096])
    start, at = rnd.randrange(len(data)), rnd.randrange(len(data))
    piece = data[start : start + size]
    data[at : at + (len(piece) if rnd.random() < 0.7 else 0)] = piece


def remove(data: bytearray, rnd: Random) -> None:
    """Take a piece out."""
    at = rnd.randrange(len(data))
    del data[at : at + rnd.choice([1, 8, 100, 2048])]


BYTES: dict[str, Any] = {
    f.__name__: f for f in (truncate, flip, overwrite, structure, splice, remove)
}


def damage(data: bytearray, rnd: Random) -> None:
    """Apply one of them, where there is anything to damage."""
    if data:
        rnd.choice(list(BYTES.values()))(data, rnd)
