"""Hardware as data: targets and prices."""
