"""Runs botocore's protocol cases in reverse: see protocols.py."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import protocols  # noqa: E402

COMMAND = os.environ.get("MARTLET_SWIFT_TEST", "swift test --filter ProtocolCases")


@pytest.mark.timeout(1800)  # may have to build the tests first
def test_protocol_cases(tmp_path):
    protocols.fetch()
    sys.path.insert(0, str(protocols.CACHE / "botocore"))
    requests, answers = protocols.prepare(tmp_path)
    assert requests >= 290 and answers >= 300, "cases are missing"
    environment = dict(os.environ, MARTLET_PROTOCOL_TESTS=str(tmp_path))
    subprocess.run(shlex.split(COMMAND), cwd=protocols.ROOT, env=environment, check=True, timeout=1800)
    failures = protocols.check(tmp_path)
    assert not failures, failures[:5]
