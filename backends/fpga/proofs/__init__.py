"""Proofs: lanes op by op, and the modules that carry events by induction."""
