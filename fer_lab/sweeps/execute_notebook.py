"""Execute one notebook with papermill: the program that a sweep starts for each run.

It is called by its path and imports nothing from the package, so it loads no torch: only the notebook's kernel does.
"""

import json
import os
import sys
from pathlib import Path
from queue import Empty
from time import monotonic


def main(notebook, page, parameters):
    """Execute ``notebook`` with ``parameters`` (JSON); ``page``, the executed copy, appears whole or not at all.

    Of several processes for one page the first works and the others wait, also for one that an earlier driver left.
    """
    import papermill
    from filelock import FileLock
    from nbclient.exceptions import DeadKernelError

    mend_lost_messages()
    page = Path(page)
    unfinished = page.with_name(f"unfinished-{page.name}")
    with FileLock(page.with_suffix(".lock")):
        if page.exists():
            return
        try:
            papermill.execute_notebook(notebook, unfinished, json.loads(parameters), kernel_name="python3",
                                       progress_bar=False, extra_arguments=["--log-level=CRITICAL"])
        except papermill.PapermillExecutionError as error:
            sys.exit(f"cell [{error.exec_count}] stopped with {error.ename}: {error.evalue}")
        except DeadKernelError:
            sys.exit("the notebook's kernel was killed: most often the memory ran out")
        os.replace(unfinished, page)


def mend_lost_messages():
    """Keep nbclient from hanging.

    When a kernel's message comes in just before nbclient starts to wait, the wake-up is sometimes lost and nbclient
    waits for ever: in 5 of 200 cells that print into a widget (nbclient issue 312, jupyter_client pull request 1059).
    Waiting in short slices makes a lost wake-up cost 0.2 s.
    """
    from jupyter_client.channels import AsyncZMQSocketChannel

    async def get_msg(self, timeout=None):
        end = None if timeout is None else monotonic() + timeout
        while True:
            wait = 0.2 if end is None else max(0.0, min(0.2, end - monotonic()))
            if await self.socket.poll(int(wait * 1000)):
                return await self._recv()
            if end is not None and monotonic() >= end:
                raise Empty

    AsyncZMQSocketChannel.get_msg = get_msg


if __name__ == "__main__":
    main(*sys.argv[1:])
