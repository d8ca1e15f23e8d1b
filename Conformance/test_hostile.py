"""Malformed, truncated, oversized and slow requests for each protocol: refused, and nothing else happens."""

import gzip
import json
import socket
import time
import zlib

import pytest

from .hostile import RESIDENT_LIMIT_MB, unharmed, victim_in
from .raw import exchange, read_answer, request, resident_mb, scope

DEEP = 100_000
JSON11 = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    with victim_in(tmp_path_factory.mktemp("hostile")) as server:
        server.client("s3").create_bucket(Bucket="victim")
        yield server


@pytest.fixture(autouse=True)
def _unharmed(victim):
    with unharmed(victim):
        yield


def refused(victim, data, statuses=range(400, 500), **options):
    answer = exchange(victim, data, **options)
    assert answer.status in statuses and answer.is_error_of_ours, answer
    return answer


# rest-json

BODIES = {
    "empty": b"", "open": b"{", "list": b"[]", "text": b'"x"', "null": b"null", "bytes": b"\xff\xfe\x00", "nul": b"\0" * 100,
    "deep lists": b"[" * DEEP, "deep objects": b'{"a":' * DEEP, "deep and closed": b"[" * DEEP + b"]" * DEEP,
    "deep member": b'{"Environment":' + b'{"Variables":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "wrong types": b'{"FunctionName":1,"Code":[],"Timeout":"x","Layers":{"a":1},"Role":null}',
    "huge number": b'{"FunctionName":"f","Timeout":' + b"9" * 100_000 + b"}",
    "infinite": b'{"FunctionName":"f","Timeout":1e999999999}', "nan": b'{"Timeout":NaN}',
    "lone surrogate": b'{"FunctionName":"\\ud800"}', "bad escape": b'{"FunctionName":"\\x41"}',
    "not base64": b'{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"!!!!"}}',
    "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(50_000)) + b"}",
    "trailing": b"{} {}", "utf-16": '{"a":1}'.encode("utf-16"), "open text": b'{"a":"' + b"x" * 100_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_rest_json_bodies(victim, name):
    refused(victim, request("POST", "/2015-03-31/functions", BODIES[name], Authorization=scope("lambda")))


@pytest.mark.parametrize(
    "path",
    ["/2015-03-31/functions/%00", "/2015-03-31/functions/%ff%fe/configuration", "/2015-03-31/functions/..%2f..%2fetc%2fpasswd",
     "/2015-03-31/functions/" + "x" * 60_000, "/2015-03-31/functions/?MaxItems=abc", "/2015-03-31/functions/%", "/2015-03-31/functions/%zz/policy",
     "/2015-03-31/functions/?MaxItems=99999999999999999999999", "/2015-03-31/functions/?Marker=%ff%ff", "/2015-03-31/nothing",
     "/2015-03-31/functions/" + "a/" * 5_000, "/2018-10-31/layers/x/versions/99999999999999999999", "/2018-10-31/layers/x/versions/-1"],
    ids=lambda path: path[:40],
)
def test_rest_json_paths(victim, path):
    refused(victim, request("GET", path, Authorization=scope("lambda")))


@pytest.mark.parametrize("context", ["!!!", "bm90IGpzb24=", "W1tbW1tbW1tb", "A" * 4_000], ids=["not base64", "not json", "open", "long"])
def test_client_contexts(victim, context):
    refused(victim, request("POST", "/2015-03-31/functions/nope/invocations", b"{}", Authorization=scope("lambda"), X_Amz_Client_Context=context))


# json 1.1


@pytest.mark.parametrize("name", set(BODIES) - {"empty"})
def test_json_bodies(victim, name):
    refused(victim, request("POST", "/", BODIES[name], Authorization=scope("logs"), X_Amz_Target="Logs_20140328.CreateLogGroup", Content_Type=JSON11))


@pytest.mark.parametrize("target", ["Logs_20140328.", "Logs_20140328.Nope", "Nope.CreateLogGroup", ".", "", "Logs_20140328.CreateLogGroup.X", "x" * 5_000])
def test_json_targets(victim, target):
    refused(victim, request("POST", "/", b"{}", Authorization=scope("logs"), X_Amz_Target=target, Content_Type=JSON11), range(400, 502))


def test_an_empty_json_body_is_an_empty_input(victim):
    answer = exchange(victim, request("POST", "/", b"", Authorization=scope("logs"), X_Amz_Target="Logs_20140328.CreateLogGroup", Content_Type=JSON11))
    assert answer.status == 400 and "logGroupName" in answer.body.decode()


# query

FORMS = {
    "nothing": b"", "no action": b"Version=2010-05-08", "unknown action": b"Action=Nope&Version=2010-05-08",
    "other version": b"Action=GetRole&Version=1999-01-01&RoleName=x", "bad escape": b"Action=GetRole&Version=2010-05-08&RoleName=%zz",
    "cut escape": b"Action=GetRole&Version=2010-05-08&RoleName=%", "not utf-8": b"Action=GetRole&Version=2010-05-08&RoleName=%ff%fe",
    "huge index": b"Action=TagRole&Version=2010-05-08&RoleName=x&Tags.member.99999999999999999999.Key=a",
    "sparse index": b"Action=TagRole&Version=2010-05-08&RoleName=x&Tags.member.2000000000.Key=a&Tags.member.2000000000.Value=b",
    "negative index": b"Action=TagRole&Version=2010-05-08&RoleName=x&Tags.member.-1.Key=a",
    "deep": b"Action=CreateRole&Version=2010-05-08&" + b".".join([b"a"] * 50_000) + b"=1",
    "many": b"Action=CreateRole&Version=2010-05-08&" + b"&".join(b"a%d=1" % i for i in range(50_000)),
    "twice": b"Action=GetRole&Action=CreateRole&Version=2010-05-08&RoleName=x", "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("name", FORMS)
def test_query_forms(victim, name):
    refused(victim, request("POST", "/", FORMS[name], Authorization=scope("iam"), Content_Type=FORM), range(400, 502))


# rest-xml

ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(10))
    + b"]><Delete><Object><Key>&k;</Key></Object></Delete>"
)
EXTERNAL = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<Delete><Object><Key>&x;</Key></Object></Delete>"
)
DOCUMENTS = {
    "empty": b"", "open": b"<Delete>", "not xml": b"{}", "wrong root": b"<Nope/>", "deep": b"<a>" * DEEP,
    "deep and closed": b"<a>" * DEEP + b"</a>" * DEEP, "entities": ENTITIES, "external": EXTERNAL,
    "many attributes": b"<Delete " + b" ".join(b'a%d="1"' % i for i in range(20_000)) + b"></Delete>",
    "bytes": b"\xff\xfe<\0D\0", "mismatch": b"<Delete><Object></Delete></Object>", "cdata": b"<Delete><![CDATA[",
    "comment": b"<Delete><!-- ", "bad reference": b"<Delete><Object><Key>&#x110000;&#xd800;&nope;</Key></Object></Delete>",
    "too many": b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_xml_documents(victim, name):
    answer = refused(victim, request("POST", "/victim?delete", DOCUMENTS[name], Authorization=scope("s3")))
    assert b"root:" not in answer.body and b"aaaaaaaaaaaaaaaaaaaa" not in answer.body


@pytest.mark.parametrize("name", ["open", "not xml", "deep", "entities", "external", "bytes"])
@pytest.mark.parametrize("path", ["/victim?notification", "/newbucket"])
def test_xml_settings(victim, path, name):
    refused(victim, request("PUT", path, DOCUMENTS[name], Authorization=scope("s3")))


@pytest.mark.parametrize(
    ("headers", "path"),
    [({"Content_MD5": "nonsense"}, "/victim/k"), ({"Content_MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "/victim/k"),
     ({"x_amz_checksum_sha256": "AAAA"}, "/victim/k"), ({"x_amz_checksum_crc32": "!!"}, "/victim/k"),
     ({"x_amz_checksum_crc32": "AAAAAA=="}, "/victim/k"), ({"x_amz_content_sha256": "0" * 64}, "/victim/k"),
     ({"x_amz_copy_source": "%zz"}, "/victim/k"), ({"x_amz_copy_source": "/../../etc/passwd"}, "/victim/k"),
     ({}, "/victim/" + "k" * 1025), ({}, "/victim/%ff%fe"), ({"x_amz_meta_a": "x" * 3000}, "/victim/k"),
     ({}, "/victim/k?partNumber=1&uploadId=nope"), ({}, "/victim/k?partNumber=99999999999999999999&uploadId=x"), ({}, "/-bad-/k")],
)
def test_s3_puts(victim, headers, path):
    refused(victim, request("PUT", path, b"body", Authorization=scope("s3"), **headers), range(400, 502))


# CBOR: no service that speaks it is there yet


@pytest.mark.parametrize("body", [b"", b"\xbf", b"\x9f" * DEEP, b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xff\xfe"], ids=["empty", "open", "deep", "huge", "bytes"])
@pytest.mark.parametrize("service", ["GraniteServiceVersion20100801", "Logs_20140328", "Nope", "%ff"])
def test_cbor(victim, service, body):
    refused(
        victim,
        request("POST", f"/service/{service}/operation/PutMetricData", body, Smithy_Protocol="rpc-v2-cbor",
                Content_Type="application/cbor", Accept="application/cbor"),
        range(400, 502),
    )


# aws-chunked

STREAMING = {"x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content_Encoding": "aws-chunked"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"zz\r\nbody\r\n0\r\n\r\n", {}), (b"-4\r\nbody\r\n0\r\n\r\n", {}), (b"ffffffffffffffff\r\nbody", {}),
     (b"fffffffffffffffffffffffff\r\nbody", {}), (b"4\r\nbodyX\r\n0\r\n\r\n", {}), (b"4\r\nbody\r\n", {}), (b"4\r\nbo", {}),
     (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_decoded_content_length": "5"}), (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_decoded_content_length": "x"}),
     (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_decoded_content_length": "-1"}),
     (b"4\r\nbody\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", {"x_amz_trailer": "x-amz-checksum-crc32"}),
     (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_trailer": "x-amz-checksum-crc32"}),
     (b"4\r\nbody\r\n0\r\n" + b"x-amz-junk:" + b"a" * 200_000 + b"\r\n\r\n", {"x_amz_trailer": "x-amz-junk"}),
     (b"4" + b";a=b" * 50_000 + b"\r\nbody\r\n0\r\n\r\n", {}), (b"0" * 100_000 + b"4\r\nbody\r\n0\r\n\r\n", {})],
    ids=lambda value: (value[:24] if isinstance(value, bytes) else value),
)
def test_aws_chunked(victim, body, headers):
    given = {"x_amz_decoded_content_length": "4", **STREAMING, **headers}
    refused(victim, request("PUT", "/victim/chunked", body, Authorization=scope("s3"), **given), half_close=True)


# Signatures: with --auth none they are not checked, but they are read

AUTHORIZATIONS = [
    "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=/////////",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g, SignedHeaders=;;;, Signature=", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam",
    "AWS4-HMAC-SHA256 " + "Credential=a," * 5_000, "Basic dGVzdDp0ZXN0", "Bearer " + "x" * 20_000, "AWS test:signature", "\xff\xfe", ",,,,=,=,=",
    scope("nosuchservice"), scope("lambda", region="../../.."), scope("lambda", key="1" * 12), scope("lambda", key="x" * 10_000),
]


@pytest.mark.parametrize("value", AUTHORIZATIONS, ids=lambda value: value[:40])
@pytest.mark.parametrize("path", ["/2015-03-31/functions/nope/configuration", "/victim/nope", "/"])
def test_authorization_headers(victim, path, value):
    answer = exchange(victim, request("GET", path, Authorization=value))
    assert 200 <= answer.status < 502 and answer.status != 500, answer


@pytest.mark.parametrize(
    "query",
    ["X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=Nope&X-Amz-Credential=x", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%ff",
     "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/20260101/us-east-1/s3/aws4_request&X-Amz-Expires=-1&X-Amz-Date=nope",
     "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/20260101/us-east-1/s3/aws4_request&X-Amz-Expires=99999999999999999999&X-Amz-Date=20260101T000000Z",
     "&".join(f"X-Amz-Signature={i}" for i in range(2_000)), "=" * 5_000, "&" * 5_000],
    ids=lambda query: query[:30],
)
def test_presigned_queries(victim, query):
    answer = exchange(victim, request("GET", "/victim/nope?" + query))
    assert 400 <= answer.status < 500, answer


# Bodies that do not come, or do not end


def test_truncated_bodies(victim):
    for method, path, service in (("PUT", "/victim/cut", "s3"), ("POST", "/2015-03-31/functions", "lambda"), ("POST", "/", "iam")):
        head = request(method, path, length=False, Content_Length="1000", Authorization=scope(service))
        answer = exchange(victim, head + b"only this", half_close=True)
        assert answer.status == 0 or 400 <= answer.status < 500, answer
        with socket.create_connection(("127.0.0.1", victim.port)) as connection:
            connection.sendall(head + b"only this")  # and then the client is gone
    chunked = request("PUT", "/victim/cut", length=False, Transfer_Encoding="chunked", Authorization=scope("s3"))
    assert exchange(victim, chunked + b"5\r\nhel", half_close=True).status in (0, 400)
    assert exchange(victim, chunked + b"nonsense\r\n").status in (0, 400)


@pytest.mark.parametrize(
    ("method", "path", "service", "length"),
    [("PUT", "/victim/huge", "s3", 6 << 40), ("POST", "/2015-03-31/functions", "lambda", 70_167_212), ("POST", "/", "iam", 1 << 30),
     ("POST", "/2015-03-31/functions/x/invocations", "lambda", 1 << 40), ("POST", "/victim?delete", "s3", 1 << 33),
     ("POST", "/", "iam", 1 << 70), ("PUT", "/victim/huge", "s3", -1)],
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
    head = request("POST", "/", length=False, Transfer_Encoding="chunked", Authorization=scope("iam"), Content_Type=FORM)
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
    refused(victim, request("POST", "/", bomb, Authorization=scope("logs"), X_Amz_Target="Logs_20140328.CreateLogGroup", Content_Type=JSON11, Content_Encoding="gzip"))
    refused(victim, request("POST", "/", zlib.compress(b"{}"), Authorization=scope("iam"), Content_Type=FORM, Content_Encoding="deflate"), range(400, 502))


def test_expect_continue_is_not_answered_for_what_is_refused(victim):
    head = request("POST", "/2015-03-31/functions", length=False, Content_Length=1 << 40, Expect="100-continue", Authorization=scope("lambda"))
    assert exchange(victim, head).status in range(400, 500)


# HTTP itself


@pytest.mark.parametrize(
    "data",
    [b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nNoColon\r\n\r\n", b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello!",
     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
     b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\n folded: line\r\n\r\n", b"GET " + b"/x" * 600_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(50_000)) + b"\r\n",
     b"GET http://[::1/ HTTP/1.1\r\nHost: [::1\r\n\r\n", b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 3_000_000, bytes(range(256)) * 40],
    ids=lambda data: repr(data[:30]),
)
def test_broken_http(victim, data):
    answer = exchange(victim, data, half_close=True)
    assert answer.status == 0 or 400 <= answer.status < 502 and answer.status != 500 or answer.status in (200, 505), answer


def test_a_length_and_chunks_together_are_not_two_requests(victim):
    """Request smuggling: whatever is taken for the body, the rest must not be carried out."""
    smuggled = request("PUT", "/smuggled-bucket", Authorization=scope("s3"))
    data = (
        b"POST /victim?delete HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(smuggled) + 5)
    ) + smuggled
    exchange(victim, data, half_close=True)


def test_hosts(victim):
    for host in ("", "..", "a" * 5_000, "victim.s3..", "%00.localhost", "\xff.localhost", "[", "a:b:c", "x.execute-api.localhost", "y.lambda-url.localhost", "*.localhost"):
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
        connection.sendall(b"GET / HT" if number % 2 else request("PUT", "/victim/slow", length=False, Content_Length=1000, Authorization=scope("s3")) + b"x")
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
        connection.sendall(request("PUT", "/victim/giant", length=False, Content_Length=size, Authorization=scope("s3")))
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
