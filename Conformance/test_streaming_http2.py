"""HTTP/2 with prior knowledge: the services, function URLs and streams over it; clients that misbehave."""

import base64
import json
import shutil
import socket
import ssl
import subprocess

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import httpx
import hyperframe.frame
import pytest
from botocore.eventstream import EventStreamBuffer

from . import raw
from .doors import URL
from .harness import wait_for
from .test_streaming import NODE

@pytest.fixture
def http2(server):
    with httpx.Client(http1=False, http2=True, timeout=30) as client:
        yield client


def test_services(server, http2, unique, fast_function):
    health = http2.get(f"{server.url}/_martlet/health")
    assert (health.status_code, health.http_version) == (200, "HTTP/2")
    function = fast_function("def handler(event, context): return event")
    path = f"{server.url}/2015-03-31/functions/{function.name}/invocations"
    for payload in ("{}", '{"a":1}', json.dumps({"large": "x" * 3_000_000})):
        answer = http2.post(path, content=payload)
        assert answer.status_code == 200 and answer.json() == json.loads(payload)
        assert answer.headers["x-amz-executed-version"] == "$LATEST"
    bucket = unique("bucket")
    signed = {"Authorization": raw.scope("s3")}
    assert http2.put(f"{server.url}/{bucket}", headers=signed).status_code == 200
    body = bytes(range(256)) * 20_000
    # With a length and without one, small and streamed from a file.
    assert http2.put(f"{server.url}/{bucket}/key", content=body, headers=signed).status_code == 200
    pieces = (body[start : start + 70_000] for start in range(0, len(body), 70_000))
    assert http2.put(f"{server.url}/{bucket}/pieces", content=pieces, headers=signed).status_code in (200, 411)
    got = http2.get(f"{server.url}/{bucket}/key", headers=signed)
    assert got.content == body
    head = http2.head(f"{server.url}/{bucket}/key", headers=signed)
    assert head.status_code == 200 and head.headers["content-length"] == str(len(body)) and head.content == b""
    part = http2.get(f"{server.url}/{bucket}/key", headers={**signed, "Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, body[5:10])
    assert http2.get(f"{server.url}/{bucket}/missing", headers=signed).status_code == 404
    assert http2.delete(f"{server.url}/{bucket}/key", headers=signed).status_code == 204
    # A refusal before the body is read.
    assert http2.put(f"{server.url}/no-such-{bucket}/key", content=b"x" * 5_000_000, headers=signed).status_code == 404


def test_urls_and_streams(http2, fast_function):
    echo = URL(fast_function("def handler(event, context): return event"))
    event = http2.post(f"{echo.base}/x?y=1", content=b"hello", headers={"Cookie": "a=1"}).json()
    assert event["body"] == "hello" and event["rawPath"] == "/x" and event["cookies"] == ["a=1"]
    assert event["requestContext"]["http"]["protocol"] == "HTTP/2.0"
    url = URL(fast_function(NODE, runtime="nodejs20.x"), InvokeMode="RESPONSE_STREAM")
    with http2.stream("POST", url.base, json={"type": "text/plain", "pieces": ["a", "b"], "megabytes": 8}) as answer:
        assert answer.headers["content-type"] == "text/plain"
        data = b"".join(answer.iter_bytes())
    assert len(data) == 2 + (8 << 20)
    # Cut, not ended.
    with pytest.raises(httpx.RemoteProtocolError):
        http2.post(url.base, json={"pieces": ["begun"], "fail": True})
    assert http2.post(url.base, json={"pieces": ["again"]}).content == b"again"


def test_subscribe_to_shard(server, http2, unique):
    """As Java's consumers read: records come as they are put, and more than one subscription shares the connection."""
    kinesis = server.client("kinesis")
    stream = unique("stream")
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    wait_for(lambda: kinesis.describe_stream_consumer(
        ConsumerARN=consumer)["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE")

    def subscribe(shard):
        return http2.stream(
            "POST", server.url,
            headers={
                "X-Amz-Target": "Kinesis_20131202.SubscribeToShard", "Content-Type": "application/x-amz-json-1.1",
                "Authorization": raw.scope("kinesis")},
            json={"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": {"Type": "TRIM_HORIZON"}})

    def messages(answer):
        buffer = EventStreamBuffer()
        for piece in answer.iter_raw():
            buffer.add_data(piece)
            yield from (message.to_response_dict() for message in buffer)

    with subscribe("shardId-000000000000") as first, subscribe("shardId-000000000001") as second:
        assert (first.status_code, first.http_version) == (200, "HTTP/2")
        assert first.headers["content-type"] == "application/vnd.amazon.eventstream"
        of_first, of_second = messages(first), messages(second)
        for reader in (of_first, of_second):
            assert next(reader)["headers"][":event-type"] == "initial-response"
        low, high = "0", str((1 << 128) - 1)
        for turn in range(3):
            for reader, place, data in ((of_second, high, f"b{turn}"), (of_first, low, f"a{turn}")):
                kinesis.put_record(StreamName=stream, Data=data, PartitionKey="k", ExplicitHashKey=place)
                records = []
                while not records:
                    message = next(reader)
                    assert message["headers"][":event-type"] == "SubscribeToShardEvent"
                    records = json.loads(message["body"])["Records"]
                assert [base64.b64decode(record["Data"]).decode() for record in records] == [data]
    # The connection serves on after both were ended by the client.
    assert http2.get(f"{server.url}/_martlet/health").status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl(server, fast_function):
    url = URL(fast_function("def handler(event, context): return event['body']"))
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-d", "from curl", "-H", "Content-Type: text/plain",
         "-w", " %{http_version} %{response_code}", url.base],
        capture_output=True, text=True, timeout=30,
    )
    assert done.stdout == "from curl 2 200", done.stderr


def test_over_tls(make_server, tmp_path):
    """Negotiated by ALPN; HTTP/1 on the same port."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )
    server = make_server("--tls-certificate", str(certificate), "--tls-key", str(key))
    context = ssl.create_default_context(cafile=certificate)
    for http2, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
        with httpx.Client(http2=http2, verify=context, timeout=20) as client:
            answer = client.get(f"https://127.0.0.1:{server.port}/_martlet/health")
            assert (answer.status_code, answer.http_version) == (200, version)
    assert server.stop() == 0


class Peer:
    """A client by hand."""

    def __init__(self, server, window=None):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, validate_outbound_headers=False,
                                                                        normalize_outbound_headers=False))
        if window is not None:
            self.h2.local_settings = h2.settings.Settings(
                initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.authority = f"127.0.0.1:{server.port}"
        self.send()

    def send(self, data=b""):
        self.socket.sendall(self.h2.data_to_send() + data)

    def request(self, stream, method="GET", path="/_martlet/health", headers=(), end=True):
        self.h2.send_headers(
            stream,
            [(":method", method), (":path", path), (":scheme", "http"), (":authority", self.authority), *headers],
            end_stream=end,
        )

    def events(self):
        data = self.socket.recv(1 << 16)
        return self.h2.receive_data(data) if data else None

    def is_closed(self):
        """Whether the server gives the connection up."""
        try:
            while (events := self.events()) is not None:
                self.socket.sendall(self.h2.data_to_send())
                if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
                    return True
            return True
        except TimeoutError:
            return False
        except (OSError, h2.exceptions.ProtocolError):
            return True


def test_many_streams_at_once(server):
    peer = Peer(server)
    for stream in range(1, 101, 2):
        peer.request(stream)
    peer.send()
    done = {}
    while len(done) < 50:
        for event in peer.events():
            if isinstance(event, h2.events.ResponseReceived):
                done[event.stream_id] = dict(event.headers)[b":status"]
        peer.send()
    assert set(done.values()) == {b"200"}


def is_healthy(server):
    return raw.exchange(server, raw.request("GET", "/_martlet/health")).status == 200


def test_rapid_reset(server):
    peer = Peer(server)
    with pytest.raises(OSError):
        for number in range(20_000):
            peer.request(1 + 2 * number)
            peer.h2.reset_stream(1 + 2 * number)
            peer.send()
    assert is_healthy(server)


def test_floods(server):
    block = hyperframe.frame.HeadersFrame(1, data=Peer(server).h2.encoder.encode([(":method", "GET")])).serialize()
    endless = hyperframe.frame.ContinuationFrame(1, data=b"\x40\x01a\x01b" * 1000).serialize()
    for flood in (
        hyperframe.frame.SettingsFrame(0).serialize(), hyperframe.frame.PingFrame(0, b"12345678").serialize(), endless,
    ):
        peer = Peer(server)
        try:
            if flood is endless:
                peer.socket.sendall(block)
            for _ in range(2_000):
                peer.socket.sendall(flood * 10)
            assert peer.is_closed()
        except OSError:
            pass
        finally:
            peer.socket.close()
    assert is_healthy(server)


@pytest.mark.parametrize(
    "headers",
    [
        [("content-length", "3"), ("content-length", "4")], [("transfer-encoding", "chunked")],
        [("connection", "keep-alive")], [("X-Upper", "1")], [("x", "a\r\nb: c")], [("host", "other")],
        [("x", "v" * 70_000)], [(":path", "/again")],
    ],
)
def test_malformed_requests(server, headers):
    """The stream or the connection is refused; nothing of it reaches a service as it stands."""
    peer = Peer(server)
    peer.request(1, "POST", headers=headers, end=False)
    peer.h2.send_data(1, b"abcdef", end_stream=True) if not headers[0][1].startswith("v") else None
    peer.send()
    refused = False
    try:
        while not refused:
            events = peer.events()
            if events is None:
                break
            for event in events:
                if isinstance(event, h2.events.ResponseReceived):
                    refused = dict(event.headers)[b":status"] >= b"400"
                    assert refused or headers[0][0] == "host", event.headers
                    refused = True
                if isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    refused = True
    except (OSError, h2.exceptions.ProtocolError):
        pass
    assert is_healthy(server)


def test_no_window_no_memory(server, unique, client):
    """A client that asks for much and grants nothing."""
    bucket = unique("bucket")
    client("s3").create_bucket(Bucket=bucket)
    client("s3").put_object(Bucket=bucket, Key="large", Body=b"x" * (20 << 20))
    before = raw.resident_mb(server.process.pid)
    peer = Peer(server, window=0)
    for number in range(100):
        peer.request(1 + 2 * number, path=f"/{bucket}/large", headers=[("authorization", raw.scope("s3"))])
    peer.send()
    answered = set()
    while len(answered) < 100:
        for event in peer.events():
            if isinstance(event, h2.events.ResponseReceived):
                answered.add(event.stream_id)
        peer.send()
    assert raw.resident_mb(server.process.pid) - before < 80
    peer.socket.close()
    wait_for(lambda: is_healthy(server))
