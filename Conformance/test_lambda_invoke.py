"""Invoke: what the control plane answers by itself, and that it reaches the function whole."""

import base64
import json

import pytest

from .harness import wait_for
from .lambda_helpers import ECHO, arn, refused


@pytest.fixture
def lambda_(client):
    return client("lambda")


def test_request_response(make_function):
    function = make_function(ECHO)
    answer = function.invoke(b'{"a":  1.50, "b": "\\u00fc"}')
    assert (answer.status, answer.version, answer.error) == (200, "$LATEST", None)
    assert answer.json == {"a": 1.5, "b": "ü"}
    assert answer.log.startswith(f"START RequestId: {answer.request_id} Version: $LATEST\n")
    headers = answer.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert function.client.invoke(FunctionName=function.name)["Payload"].read() == b"{}", "an empty body is {}"


def test_without_a_tail_there_is_no_log(make_function):
    assert "LogResult" not in make_function(ECHO).invoke(1, LogType="None").response


def test_client_context(make_function, lambda_):
    source = "def handler(event, context):\n    return context.client_context.custom\n"
    function = make_function(source)
    context = base64.b64encode(json.dumps({"custom": {"a": "b"}, "client": {}, "env": {}}).encode()).decode()
    assert function.invoke(ClientContext=context).json == {"a": "b"}
    bad = refused(lambda_.invoke, FunctionName=function.name, ClientContext="!!")
    assert (bad.status, bad.code) == (400, "InvalidRequestContentException")
    long = refused(lambda_.invoke, FunctionName=function.name, ClientContext="A" * 3584)
    assert "3583" in long.message


def test_dry_run(lambda_, make_function):
    function = make_function("def handler(event, context):\n    raise Exception('ran')\n")
    answer = lambda_.invoke(FunctionName=function.name, InvocationType="DryRun")
    assert answer["StatusCode"] == 204 and answer["Payload"].read() == b""
    assert "ExecutedVersion" not in answer
    assert refused(lambda_.invoke, FunctionName="no-such-function", InvocationType="DryRun").status == 404


def test_event(lambda_, make_function, unique):
    function = make_function("def handler(event, context):\n    print('got', event['word'])\n")
    word = unique("word")
    answer = lambda_.invoke(
        FunctionName=function.name, InvocationType="Event", Payload=json.dumps({"word": word}).encode()
    )
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    assert "ExecutedVersion" not in answer and "FunctionError" not in answer
    wait_for(lambda: any(f"got {word}" in message for message in function.log_messages()))


def test_invoke_async(lambda_, make_function, unique):
    function = make_function("def handler(event, context):\n    print('got', event['word'])\n")
    word = unique("word")
    answer = lambda_.invoke_async(FunctionName=function.name, InvokeArgs=json.dumps({"word": word}).encode())
    assert answer["Status"] == 202
    wait_for(lambda: any(f"got {word}" in message for message in function.log_messages()))


def test_bodies_that_are_refused(lambda_, make_function):
    name = make_function(ECHO).name
    invalid = refused(lambda_.invoke, FunctionName=name, Payload=b"\x99")
    assert (invalid.status, invalid.code, invalid.type) == (400, "InvalidRequestContentException", "User")
    assert invalid.message.startswith(
        "Could not parse request body into json: Could not parse payload into json: "
    )
    event = refused(
        lambda_.invoke, FunctionName=name, InvocationType="Event", Payload=b'"' + b"x" * 1_048_576 + b'"'
    )
    assert (event.status, event.code) == (413, "RequestEntityTooLargeException")
    assert event.message == "Request must be smaller than 1048576 bytes for the InvokeFunction operation"
    large = refused(lambda_.invoke, FunctionName=name, Payload=b'"' + b"x" * 6_291_456 + b'"')
    assert (large.status, large.code) == (413, "RequestEntityTooLargeException")
    assert large.message == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"


def test_names(lambda_, make_function):
    function = make_function("def handler(event, context):\n    return context.invoked_function_arn\n")
    for name in (function.name, function.arn, f"000000000000:function:{function.name}"):
        assert json.load(lambda_.invoke(FunctionName=name)["Payload"]) == function.arn
    qualified = lambda_.invoke(FunctionName=f"{function.name}:$LATEST")
    assert json.load(qualified["Payload"]) == arn(function.name, "$LATEST")
    missing = refused(lambda_.invoke, FunctionName="no-such-function")
    assert (missing.status, missing.message) == (404, f"Function not found: {arn('no-such-function')}")
    mismatch = refused(lambda_.invoke, FunctionName=f"{function.name}:1", Qualifier="2")
    assert mismatch.message == "The derived qualifier from the function name does not match the specified qualifier."


def test_command_line(aws, make_function, tmp_path):
    function = make_function(ECHO)
    out = tmp_path / "out.json"
    answer = aws(
        "lambda", "invoke", "--function-name", function.name, "--payload", '{"a": 1}', "--cli-binary-format",
        "raw-in-base64-out", "--log-type", "Tail", str(out),
    ).json
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert base64.b64decode(answer["LogResult"]).startswith(b"START")
    assert json.loads(out.read_text()) == {"a": 1}
