"""Fixtures for tests of the runtime clients alone: no server needed."""

import shutil
import sys
from pathlib import Path

import pytest

from .fake_runtime_api import FakeRuntimeAPI, RuntimeProcess

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def api():
    fake = FakeRuntimeAPI()
    yield fake
    fake.close()


class Starter:
    """Writes a function's files and starts a runtime on them; stops every one at the end of the test."""

    def __init__(self, folder, command):
        self.folder = folder
        self.command = command
        self.started = []

    def __call__(self, api, files, handler="index.handler", environment=None, pass_fds=()):
        task = self.folder / f"task{len(self.started)}"
        for name, text in files.items():
            file = task / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        process = RuntimeProcess(api, self.command, task, handler, environment, pass_fds)
        self.started.append(process)
        return process


@pytest.fixture
def node(tmp_path):
    interpreter = shutil.which("node")
    if interpreter is None:
        pytest.skip("no node on this machine")
    starter = Starter(tmp_path, [interpreter, str(REPOSITORY / "Runtimes/nodejs/bootstrap.mjs")])
    yield starter
    for process in starter.started:
        process.process.kill()
        process.process.wait()


def prepared_pythons():
    """The python runtimes that set-up has made on this machine."""
    root = REPOSITORY / ".cache/runtimes"
    return sorted(root.glob("python3.*/runtime.json"))


@pytest.fixture(params=prepared_pythons() or [None], ids=lambda file: file.parent.name if file else "none")
def python(request, tmp_path):
    if request.param is None:
        pytest.skip("no python runtime is prepared: make setup")
    import json

    runtime = json.loads(request.param.read_text())
    command = [runtime["interpreter"], *runtime["arguments"], str(request.param.parent / "bootstrap.py")]
    starter = Starter(tmp_path, command)
    starter.runtime = runtime
    yield starter
    for process in starter.started:
        process.process.kill()
        process.process.wait()


assert sys.version_info >= (3, 9), "the conformance tests need Python 3.9 or newer"
