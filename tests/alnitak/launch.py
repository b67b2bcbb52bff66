# Runs Alnitak again and again: one start of Python, one child for each call. What Alnitak has at fixed places goes below the folder
# that a call names.
#
# In: one JSON document a line, {"base": folder, "arguments": [...], "environment": {...}}. Out: the exit code, one a line. What the call
# printed is in "out" and "err" in that folder.
import json
import os
import pathlib
import sys
import warnings

warnings.simplefilter("ignore")

from alnitak import prog
from alnitak.main import main

init = prog.State.__init__
base = pathlib.Path("/nonexistent")


def within(self, *args, **kwargs):
    init(self, *args, **kwargs)
    self.testing_mode = os.geteuid() != 0
    self.datafile = base / "alnitak.data"
    self.lockfile = base / "lock" / "alnitak.lock"
    if hasattr(self.log, "output"):
        self.log.output.file_name = str(base / "log")
    else:
        self.log.file = base / "log"


prog.State.__init__ = within


def call(wanted):
    for name, descriptor in (("out", 1), ("err", 2)):
        to = os.open(base / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(to, descriptor)
    os.chdir(base)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.argv = ["alnitak"] + wanted["arguments"]
    try:
        main()
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1


for line in sys.stdin:
    wanted = json.loads(line)
    base = pathlib.Path(wanted["base"])
    child = os.fork()
    if child == 0:
        code = call(wanted)
        # The end of the interpreter is part of Alnitak: it removes its lock there.
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            (base / "lock" / "alnitak.lock").unlink()
        except OSError:
            pass
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
