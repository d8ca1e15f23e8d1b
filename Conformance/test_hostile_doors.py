"""HTTP that means harm at each of the doors of users' own HTTP: function URLs, HTTP, REST and WebSocket APIs, Alexa. What is
broken is refused, no message is two, no path leads elsewhere, and nobody waits for who is slow."""

import contextlib
import itertools
import json
import socket

import pytest

from .alexa_helpers import Alexa
from .doors import URL
from .hostile import RESIDENT_LIMIT_MB, unharmed, victim_in
from .http_apis import Api
from .raw import Answer, exchange, resident_mb
from .rest_apis import RestApi
from .socket_apis import SocketApi, frame, handshake
from .test_apigatewayv2_http import deploy

# Tells what it was asked for; a large answer when it is asked for one.
ECHO = """
import json

def handler(event, context):
    about = event["requestContext"]
    if about.get("eventType"):
        return {"statusCode": 200}
    if "large" in json.dumps(event):
        return {"statusCode": 200, "body": "x" * 5_000_000}
    told = {"path": event.get("rawPath", event.get("path")), "route": event.get("routeKey", event.get("resource"))}
    return {"statusCode": 200, "body": json.dumps(told)}
"""


class Door:
    """Where a door is, and what a plain request to it is answered."""

    def __init__(self, name, host, path, status=200):
        self.name, self.host, self.path, self.status = name, host, path, status

    def head(self, *lines, method="GET", path=None):
        first = [f"{method} {path or self.path} HTTP/1.1", f"Host: {self.host}"]
        return "\r\n".join([*first, *lines, "", ""]).encode("latin-1")

    def __repr__(self):
        return self.name


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    with victim_in(tmp_path_factory.mktemp("doors")) as server:
        yield server


@pytest.fixture(scope="module")
def doors(victim):
    function = deploy(victim, "doors", ECHO)
    url = URL(function)
    http = Api(victim, "http")
    http.allow(function)
    integration = http.integrate(function)
    for key in ("GET /secret", "GET /files/{name}", "$default"):
        http.route(key, integration)
    http.stage()
    rest = RestApi(victim, "rest")
    rest.allow(function)
    for path in ("/", "/secret", "/files/{name}"):
        rest.function(path, function)
    rest.deploy()
    sockets = SocketApi(victim, "sockets", function)
    Alexa(victim)
    made = [
        Door("url", url.host, "/"), Door("http", http.host, "/"), Door("rest", rest.host, "/prod"),
        Door("websocket", sockets.host, "/prod", 426), Door("alexa", "api.alexa.localhost", "/v1/vendors", 401),
    ]
    for door in made:
        assert exchange(victim, door.head()).status == door.status, door
    return made


@pytest.fixture(autouse=True)
def _unharmed(doors, victim):
    """After each attack the server is as it was, and every door still opens."""
    with unharmed(victim):
        yield
    for door in doors:
        assert exchange(victim, door.head()).status == door.status, door


def everything(server, data):
    """All bytes that come for what is sent, until the server closes or nothing is left to come."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        return received


# Each leaves open where its body ends, to somebody.
UNCLEAR = {
    "length and chunks": ["Content-Length: 3", "Transfer-Encoding: chunked"],
    "chunks and length": ["Transfer-Encoding: chunked", "Content-Length: 3"],
    "two lengths": ["Content-Length: 3", "Content-Length: 0"],
    "a list of lengths": ["Content-Length: 3, 0"],
    "length with a sign": ["Content-Length: +3"],
    "negative length": ["Content-Length: -3"],
    "hexadecimal length": ["Content-Length: 0x3"],
    "length with a blank inside": ["Content-Length: 3 0"],
    "length out of range": ["Content-Length: 18446744073709551619"],
    "not chunks": ["Transfer-Encoding: xchunked"],
    "chunks twice": ["Transfer-Encoding: chunked, chunked"],
    "chunks not last": ["Transfer-Encoding: chunked, identity"],
    "chunks in two headers": ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    "chunks with a vertical tab": ["Transfer-Encoding: \x0bchunked"],
    "a blank behind the name": ["Transfer-Encoding : chunked"],
    "a blank in the name": ["Transfer Encoding: chunked", "Content-Length : 3"],
    "a tab behind the name": ["Content-Length\t: 3"],
    "a blank before the name": [" Content-Length: 3"],
    "a folded line": ["X-Folded: a", " Transfer-Encoding: chunked"],
    "a folded value": ["Transfer-Encoding:", " chunked"],
    "a lone line feed": ["X-A: b\nTransfer-Encoding: chunked"],
    "a lone carriage return": ["X-A: b\rTransfer-Encoding: chunked"],
    "a zero byte": ["Content-Length: 3\x00"],
    "no name": [": 3", "Content-Length: 3"],
    "no colon": ["Content-Length 3"],
}


def test_unclear_messages_are_not_two(victim, doors):
    wrong = {}
    for name, door in itertools.product(UNCLEAR, doors):
        sent = door.head(*UNCLEAR[name], method="POST") + b"0\r\n\r\n" + door.head(path="/inner")
        received = everything(victim, sent)
        if b"inner" in received or received.count(b"HTTP/1.1 ") > 1 or Answer(received).status not in (0, 400, 501):
            wrong[name, door.name] = received[:300]
    assert not wrong


CHUNKS = {
    "a size that is none": b"0x3\r\nabc\r\n0\r\n\r\n", "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "a size of many digits": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n", "no end of the data": b"3\r\nabcdef\r\n0\r\n\r\n",
    "a blank before the size": b" 3\r\nabc\r\n0\r\n\r\n", "a line feed behind the size": b"3\nabc\r\n0\r\n\r\n",
    "an empty size": b"\r\nabc\r\n0\r\n\r\n",
}


def test_chunks_that_are_none(victim, doors):
    wrong = {}
    for name, door in itertools.product(CHUNKS, doors):
        sent = door.head("Transfer-Encoding: chunked", method="POST") + CHUNKS[name] + door.head(path="/inner")
        received = everything(victim, sent)
        # A door may refuse the request before it looks at the body.
        refusals = (0, 400) if door.status == 200 else (0, 400, door.status)
        if b"inner" in received or received.count(b"HTTP/1.1 ") > 1 or Answer(received).status not in refusals:
            wrong[name, door.name] = received[:300]
    assert not wrong


def test_trailers_are_no_headers(victim, doors):
    """What comes behind a body changes neither who asks nor what is asked for."""
    url = doors[0]
    body = b"0\r\nHost: other.lambda-url.us-east-1.localhost\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    for door in doors:
        answer = exchange(victim, door.head("Transfer-Encoding: chunked", method="POST") + body)
        assert answer.status in (door.status, 400, 403, 404, 405, 501), (door, answer)
    assert json.loads(exchange(victim, url.head("Transfer-Encoding: chunked", method="POST") + body).body)["path"] == "/"


def test_request_lines(victim, doors):
    for door in doors:
        host = f"Host: {door.host}\r\n\r\n".encode()
        for line in (b"GET / a HTTP/1.1", b"GET\t/ HTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 x",
                     b"GET / HTTP/2.7", b"G\x00T / HTTP/1.1", b"GET /\x7f\x01 HTTP/1.1", b"GET", b"GET /\xff\xfe HTTP/1.1"):
            status = exchange(victim, line + b"\r\n" + host).status
            # Bytes outside ASCII are a path like any other.
            assert status in (0, 400, 505) or b"\xff" in line and status < 500, (door, line, status)
        two = b"GET / HTTP/1.1\r\nHost: " + door.host.encode() + b"\r\nHost: other\r\n\r\n"
        assert exchange(victim, two).status in (0, 400), door
        # Another host in the line than in the header: the header's is not overruled into another door.
        whole = f"GET http://other.example{door.path} HTTP/1.1\r\nHost: {door.host}\r\n\r\n".encode()
        assert exchange(victim, whole).status < 500, door


WALKS = ["/files/../secret", "/files/%2e%2e/secret", "/files/..%2fsecret", "/files/..%5csecret", "/files/..\\secret",
         "//secret", "/./secret", "/secret%00", "/files/x/../../secret", "/%2fsecret", "/files/..;/secret", "/files/%252e%252e/secret"]


def test_paths_are_not_walked(victim, doors):
    """A path goes to the route that it fits as it stands, whatever somebody could make of it."""
    url, http, rest, sockets, _ = doors
    for path in WALKS:
        told = json.loads(exchange(victim, url.head(path=path)).body)
        assert told["path"] != "/secret", (path, told)
        told = json.loads(exchange(victim, http.head(path=path)).body)
        assert told["route"] != "GET /secret", (path, told)
        answer = exchange(victim, rest.head(path="/prod" + path))
        assert answer.status == 403 or json.loads(answer.body)["route"] != "/secret", (path, answer)
    # Nor does one lead out of its API: into another stage, another API, or another door.
    api = http.host.split(".")[0]
    for path in ("/other/../prod/secret", "/prod/../prod/secret", "/%2e%2e/prod", "/../_martlet/health",
                 f"/_aws/execute-api/{api}/secret", "/_aws/alexa/api/v1/vendors"):
        answer = exchange(victim, rest.head(path=path))
        assert answer.status == 403, (path, answer)
        assert exchange(victim, handshake(path, sockets.host)).status == 403, path
        assert json.loads(exchange(victim, http.head(path=path)).body)["route"] == "$default", path
    # By the path of a door neither.
    for path in (f"/_aws/execute-api/{api}/../{rest.host.split('.')[0]}/prod", "/_aws/alexa/api/../lwa/auth/o2/token",
                 f"/_aws/execute-api/..%2f{api}/", "/_aws/../_martlet/health", "/_aws/alexa/api/echo.api/..%2f..%2fetc%2fpasswd"):
        answer = exchange(victim, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert answer.status >= 400 or json.loads(answer.body).get("route") == "$default", (path, answer)


def test_limits(victim, doors):
    for door in doors:
        long = exchange(victim, door.head("X-Long: " + "x" * 70_000))
        assert long.status == 431, (door, long)
        many = exchange(victim, door.head(*(f"X-{number}: 1" for number in range(2_000))))
        assert many.status == 431, (door, many)
        path = exchange(victim, door.head(path="/" + "x" * 70_000))
        assert path.status in (400, 414, 431), (door, path)
        # Refused by what it says, before the bytes come.
        large = exchange(victim, door.head(f"Content-Length: {1 << 40}", method="POST"))
        assert large.status == 413, (door, large)
        endless = door.head("Transfer-Encoding: chunked", method="POST") + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 200
        answer = exchange(victim, endless)
        assert answer.status in (0, 413), (door, answer)


def test_slow_writers_hold_up_nobody(victim, doors):
    with contextlib.ExitStack() as slow:
        for door in doors:
            whole = door.head("Content-Length: 1000", method="POST") + b"x"
            for number in range(40):
                connection = slow.enter_context(socket.create_connection(("127.0.0.1", victim.port), timeout=10))
                connection.sendall(whole if number % 2 else whole[: 10 + number])
        for door in doors:
            assert exchange(victim, door.head()).status == door.status, door
        assert resident_mb(victim.process.pid) < RESIDENT_LIMIT_MB


def test_slow_readers_hold_up_nobody(victim, doors):
    """Answers of five megabytes that nobody takes, a hundred of them: what does not fit is not made."""
    with contextlib.ExitStack() as slow:
        for door in doors[:3]:
            for _ in range(20):
                connection = slow.enter_context(socket.create_connection(("127.0.0.1", victim.port), timeout=10))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.sendall(door.head("X-Want: large") * 5)
        for door in doors:
            assert exchange(victim, door.head()).status == door.status, door
        assert resident_mb(victim.process.pid) < RESIDENT_LIMIT_MB


def test_websockets_that_are_not_read(victim, doors):
    """Messages for a client that takes none: the backend is told, and the connection does not fill the server."""
    sockets = next(door for door in doors if door.name == "websocket")
    with socket.create_connection(("127.0.0.1", victim.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(handshake("/prod", sockets.host))
        assert connection.recv(12) == b"HTTP/1.1 101"
        # Pings are answered as long as there is room, and no longer.
        with contextlib.suppress(OSError, TimeoutError):
            connection.settimeout(2)
            connection.sendall(frame(9, b"x" * 125) * 200_000)
    assert resident_mb(victim.process.pid) < RESIDENT_LIMIT_MB
