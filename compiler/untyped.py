"""Libraries that publish no type information, seen as ``Any`` by both type checkers."""

from typing import Any

import networkx as _networkx
import scipy.sparse as _sparse

networkx: Any = _networkx
sparse: Any = _sparse
