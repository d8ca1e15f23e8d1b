"""Responses that stream: InvokeWithResponseStream, function URLs in RESPONSE_STREAM, what goes wrong on the way."""

import http.client
import json
import socket
import threading

import pytest

from . import raw
from .doors import URL
from .expect import aws_error
from .harness import wait_for

# The event decides what is streamed; `gate` waits for an object in a bucket, so that a test holds the stream open.
NODE = r"""
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
    const ask = event.rawPath ? JSON.parse(event.body || event.queryStringParameters?.ask || '{}') : event;
    if (ask.head) stream = awslambda.HttpResponseStream.from(stream, ask.head);
    if (ask.type) stream.setContentType(ask.type);
    if (ask.failFirst) throw new Error('before');
    const write = (piece) => new Promise((resolve) => stream.write(piece) ? resolve() : stream.once('drain', resolve));
    for (const piece of ask.pieces || []) { await write(piece); await wait(5); }
    if (ask.megabytes) {
        const piece = Buffer.alloc(1 << 20, 'x');
        for (let count = 0; count < ask.megabytes; count++) { await write(piece); if (count % 8 === 0) console.log('MB ' + count); }
    }
    if (ask.log) console.log(ask.log);
    if (ask.hang) await wait(60000);
    if (ask.fail) throw new TypeError('after');
    if (ask.exit) process.exit(3);
    stream.end();
});
"""


def read(response):
    """(the bytes, the InvokeComplete event, number of chunks)."""
    data, complete, count = b"", None, 0
    for event in response["EventStream"]:
        if "PayloadChunk" in event:
            assert complete is None
            data += event["PayloadChunk"]["Payload"]
            count += 1
        else:
            complete = event["InvokeComplete"]
    return data, complete, count


@pytest.fixture
def node(fast_function):
    return fast_function(NODE, runtime="nodejs20.x")


def stream(function, ask, **parameters):
    response = function.client.invoke_with_response_stream(
        FunctionName=function.name, Payload=json.dumps(ask), **parameters
    )
    return response, *read(response)


def test_invoke(node):
    response, data, complete, count = stream(node, {"pieces": ["one", "two", "three"]})
    assert response["StatusCode"] == 200 and response["ExecutedVersion"] == "$LATEST"
    assert response["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/vnd.amazon.eventstream"
    assert data == b"onetwothree" and complete == {} and count >= 2
    _, data, complete, _ = stream(node, {"pieces": ["x"], "log": "said this"}, LogType="Tail")
    import base64
    assert data == b"x" and b"said this" in base64.b64decode(complete["LogResult"])
    # The prelude is part of what is streamed here.
    _, data, _, _ = stream(node, {"head": {"statusCode": 201}, "pieces": ["body"]})
    assert data == b'{"statusCode":201}' + b"\0" * 8 + b"body"
    assert stream(node, {})[1:3] == (b"", {})


def test_failures(node, fast_function):
    _, data, complete, _ = stream(node, {"pieces": ["begun"], "fail": True})
    assert data == b"begun" and complete["ErrorCode"] == "Unhandled"
    details = json.loads(complete["ErrorDetails"])
    assert (details["errorType"], details["errorMessage"]) == ("TypeError", "after")
    _, data, complete, _ = stream(node, {"failFirst": True})
    assert data == b"" and complete["ErrorCode"] == "Unhandled"
    _, data, complete, _ = stream(node, {"pieces": ["begun"], "exit": True})
    assert data == b"begun" and complete["ErrorCode"] in ("Runtime.ExitError", "Runtime.TruncatedResponse")
    # It is well again.
    assert stream(node, {"pieces": ["again"]})[1] == b"again"
    quick = fast_function(NODE, runtime="nodejs20.x", Timeout=1)
    _, data, complete, _ = stream(quick, {"pieces": ["begun"], "hang": True})
    assert data == b"begun" and complete["ErrorCode"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in complete["ErrorDetails"]


def test_errors_before_it_begins(node, client):
    with aws_error("ResourceNotFoundException", status=404):
        client("lambda").invoke_with_response_stream(FunctionName="nobody-is-called-so")
    with aws_error("InvalidRequestContentException"):
        client("lambda").invoke_with_response_stream(FunctionName=node.name, Payload=b"{")
    dry = client("lambda").invoke_with_response_stream(FunctionName=node.name, InvocationType="DryRun")
    assert dry["StatusCode"] == 204
    node.client.put_function_concurrency(FunctionName=node.name, ReservedConcurrentExecutions=0)
    with aws_error("TooManyRequestsException", status=429):
        client("lambda").invoke_with_response_stream(FunctionName=node.name)


def test_functions_that_do_not_stream(fast_function):
    function = fast_function("def handler(event, context): return {'got': event}")
    _, data, complete, _ = stream(function, {"a": 1})
    assert json.loads(data) == {"got": {"a": 1}} and complete == {}
    failing = fast_function("def handler(event, context): raise ValueError('no')")
    _, data, complete, _ = stream(failing, {})
    assert data == b"" and json.loads(complete["ErrorDetails"])["errorMessage"] == "no"


def test_a_streaming_function_that_is_invoked_plainly(node):
    result = node.invoke({"pieces": ['{"a":', "1}"]})
    assert result.json == {"a": 1}


def test_large_streams(node):
    _, data, complete, _ = stream(node, {"megabytes": 20})
    assert len(data) == 20 << 20 and complete == {}


@pytest.mark.slow
def test_more_than_200_megabytes(fast_function):
    function = fast_function(NODE, runtime="nodejs20.x", Timeout=60)
    response = function.client.invoke_with_response_stream(
        FunctionName=function.name, Payload=json.dumps({"megabytes": 210})
    )
    count, complete = 0, None
    for event in response["EventStream"]:
        count += len(event["PayloadChunk"]["Payload"]) if "PayloadChunk" in event else 0
        complete = event.get("InvokeComplete", complete)
    assert 199 << 20 < count <= 200 << 20
    assert complete["ErrorCode"] == "Function.ResponseSizeTooLarge"
    assert stream(function, {"pieces": ["again"]})[1] == b"again"


def test_url_with_head(node):
    url = URL(node, InvokeMode="RESPONSE_STREAM")
    head = {"statusCode": 201, "headers": {"Content-Type": "text/html", "X-Own": "1"}, "cookies": ["a=1", "b=2"]}
    status, headers, body = url.ask("POST", "/", json.dumps({"head": head, "pieces": ["<p>", "</p>"]}))
    assert (status, body) == (201, b"<p></p>")
    assert headers["content-type"] == "text/html" and headers["x-own"] == "1"
    assert headers["transfer-encoding"] == "chunked"
    assert url.response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    status, headers, body = url.ask("POST", "/", json.dumps({"type": "text/csv", "pieces": ["1,", "2"]}))
    assert (status, headers["content-type"], body) == (200, "text/csv", b"1,2")
    status, headers, body = url.ask("POST", "/", json.dumps({"pieces": ["bytes"]}))
    assert (status, headers["content-type"], body) == (200, "application/octet-stream", b"bytes")
    assert url.ask("POST", "/", json.dumps({"failFirst": True}))[::2] == (502, b"Internal Server Error")
    assert url.ask("POST", "/", json.dumps({"head": {"statusCode": "odd"}, "pieces": ["x"]}))[0] == 502
    # An end that is none: the client sees that something is missing.
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        url.ask("POST", "/", json.dumps({"head": {"statusCode": 200}, "pieces": ["x"], "fail": True}))
    # A URL that collects takes the head too.
    url.function.client.update_function_url_config(FunctionName=node.name, InvokeMode="BUFFERED")
    status, headers, body = url.ask("POST", "/", json.dumps({"head": head, "pieces": ["<p>", "</p>"]}))
    assert (status, headers["content-type"], body) == (201, "text/html", b"<p></p>")


# The page's second event is made only after the reader has said that it has seen the first.
EVENTS = r"""
const seen = {};
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
    stream = awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: { 'Content-Type': 'text/event-stream' } });
    stream.write('data: first\n\n');
    const { S3Client } = {};
    const http = require('http');
    const target = new URL(process.env.AWS_ENDPOINT_URL);
    const path = '/' + event.queryStringParameters.bucket + '/seen';
    const there = () => new Promise((resolve) => http.get({ host: target.hostname, port: target.port, path },
        (response) => { response.resume(); resolve(response.statusCode === 200); }).on('error', () => resolve(false)));
    for (let count = 0; count < 500; count++) {
        if (await there()) { stream.write('data: last\n\n'); break; }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    stream.end();
});
"""


def test_server_sent_events(fast_function, client, unique):
    function = fast_function(EVENTS, runtime="nodejs20.x", Timeout=30)
    url = URL(function, InvokeMode="RESPONSE_STREAM")
    bucket = unique("bucket")
    client("s3").create_bucket(Bucket=bucket)
    connection = http.client.HTTPConnection("127.0.0.1", url.server.port, timeout=30)
    connection.request("GET", f"/?bucket={bucket}", headers={"Host": url.host, "Accept": "text/event-stream"})
    response = connection.getresponse()
    assert response.status == 200 and response.headers["content-type"] == "text/event-stream"
    first = b""
    while not first.endswith(b"\n\n"):
        first += response.read(1)
    assert first == b"data: first\n\n"
    client("s3").put_object(Bucket=bucket, Key="seen", Body=b"")
    assert response.read() == b"data: last\n\n"
    connection.close()


def test_a_slow_reader_slows_the_function(node, server):
    """Neither the server nor the client's socket holds what nobody reads."""
    url = URL(node, InvokeMode="RESPONSE_STREAM")
    ask = json.dumps({"megabytes": 100}).encode()
    before = raw.resident_mb(server.process.pid)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.sendall(
            f"POST / HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {len(ask)}\r\n\r\n".encode() + ask)
        assert connection.recv(1)
        # The function writes what the sockets between take, and then waits. What it has logged settles.
        settled = {"count": -1, "times": 0}

        def stands_still():
            count = len([line for line in node.log_messages() if "MB " in line])
            settled["times"] = settled["times"] + 1 if count == settled["count"] and count else 0
            settled["count"] = count
            return settled["times"] >= 5

        wait_for(stands_still, interval_s=0.2)
        assert settled["count"] < 12
        assert raw.resident_mb(server.process.pid) - before < 60
        # It goes on when somebody reads.
        got = 1
        while got < 100 << 20:
            piece = connection.recv(1 << 20)
            assert piece
            got += len(piece)


def test_a_client_that_goes_away(node):
    """The function runs to its end, and the environment serves the next."""
    url = URL(node, InvokeMode="RESPONSE_STREAM")
    ask = json.dumps({"megabytes": 50, "log": "to the end"}).encode()
    with socket.create_connection(("127.0.0.1", url.server.port), timeout=30) as connection:
        connection.sendall(
            f"POST / HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {len(ask)}\r\n\r\n".encode() + ask)
        assert connection.recv(1)
    wait_for(lambda: any("to the end" in line for line in node.log_messages()))
    assert url.ask("POST", "/", json.dumps({"pieces": ["next"]}))[2] == b"next"
    assert url.ask("HEAD", "/")[0] == 200


# A custom runtime, in a page of Python: the path for streams from languages other than Node.js.
PYTHON = r"""#!/usr/bin/python3 -S
import base64, http.client, json, os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def pieces(event):
    for number in range(event["count"]):
        yield b"piece %d\n" % number
    if event.get("fail"):
        raise ValueError("half way")

while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    head = api.getresponse()
    event = json.loads(head.read())
    path = f"/2018-06-01/runtime/invocation/{head.headers['Lambda-Runtime-Aws-Request-Id']}/response"
    api.putrequest("POST", path)
    for name, value in {
        "Content-Type": "text/plain", "Lambda-Runtime-Function-Response-Mode": "streaming",
        "Transfer-Encoding": "chunked",
        "Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
    }.items():
        api.putheader(name, value)
    api.endheaders()
    trailers = b""
    try:
        for piece in pieces(event):
            api.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    except Exception as error:
        body = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()
        trailers = b"Lambda-Runtime-Function-Error-Type: Function.%s\r\n" % type(error).__name__.encode()
        trailers += b"Lambda-Runtime-Function-Error-Body: %s\r\n" % base64.b64encode(body)
    api.send(b"0\r\n" + trailers + b"\r\n")
    api.getresponse().read()
"""


def test_a_custom_runtime_in_python(make_function):
    function = make_function(files={"bootstrap": (PYTHON, 0o755)}, runtime="provided.al2023", MemorySize=1769, Timeout=10)
    _, data, complete, _ = stream(function, {"count": 3})
    assert data == b"piece 0\npiece 1\npiece 2\n" and complete == {}
    _, data, complete, _ = stream(function, {"count": 1, "fail": True})
    assert data == b"piece 0\n" and json.loads(complete["ErrorDetails"])["errorMessage"] == "half way"
    assert function.invoke({"count": 0}).error is None
