"""A disk that is full gives errors on writes, keeps reads alive, and everything works again when there is room."""

import os
import subprocess

import botocore.exceptions
import pytest

from .functions import FAST_MB
from .harness import Server, unique, wait_for

SIZE_MB = 48
BALLAST_MB = 16


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MB, 16 of which a ballast takes."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", mount], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr}")
    (mount / "ballast").write_bytes(bytes(BALLAST_MB << 20))
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


@pytest.fixture
def server(small_disk):
    one = Server(small_disk / "data", ["--time-scale", "600"])
    one.log = small_disk.parent / "server.log"
    one.start()
    yield one
    one.kill9()


def fails(call):
    """The call must end with a service error of the 5xx kind."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503, 507), caught.value
    return caught.value


def test_full_and_free_again(server, small_disk, make_function):
    s3, logs, iam = (server.client(name) for name in ("s3", "logs", "iam"))
    s3.create_bucket(Bucket="full")
    function = make_function("def handler(event, context): return event", server=server, MemorySize=FAST_MB)
    assert function.invoke("warm").json == "warm"
    kept = {}
    for size in (1 << 20, 64 << 10, 4 << 10):  # large ones first, then what still fits
        for number in range(200):
            key, body = f"{size}-{number}", os.urandom(size)
            try:
                s3.put_object(Bucket="full", Key=key, Body=body)
            except botocore.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
                break
            kept[key] = body
    (small_disk / "rest").write_bytes(b"")
    with open(small_disk / "rest", "ab", buffering=0) as rest:  # not a byte is left
        try:
            while rest.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    pid = server.process.pid

    for _ in range(3):
        fails(lambda: s3.put_object(Bucket="full", Key="more", Body=bytes(1 << 20)))
        fails(
            lambda: [logs.create_log_group(logGroupName=unique("/full")) for _ in range(200)]
        )
        fails(
            lambda: [
                iam.create_role(RoleName=unique("r"), AssumeRolePolicyDocument='{"Statement":[]}') for _ in range(200)
            ]
        )
        fails(lambda: [function.invoke({}, InvocationType="Event") for _ in range(2_000)])
    for key, body in kept.items():
        assert s3.get_object(Bucket="full", Key=key)["Body"].read() == body
    assert {item["Key"] for item in s3.list_objects_v2(Bucket="full")["Contents"]} == set(kept), "nothing half-created"
    assert function.invoke("still").json == "still", "functions that are warm go on"
    assert server.is_healthy() and server.process.pid == pid

    (small_disk / "ballast").unlink()
    (small_disk / "rest").unlink()

    def writes_again():
        try:
            s3.put_object(Bucket="full", Key="after", Body=bytes(1 << 20))
            return True
        except botocore.exceptions.ClientError:
            return False

    wait_for(writes_again, seconds=10)
    iam.create_role(RoleName=unique("r"), AssumeRolePolicyDocument='{"Statement":[]}')
    request = function.invoke("queued", InvocationType="Event").request_id
    wait_for(lambda: any(request in message for message in function.log_messages()))
    server.restart("kill9")
    for key, body in kept.items():
        assert s3.get_object(Bucket="full", Key=key)["Body"].read() == body


def test_a_start_on_a_full_disk_says_why(small_disk):
    with open(small_disk / "rest", "ab", buffering=0) as rest:
        try:
            while rest.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    one = Server(small_disk / "data")
    one.log = small_disk.parent / "server.log"
    with pytest.raises(AssertionError, match="ended with [1-9]"):
        one.start()
    text = one.log_tail()
    assert "error:" in text and str(small_disk) in text and "Fatal error" not in text, text
