"""What tox.ini cannot say: where interpreters and uv are found, and what CI does without one.

- pyenv keeps each Python in a directory of its own, off PATH: tools/python-dirs names them.
- uv is installed beside tox, in .venv, which need not be activated.
- A missing interpreter is skipped aloud; under CI it fails, or nobody would ever notice.
"""

import os
import subprocess
import sys
from pathlib import Path

from tox.config.sets import ConfigSet, CoreConfigSet
from tox.plugin import impl
from tox.session.state import State


def _extend_path() -> None:
    # Behind what is on PATH already: whoever put a Python there wants that one.
    own = Path(sys.executable).parent
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(own)])
    script = Path(__file__).parent / "tools" / "python-dirs"
    # The script asks python3 for its siblings, and the one that runs tox is the likeliest to know.
    asking = os.environ | {"PATH": os.pathsep.join([str(own), path])}
    done = subprocess.run([script], env=asking, capture_output=True, text=True, check=True)
    os.environ["PATH"] = os.pathsep.join([path, *done.stdout.split()])


_extend_path()


@impl
def tox_add_core_config(core_conf: ConfigSet | CoreConfigSet, state: State) -> None:
    """Fail on a missing interpreter when CI=true."""
    if os.environ.get("CI") == "true" and state.conf.options.skip_missing_interpreters == "config":
        state.conf.options.skip_missing_interpreters = "false"
