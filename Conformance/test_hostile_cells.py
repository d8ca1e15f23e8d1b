"""A hostile function against the server's own memory and connections, through the AWS endpoint in its cell."""

import textwrap
import urllib.request

import pytest

from .functions import FAST_MB, RUN
from .harness import Server

CELL_CONNECTIONS = 128
CELL_BODY_BYTES = 128 << 20


@pytest.fixture(scope="module")
def cell_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("hostile-cells") / "data", ["--time-scale", "600"])
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def attack(cell_server, make_function):
    function = make_function(RUN, server=cell_server, MemorySize=FAST_MB, Timeout=60)

    def run(text, **values):
        return function.invoke({"run": textwrap.dedent(text), **values})

    return run


def metric(server, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/_martlet/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


def check_that_others_work(server, make_function):
    server.client("s3").list_buckets()
    other = make_function(RUN, server=server, MemorySize=FAST_MB, Timeout=20)
    done = other.invoke({"run": "import boto3; result = len(boto3.client('s3').list_buckets()['Buckets'])"})
    assert done.error is None, done.body


def test_connections(cell_server, attack, make_function):
    """One cell gets its share, keeps it while it is frozen, and nobody else notices."""
    done = attack(
        """
        import socket
        open_, refused = globals().setdefault("kept", []), 0
        for _ in range(300):
            s = socket.create_connection(("127.0.0.1", 4566), 5)
            s.sendall(b"GET /_martlet/health HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            if b" 200 " in s.recv(4096)[:20]: open_.append(s)
            else: refused += 1
        import builtins
        builtins.kept = open_
        result = [len(open_), refused]
        """
    )
    assert done.error is None, done.body
    assert done.json == [CELL_CONNECTIONS, 300 - CELL_CONNECTIONS]
    check_that_others_work(cell_server, make_function)


def test_bodies(cell_server, attack, make_function):
    """Bodies that never end: their memory is the server's, so one cell gets a bounded part of it."""
    done = attack(
        """
        import builtins, socket
        builtins.bodies = bodies = []
        head = (b"POST /2015-03-31/functions HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 70000000\\r\\n\\r\\n")
        piece, sent = b"x" * (1 << 20), 0
        for _ in range(8):
            s = socket.create_connection(("127.0.0.1", 4566), 5)
            s.settimeout(5)
            bodies.append(s)
            try:
                s.sendall(head)
                for _ in range(60):
                    s.sendall(piece)
                    sent += len(piece)
            except OSError:
                pass  # answered 503 and closed
        result = sent
        """
    )
    assert done.error is None, done.body
    held = metric(cell_server, "martlet_request_bodies_held_bytes")
    assert held <= CELL_BODY_BYTES, held
    assert done.json > CELL_BODY_BYTES / 2, "the attack was one"
    check_that_others_work(cell_server, make_function)
