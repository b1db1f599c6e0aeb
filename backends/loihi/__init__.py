"""The Loihi backend: an integer core model, and emitters of programs for the chip's SDKs."""

from spikec.backends.loihi.backend import Loihi

backend = Loihi()
