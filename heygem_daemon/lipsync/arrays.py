"""Names for the arrays that travel through the library; shapes and units stand in the docstrings of whoever takes or returns them."""

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Image = npt.NDArray[np.uint8]
"""uint8 [height, width, 3], blue first, or [height, width]."""
Triangles = npt.NDArray[np.int32]
"""int32 [n, 3]: three indices of points each."""
