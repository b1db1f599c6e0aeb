"""Hostile input by the thousand: mutated .nir files and builds, each tried in a watched process.

    seeds     good files and builds to begin with
    hdf5      mutations of NIR files
    builds    mutations of build folders
    mutation  which one a case number stands for
    trial     one case: load, verify, compile, simulate; what happened, and what may not happen
    worker    a process that runs cases and watches itself
    farm      processes, time and memory limits, the table

``python -m fuzzing`` from the folder of tests, or ``make fuzz``.
"""
