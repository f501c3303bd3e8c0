"""Where compiled kernels are kept: beside the package, else in the user's cache, else for this process only."""

from __future__ import annotations

import atexit
import shutil
import tempfile

from numba import config, njit


def _probe():  # pragma: no cover (never called)
    return 0


def keep_compiled() -> None:
    """Gives kernels a folder that lasts as long as the process where no lasting one can be written.

    Without any folder numba refuses `cache=True` altogether, and so the import of every kernel.
    """
    try:
        njit(cache=True)(_probe)
    except RuntimeError:
        config.CACHE_DIR = tempfile.mkdtemp(prefix="launchpad-kernels-")  # type: ignore[attr-defined]  # filled in at import
        atexit.register(shutil.rmtree, config.CACHE_DIR, ignore_errors=True)  # type: ignore[attr-defined]


keep_compiled()
