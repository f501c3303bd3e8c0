"""Where compiled kernels are kept: beside the package, else in the user's cache, else for this process only."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from functools import cache
from typing import Any

from numba import config, njit
from numba.core.dispatcher import Dispatcher

from launchpad_lib.contract.scratch_folders import ScratchFolder


def _probe():  # pragma: no cover (never called)
    return 0


def keep_compiled() -> None:
    """Gives kernels a folder that lasts as long as the process where no lasting one can be written.

    Without any folder numba refuses `cache=True` altogether, and so the import of every kernel.
    """
    try:
        njit(cache=True)(_probe)
    except RuntimeError:
        # numba fills in the names of `config` when it is imported.
        config.CACHE_DIR = _compiled_here().name  # type: ignore[attr-defined]


@cache
def _compiled_here() -> ScratchFolder:
    return ScratchFolder("kernels")  # held as long as the process


def load_compiled() -> int:
    """Loads every kernel of the package that lies compiled in the cache, and returns how many; compiles nothing.

    A process that is forked afterwards has them at once, instead of reading each from disk when it is first called.
    """
    package = importlib.import_module(__package__)
    modules = [
        importlib.import_module(f"{__package__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]
    kernels: set[Any] = {v for module in modules for v in vars(module).values() if isinstance(v, Dispatcher)}
    loaded = 0
    for kernel in kernels:
        # numba has no public way to ask what a cache holds; without it kernels are loaded when they are called.
        with contextlib.suppress(Exception):
            machine = kernel.targetctx.codegen()
            for signature, *rest in kernel._cache._cache_file._load_index():
                if kernel._cache._index_key(signature, machine) == (signature, *rest):  # not of another processor
                    kernel.compile(signature)
                    loaded += 1
    return loaded


keep_compiled()
