"""Engines: event-driven populations in SystemVerilog, and what joins them."""
