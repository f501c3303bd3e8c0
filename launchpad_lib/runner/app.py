"""The notebooks as live apps: Voila on loopback, its kernels forked with the imports done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from launchpad_lib.runner.forked_kernels import kernel_server


def serve_app(notebooks: Path, *, port: int) -> int:
    """Serves every notebook of the folder until it is stopped; returns Voila's exit status.

    Raises:
        ValueError: there is no notebook.
    """
    if not any(notebooks.glob("*.ipynb")):
        raise ValueError(f"notebooks={str(notebooks)!r}: holds no .ipynb file; give the folder of the notebooks")
    options = [
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
        "--VoilaConfiguration.show_tracebacks=True",
        "--MappingKernelManager.cull_idle_timeout=600",
    ]
    with kernel_server():
        try:
            return subprocess.run([sys.executable, "-m", "voila", str(notebooks), *options], check=False).returncode
        except KeyboardInterrupt:
            return 0
