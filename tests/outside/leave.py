"""How a script ends that has read with pyarrow from a file system of Python's: threads of its pool may still be letting go
of files, and one that then asks for an interpreter that is being torn down aborts the process."""

import os
import sys


def leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
