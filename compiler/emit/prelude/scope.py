"""The names an emitted module has defined before its vector functions, so that these can be imported and tested alone.

Nothing of gradc imports this module, or any file of functions beside it, when it compiles: their text is what counts.
"""

import numpy as np
from numba.extending import register_jitable

f4, f8 = np.float32, np.float64
i4, i8 = np.int32, np.int64
u4, u8 = np.uint32, np.uint64

# Range reduction is exact only in the order written: sums keep it, and only a product may fuse with its sum.
BARE = {
    "error_model": "numpy",
    "nogil": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
vector = register_jitable(fastmath={"contract"}, forceinline=True, **BARE)
kernel = register_jitable(**BARE)
inlined = register_jitable(forceinline=True, **BARE)
