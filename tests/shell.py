"""What the tests share that run some cells of a notebook: IPython in this process, for as long as a with block."""

import contextlib
import os
from types import ModuleType

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@contextlib.contextmanager
def ipython(folder):
    """A shell that keeps its files in ``folder`` and leaves this process as it was."""
    before = InteractiveShell._instance if InteractiveShell.initialized() else None
    assert before is None, "there is an IPython in this process already"
    quiet = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    old = os.environ.get("IPYTHONDIR")
    os.environ["IPYTHONDIR"] = str(folder)
    try:
        shell = InteractiveShell.instance(config=quiet, user_module=ModuleType("notebook"))
        yield shell
    finally:
        shell.restore_sys_module_state()
        InteractiveShell.clear_instance()
        os.environ.pop("IPYTHONDIR") if old is None else os.environ.update(IPYTHONDIR=old)


def run(shell, *sources):
    """Run cells until one fails; what was raised, or None."""
    for source in sources:
        result = shell.run_cell(source, store_history=True)
        if result.error_before_exec or result.error_in_exec:
            return result.error_before_exec or result.error_in_exec
    return None
