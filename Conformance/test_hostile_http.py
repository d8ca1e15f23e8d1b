"""HTTP that is broken, cut, oversized or slow: refused or closed, and nobody else waits. What it carries is in
test_hostile.py."""

import gzip
import json
import socket
import time
import zlib

import pytest

from .hostile import RESIDENT_LIMIT_MB, refused, unharmed, victim_in
from .raw import exchange, read_answer, request, resident_mb, scope

JSON11 = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    with victim_in(tmp_path_factory.mktemp("http")) as server:
        server.client("s3").create_bucket(Bucket="victim")
        yield server


@pytest.fixture(autouse=True)
def _unharmed(victim):
    with unharmed(victim):
        yield


# Bodies that do not come, or do not end


def test_truncated_bodies(victim):
    for method, path, service in (
        ("PUT", "/victim/cut", "s3"),
        ("POST", "/2015-03-31/functions", "lambda"),
        ("POST", "/", "iam"),
    ):
        head = request(method, path, length=False, Content_Length="1000", Authorization=scope(service))
        answer = exchange(victim, head + b"only this", half_close=True)
        assert 400 <= answer.status < 500, answer
        with socket.create_connection(("127.0.0.1", victim.port)) as connection:
            connection.sendall(head + b"only this")  # and then the client is gone
    chunked = request("PUT", "/victim/cut", length=False, Transfer_Encoding="chunked", Authorization=scope("s3"))
    assert exchange(victim, chunked + b"5\r\nhel", half_close=True).status in (0, 400, 411)
    assert exchange(victim, chunked + b"nonsense\r\n").status in (400, 411)


@pytest.mark.parametrize(
    ("method", "path", "service", "length"),
    [
        ("PUT", "/victim/huge", "s3", 6 << 40),
        ("POST", "/2015-03-31/functions", "lambda", 70_167_212),
        ("POST", "/", "iam", 1 << 30),
        ("POST", "/2015-03-31/functions/x/invocations", "lambda", 1 << 40),
        ("POST", "/victim?delete", "s3", 1 << 33),
        ("POST", "/", "iam", 1 << 70),
        ("PUT", "/victim/huge", "s3", -1),
    ],
)
def test_oversized_by_declaration(victim, method, path, service, length):
    """Refused by the length alone, without waiting for the bytes."""
    head = request(method, path, length=False, Content_Length=length, Authorization=scope(service))
    began = time.monotonic()
    answer = exchange(victim, head)
    assert 400 <= answer.status < 500, answer
    assert time.monotonic() - began < 3


def test_oversized_as_it_comes(victim):
    """A chunked body without end is refused when the limit is reached."""
    head = request(
        "POST", "/", length=False, Transfer_Encoding="chunked", Authorization=scope("iam"), Content_Type=FORM
    )
    sent = 0
    with socket.create_connection(("127.0.0.1", victim.port), timeout=10) as connection:
        connection.sendall(head)
        try:
            while sent < 200 << 20:
                connection.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
                sent += 65536
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = read_answer(connection)
    assert sent < 200 << 20 or 400 <= answer.status < 500, answer


def test_a_compressed_bomb_is_not_unpacked(victim):
    bomb = gzip.compress(b"\0" * (64 << 20))
    refused(
        victim,
        request(
            "POST",
            "/",
            bomb,
            Authorization=scope("logs"),
            X_Amz_Target="Logs_20140328.CreateLogGroup",
            Content_Type=JSON11,
            Content_Encoding="gzip",
        ),
    )
    refused(
        victim,
        request(
            "POST", "/", zlib.compress(b"{}"), Authorization=scope("iam"), Content_Type=FORM, Content_Encoding="deflate"
        ),
        range(400, 502),
    )


def test_expect_continue_is_not_answered_for_what_is_refused(victim):
    head = request(
        "POST",
        "/2015-03-31/functions",
        length=False,
        Content_Length=1 << 40,
        Expect="100-continue",
        Authorization=scope("lambda"),
    )
    assert exchange(victim, head).status in range(400, 500)


# HTTP itself


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nNoColon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: line\r\n\r\n",
        b"GET " + b"/x" * 600_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(50_000)) + b"\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: [::1\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"x" * 3_000_000,
        bytes(range(256)) * 40,
    ],
    ids=lambda data: repr(data[:30]),
)
def test_broken_http(victim, data):
    answer = exchange(victim, data, half_close=True)
    assert (
        answer.status == 0 or 400 <= answer.status < 502 and answer.status != 500 or answer.status in (200, 505)
    ), answer


def test_a_length_and_chunks_together_are_not_two_requests(victim):
    """Request smuggling: whatever is taken for the body, the rest must not be carried out."""
    smuggled = request("PUT", "/smuggled-bucket", Authorization=scope("s3"))
    data = (
        b"POST /victim?delete HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        % (len(smuggled) + 5)
    ) + smuggled
    exchange(victim, data, half_close=True)


def test_hosts(victim):
    for host in (
        "",
        "..",
        "a" * 5_000,
        "victim.s3..",
        "%00.localhost",
        "\xff.localhost",
        "[",
        "a:b:c",
        "x.execute-api.localhost",
        "y.lambda-url.localhost",
        "*.localhost",
    ):
        data = f"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
        answer = exchange(victim, data)
        assert answer.status == 0 or answer.status < 502 and answer.status != 500, (host, answer)


def test_pipelined_requests_are_answered_in_order(victim):
    count = 400
    data = b"".join(request("GET", f"/victim/none-{i:04}", Authorization=scope("s3")) for i in range(count))
    with socket.create_connection(("127.0.0.1", victim.port), timeout=10) as connection:
        connection.sendall(data + request("GET", "/_martlet/health", Connection="close"))
        received = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    keys = [part[:4] for part in received.split(b"<Key>none-")[1:]]
    assert keys == [b"%04d" % i for i in range(count)]


def test_slow_clients_hold_up_nobody(victim):
    """Hundreds of connections that send a byte now and then, in their heads and in their bodies."""
    slow = []
    for number in range(300):
        connection = socket.create_connection(("127.0.0.1", victim.port), timeout=5)
        connection.sendall(
            b"GET / HT"
            if number % 2
            else request("PUT", "/victim/slow", length=False, Content_Length=1000, Authorization=scope("s3")) + b"x"
        )
        slow.append(connection)
    for _ in range(3):
        began = time.monotonic()
        assert victim.is_healthy()
        victim.client("s3").list_buckets()
        assert time.monotonic() - began < 1
        for connection in slow:
            try:
                connection.send(b"T")
            except OSError:
                pass
    assert resident_mb(victim.process.pid) < RESIDENT_LIMIT_MB
    for connection in slow:
        connection.close()


def test_readers_that_do_not_read(victim):
    """Answers that nobody takes must not pile up in memory."""
    s3 = victim.client("s3")
    s3.put_object(Bucket="victim", Key="large", Body=bytes(64 << 20))
    stalled = []
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", victim.port), timeout=5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request("GET", "/victim/large", Authorization=scope("s3")))
        stalled.append(connection)
    time.sleep(0.5)
    assert resident_mb(victim.process.pid) < RESIDENT_LIMIT_MB
    assert victim.is_healthy()
    for connection in stalled:
        connection.close()
    s3.delete_object(Bucket="victim", Key="large")


def test_a_large_object_is_never_in_memory(victim):
    """512 MiB streamed in and out."""
    size, piece = 512 << 20, bytes(1 << 20)
    before = resident_mb(victim.process.pid)
    with socket.create_connection(("127.0.0.1", victim.port), timeout=60) as connection:
        connection.sendall(
            request("PUT", "/victim/giant", length=False, Content_Length=size, Authorization=scope("s3"))
        )
        peak = 0
        for number in range(size // len(piece)):
            connection.sendall(piece)
            if number % 64 == 0:
                peak = max(peak, resident_mb(victim.process.pid))
        assert read_answer(connection).status == 200
    assert peak - before < 64
    body = victim.client("s3").get_object(Bucket="victim", Key="giant")["Body"]
    total = 0
    for part in body.iter_chunks(1 << 20):
        total += len(part)
        peak = max(peak, resident_mb(victim.process.pid)) if total % (64 << 20) == 0 else peak
    assert (total, peak - before < 64) == (size, True)
    victim.client("s3").delete_object(Bucket="victim", Key="giant")


def test_health_shapes(victim):
    assert json.loads(exchange(victim, request("GET", "/_martlet/health")).body)["status"]
    assert "s3" in json.loads(exchange(victim, request("GET", "/_localstack/health")).body)["services"]
    metrics = exchange(victim, request("GET", "/_martlet/metrics"))
    assert metrics.status == 200 and b"# TYPE martlet_" in metrics.body
    assert exchange(victim, request("GET", "/_martlet/nope")).status == 404
