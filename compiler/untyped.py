"""Libraries that publish no type information, seen as ``Any`` by both type checkers."""

# pyright: reportMissingTypeStubs=false

from typing import Any

import h5py as _h5py
import joblib as _joblib
import networkx as _networkx
import nir as _nir
import scipy.fft as _fft
import scipy.linalg.lapack as _lapack
import scipy.sparse as _sparse
import scipy.sparse.csgraph as _csgraph
import scipy.sparse.linalg as _linalg
import scipy.special as _special
import threadpoolctl as _threadpoolctl

csgraph: Any = _csgraph
fft: Any = _fft
h5py: Any = _h5py
joblib: Any = _joblib
lapack: Any = _lapack
linalg: Any = _linalg
networkx: Any = _networkx
nir: Any = _nir
sparse: Any = _sparse
special: Any = _special
threadpoolctl: Any = _threadpoolctl
