"""Libraries that publish no type information, seen as ``Any`` by both type checkers."""

# pyright: reportMissingTypeStubs=false

from typing import Any

import h5py as _h5py
import networkx as _networkx
import nir as _nir
import scipy.fft as _fft
import scipy.sparse as _sparse
import scipy.sparse.csgraph as _csgraph
import scipy.sparse.linalg as _linalg

csgraph: Any = _csgraph
fft: Any = _fft
h5py: Any = _h5py
linalg: Any = _linalg
networkx: Any = _networkx
nir: Any = _nir
sparse: Any = _sparse
