"""`stitchc` in copies of one process that has imported all that commands import, which takes longer than most of them.

python -P tests/copies.py FOLDER    # puts a program `stitchc` into FOLDER, and serves those who call it
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Hands its words, folder, variables and standard streams to a copy, and ends as that does.
PROGRAM = """#!{python} -SE
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"-"], [0, 1, 2])
with server.makefile("rw") as said:
    said.write(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]) + "\\n")
    said.flush()
    sys.exit(int(said.readline() or 70))
"""


@contextmanager
def served(folder: Path) -> Iterator[Path]:
    """A folder for the front of PATH, whose `stitchc` is run by a copy."""
    server = subprocess.Popen([sys.executable, "-P", __file__, folder], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "ready\n"
        yield folder
    finally:
        server.kill()
        server.wait()


def serve(folder: Path) -> None:
    """Runs what comes, each in a copy, until it is ended."""
    address = str(folder / "socket")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    program = folder / "stitchc"
    program.write_text(PROGRAM.format(python=sys.executable, address=address))
    program.chmod(0o755)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a copy but who called it
    print("ready", flush=True)
    while True:
        caller, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            run(caller)
        caller.close()


def run(caller: socket.socket) -> None:
    """One command, in a copy."""
    status = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _, streams, _, _ = socket.recv_fds(caller, 1, 3)
        said = caller.makefile("rw")
        words, folder, variables = json.loads(said.readline())
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        # A copy's pool of threads is made anew by the first call of this kind; by two at once, of the threads of
        # autograd, one finds none.
        torch.set_num_threads(torch.get_num_threads())
        sys.argv = ["stitchc", *words]
        status = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        said.write(f"{status}\n")
        said.flush()
        os._exit(status)


if __name__ == "__main__":
    import torch

    import stitchc
    from stitchc.cli import main

    for package in (stitchc, importlib.import_module("stitchc.passes"), importlib.import_module("stitchc.zoo")):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    serve(Path(sys.argv[1]))
