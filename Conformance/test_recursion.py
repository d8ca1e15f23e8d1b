"""Loops of functions are found by the trace header that SDKs send on, and stopped after sixteen invocations."""

import json
import time

import pytest

from .harness import wait_for

# Sends every event to itself again, as boto3 does: _X_AMZN_TRACE_ID goes along.
LOOP = """
import json, os, boto3
client = boto3.client('lambda')
def handler(event, context):
    print('turn', event['n'], flush=True)
    answer = client.invoke(
        FunctionName=context.function_name, InvocationType=event['type'], Payload=json.dumps({**event, 'n': event['n'] + 1}))
    return json.loads(answer['Payload'].read() or 'null')
"""
RECEIVER = "import json\ndef handler(event, context):\n    print('got ' + json.dumps(event), flush=True)\n"
LIMIT = 16


def turns(function):
    return [message for message in function.log_messages() if message.startswith("turn ")]


def numbers(function):
    """Which turns have been logged, in order: also one that was lost or doubled shows."""
    return sorted(int(message.split()[1]) for message in turns(function))


def wait_for_numbers(function, expected):
    """Waits for exactly these turns, and says what it saw instead."""
    try:
        wait_for(lambda: numbers(function) == list(expected))
    except AssertionError:
        pytest.fail(f"turns {numbers(function)}, not {list(expected)}; all lines: {function.log_messages()}")


@pytest.fixture
def loop(fast_function):
    try:
        function = fast_function(LOOP, Timeout=30)
        function.invoke({"n": 0, "type": "DryRun"})
    except Exception:  # pragma: no cover
        pytest.skip("boto3 cannot be had in a function here")
    return function


def test_asynchronous(fast_function, loop):
    receiver = fast_function(RECEIVER)
    loop.client.put_function_event_invoke_config(
        FunctionName=loop.name, DestinationConfig={"OnFailure": {"Destination": receiver.arn}}
    )
    loop.invoke({"n": 1, "type": "Event"}, InvocationType="Event")
    wait_for(lambda: any(message.startswith("got ") for message in receiver.log_messages()))
    (line,) = [message for message in receiver.log_messages() if message.startswith("got ")]
    record = json.loads(line.removeprefix("got "))
    assert record["requestContext"]["condition"] == "RecursiveInvocation"
    assert record["requestPayload"]["n"] == LIMIT + 1
    # Turn 0 is the fixture's. Lines come a moment after their invocation: nothing may be counted before they are all there.
    wait_for_numbers(loop, range(0, LIMIT + 1))


# Puts into the bucket whose events it gets, as boto3 does.
S3_LOOP = """
import boto3
s3 = boto3.client('s3')
def handler(event, context):
    for record in event['Records']:
        print('turn', record['eventName'], flush=True)
        s3.put_object(Bucket=record['s3']['bucket']['name'], Key='k', Body=b'x')
"""


def test_through_a_bucket(client, fast_function, unique):
    s3, bucket = client("s3"), unique("loop")
    s3.create_bucket(Bucket=bucket)
    function = fast_function(S3_LOOP, Timeout=30)
    client("lambda").add_permission(
        FunctionName=function.name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [{"LambdaFunctionArn": function.arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    wait_for(lambda: len(turns(function)) == LIMIT)
    wait_for(lambda: settled(function))
    assert len(turns(function)) == LIMIT


# The records of its failures go into the bucket whose events it gets: the trace goes with them.
RECORDED = "def handler(event, context):\n    print('turn', len(event['Records']), flush=True)\n    raise ValueError('no')\n"


def test_through_a_destination_bucket(client, fast_function, unique):
    s3, bucket = client("s3"), unique("records")
    s3.create_bucket(Bucket=bucket)
    function = fast_function(RECORDED, Timeout=30)
    client("lambda").add_permission(
        FunctionName=function.name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    client("lambda").put_function_event_invoke_config(
        FunctionName=function.name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}},
    )
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [{"LambdaFunctionArn": function.arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    # Each of the sixteen left its record, and so did the seventeenth, which was stopped. Its record ends the circle.
    def objects():
        return len(s3.list_objects_v2(Bucket=bucket).get("Contents", []))

    wait_for(lambda: objects() >= 1 + LIMIT + 1)
    wait_for(lambda: len(turns(function)) >= LIMIT)
    wait_for(lambda: settled(function))
    assert len(turns(function)) == LIMIT, function.log_messages()
    assert objects() == 1 + LIMIT + 1


def test_allowed(loop):
    loop.client.put_function_recursion_config(FunctionName=loop.name, RecursiveLoop="Allow")
    loop.invoke({"n": 1, "type": "Event"}, InvocationType="Event")
    wait_for(lambda: len(turns(loop)) > LIMIT + 10)
    loop.client.put_function_recursion_config(FunctionName=loop.name, RecursiveLoop="Terminate")
    wait_for(lambda: settled(loop))


def settled(function):
    count = len(turns(function))
    time.sleep(0.5)
    return len(turns(function)) == count


def test_the_header_of_a_synchronous_caller(function_that_shows_its_header):
    function = function_that_shows_its_header
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
    for _ in range(LIMIT):
        answer, trace = call(function, trace)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    with pytest.raises(function.client.exceptions.RecursiveInvocationException) as caught:
        call(function, trace)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.fixture
def function_that_shows_its_header(fast_function):
    return fast_function("import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']\n")


def call(function, trace):
    client = function.server.client("lambda")
    client.meta.events.register("before-sign.lambda.Invoke", lambda request, **_: set_trace(request, trace))
    answer = client.invoke(FunctionName=function.name, Payload=b"{}")
    return answer, json.loads(answer["Payload"].read())


def set_trace(request, trace):
    del request.headers["X-Amzn-Trace-Id"]
    request.headers["X-Amzn-Trace-Id"] = trace
