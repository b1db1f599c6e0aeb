"""``python -m spikec``."""

from spikec.compiler.cli import main

main()
