"""An array that grows frame by frame, so that a trajectory is not in memory twice when it becomes an array."""

import numpy as np
import numpy.typing as npt

_SHARE = 0.2
"""Room for more frames, as a share of those that are there."""


class Growing:
    """Single-precision values of frames, one after the other."""

    def __init__(self) -> None:
        self._values: npt.NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self._n_frames = 0

    def __len__(self) -> int:
        return self._n_frames

    def append(self, values: npt.NDArray[np.floating]) -> None:
        """Take the values of a frame, of the same shape as those of the first."""
        if self._n_frames == 0:
            self._values = np.empty((16, *values.shape), dtype=np.float32)
        elif self._n_frames == len(self._values):
            room = self._n_frames + max(16, int(_SHARE * self._n_frames))
            # nobody looks into the array yet, so it may move
            self._values.resize((room, *values.shape), refcheck=False)
        self._values[self._n_frames] = values
        self._n_frames += 1

    def finish(self) -> npt.NDArray[np.float32]:
        """Return the array, shape (T, ...); nothing can be appended to it any more."""
        values, self._values = self._values, np.empty(0, dtype=np.float32)
        values.resize((self._n_frames, *values.shape[1:]), refcheck=False)
        return values
