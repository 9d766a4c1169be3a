"""The functions of the installation scripts, called one by one."""

import os
import subprocess
from pathlib import Path
from typing import Final

HEAD: Final = """set -euo pipefail
umask 022
program=install
for part in debian layout release service; do . scripts/$part.sh; done
"""


def run_functions(root: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run lines of bash that may use, and replace, these functions."""
    variables = {**os.environ, **environment}
    return subprocess.run(("bash", "-c", HEAD + script), capture_output=True, text=True, check=False, timeout=60, cwd=root, env=variables)
