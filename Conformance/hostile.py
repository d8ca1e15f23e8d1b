"""The server that hostile tests attack, and what must hold after each of them."""

import contextlib

from .harness import Server
from .raw import exchange, resident_mb

# What the server may hold after an attack. Idle it holds under 30; the largest body that it takes into memory is the
# 70 MB of CreateFunction, which may be there as bytes, as text and decoded at the same time.
RESIDENT_LIMIT_MB = 400


@contextlib.contextmanager
def victim_in(directory, *arguments):
    server = Server(directory / "data", ["--time-scale", "600", *arguments])
    server.start()
    try:
        yield server
    finally:
        server.kill9()


@contextlib.contextmanager
def unharmed(server):
    """Around an attack: the same process is healthy, within its memory, and nothing was created."""
    pid, before = server.process.pid, inventory(server)
    yield
    assert server.process.poll() is None, f"the server died:\n{server.log_tail()}"
    assert server.process.pid == pid and server.is_healthy()
    assert resident_mb(pid) < RESIDENT_LIMIT_MB
    assert inventory(server) == before, "something was half-created"


def inventory(server):
    """The names of everything that there is."""
    s3 = server.client("s3")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return {
        "buckets": buckets,
        "objects": [item["Key"] for name in buckets for item in s3.list_objects_v2(Bucket=name).get("Contents", [])],
        "functions": [item["FunctionName"] for item in server.client("lambda").list_functions()["Functions"]],
        "layers": [item["LayerName"] for item in server.client("lambda").list_layers()["Layers"]],
        "roles": [item["RoleName"] for item in server.client("iam").list_roles()["Roles"]],
        "groups": [item["logGroupName"] for item in server.client("logs").describe_log_groups()["logGroups"]],
    }


def refused(victim, data, statuses=range(400, 500), **options):
    """Sends bytes that must be refused with one of these statuses, in one of AWS's forms; the Answer."""
    answer = exchange(victim, data, **options)
    assert answer.status in statuses and answer.is_error_of_ours, answer
    return answer
