"""Destinations and dead-letter queues of asynchronous invocations (section 4 of the reference)."""

import json
import re
import urllib.request

import pytest

from .expect import aws_error
from .harness import wait_for
from .lambda_helpers import ECHO
from .sns_helpers import Queue

# Keeps what it gets in its log, which tests read.
RECEIVER = "import json\ndef handler(event, context):\n    print('got ' + json.dumps(event), flush=True)\n"
FAILS = "def handler(event, context):\n    raise ValueError('no ' + 'x' * 2000)\n"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def received(function):
    """The events that a receiver got, as they were parsed, members in their order."""
    lines = [message for message in function.log_messages() if message.startswith("got ")]
    return [json.loads(line.removeprefix("got ")) for line in lines]


def one(function):
    wait_for(lambda: received(function))
    (event,) = received(function)
    return event


def configure(function, **settings):
    destinations = {key: settings.pop(key) for key in ("OnSuccess", "OnFailure") if key in settings}
    return function.client.put_function_event_invoke_config(
        FunctionName=function.name,
        DestinationConfig={key: {"Destination": arn} for key, arn in destinations.items()},
        **settings,
    )


@pytest.fixture
def receiver(fast_function):
    return fast_function(RECEIVER)


@pytest.fixture
def queue(client, unique):
    """(url, arn) of a queue."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    yield url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.delete_queue(QueueUrl=url)


def message(client, url):
    def receive():
        return client("sqs").receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=5
        ).get("Messages")

    (found,) = wait_for(receive)
    return found


def test_success_to_a_function(fast_function, receiver):
    function = fast_function(ECHO)
    configure(function, OnSuccess=receiver.arn)
    request = function.invoke({"b": 1, "a": [None]}, InvocationType="Event").request_id
    record = one(receiver)
    assert list(record) == [
        "version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload",
    ]
    assert record["version"] == "1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["timestamp"])
    assert list(record["requestContext"].items()) == [
        ("requestId", request),
        ("functionArn", function.arn + ":$LATEST"),
        ("condition", "Success"),
        ("approximateInvokeCount", 1),
    ]
    assert record["requestPayload"] == {"b": 1, "a": [None]} == record["responsePayload"]
    assert list(record["responseContext"].items()) == [("statusCode", 200), ("executedVersion", "$LATEST")]


def test_failure_to_a_function(fast_function, receiver):
    function = fast_function(FAILS)
    configure(function, OnFailure=receiver.arn, OnSuccess=receiver.arn)
    function.invoke({"a": 1}, InvocationType="Event")
    record = one(receiver)
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert list(record["responseContext"].items()) == [
        ("statusCode", 200), ("executedVersion", "$LATEST"), ("functionError", "Unhandled"),
    ]
    assert record["responsePayload"]["errorType"] == "ValueError"
    assert record["requestPayload"] == {"a": 1}


def test_the_time_scale_leaves_the_age_alone(fast_function, receiver):
    function = fast_function(FAILS)
    configure(function, OnFailure=receiver.arn, MaximumEventAgeInSeconds=60, MaximumRetryAttempts=1)
    function.invoke({}, InvocationType="Event")
    assert one(receiver)["requestContext"]["approximateInvokeCount"] == 2


def test_the_age_is_held_against_the_next_attempt(make_server, make_function):
    """Recorded on AWS: with 60 seconds, the retry after one minute is never tried."""
    server = make_server()
    function = make_function(FAILS, server=server, MemorySize=1769)
    receiver = make_function(RECEIVER, server=server, MemorySize=1769)
    configure(function, OnFailure=receiver.arn, MaximumEventAgeInSeconds=60)
    function.invoke({}, InvocationType="Event")
    record = one(receiver)
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"]["errorType"] == "ValueError"


def test_no_concurrency_at_all(client, fast_function, receiver):
    function = fast_function(ECHO)
    client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    configure(function, OnFailure=receiver.arn)
    function.invoke({"a": 1}, InvocationType="Event")
    record = one(receiver)
    assert list(record) == ["version", "timestamp", "requestContext", "requestPayload"]
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0


def test_settings_of_an_alias_are_its_own(client, fast_function, receiver):
    function = fast_function(ECHO)
    client("lambda").publish_version(FunctionName=function.name)
    client("lambda").create_alias(FunctionName=function.name, Name="live", FunctionVersion="1")
    client("lambda").put_function_event_invoke_config(
        FunctionName=function.name, Qualifier="live", DestinationConfig={"OnSuccess": {"Destination": receiver.arn}}
    )
    function.invoke({"n": 1}, InvocationType="Event")
    function.invoke({"n": 2}, InvocationType="Event", Qualifier="live")
    record = one(receiver)
    assert record["requestPayload"] == {"n": 2}
    assert record["requestContext"]["functionArn"] == function.arn + ":live"
    assert record["responseContext"]["executedVersion"] == "1"


def test_failure_to_a_bucket(client, unique, fast_function, receiver):
    bucket = unique("bucket")
    s3 = client("s3")
    s3.create_bucket(Bucket=bucket)
    # The record's object has events as any other.
    client("lambda").add_permission(
        FunctionName=receiver.name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [{"LambdaFunctionArn": receiver.arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    function = fast_function(FAILS)
    configure(function, OnFailure=f"arn:aws:s3:::{bucket}", MaximumRetryAttempts=0)
    request = function.invoke({"a": 1}, InvocationType="Event").request_id
    event = one(receiver)
    (found,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    day = r"(\d{4})/(\d\d)/(\d\d)/\1-\2-\3T\d\d\.\d\d\.\d\d"
    assert re.fullmatch(rf"aws/lambda/async/{function.name}/{day}-{UUID}", found["Key"])
    assert event["Records"][0]["s3"]["object"]["size"] == found["Size"]
    record = json.loads(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
    assert record["requestContext"]["requestId"] == request
    assert record["requestContext"]["approximateInvokeCount"] == 1


def test_a_destination_that_is_gone_is_counted(make_server, make_function):
    server = make_server("--time-scale", "600")
    function = make_function(ECHO, server=server, MemorySize=1769)
    receiver = make_function(RECEIVER, server=server, MemorySize=1769)
    configure(function, OnSuccess=receiver.arn)
    receiver.delete()
    function.invoke({}, InvocationType="Event")
    wait_for(lambda: "record not delivered to the function's destination" in server.log_tail())
    with urllib.request.urlopen(server.url + "/_martlet/metrics", timeout=5) as answer:
        assert b"martlet_destination_delivery_failures_total 1\n" in answer.read()


def test_success_and_failure_to_a_queue(client, fast_function, queue):
    url, arn = queue
    function = fast_function(ECHO)
    configure(function, OnSuccess=arn)
    request = function.invoke({"a": 1}, InvocationType="Event").request_id
    found = message(client, url)
    assert json.loads(found["Body"])["requestContext"]["requestId"] == request
    assert "MessageAttributes" not in found
    assert found["Attributes"]["AWSTraceHeader"].startswith("Root=1-")


def test_the_dead_letter_queue_gets_the_event_itself(client, fast_function, receiver, queue):
    url, arn = queue
    function = fast_function(FAILS, DeadLetterConfig={"TargetArn": arn})
    configure(function, OnFailure=receiver.arn, MaximumRetryAttempts=0)
    body = b'{"b": 1.50,  "a": "\\u00e9"}'
    request = function.invoke(body, InvocationType="Event").request_id
    found = message(client, url)
    assert found["Body"].encode() == body
    attributes = {name: (value["DataType"], value["StringValue"]) for name, value in found["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": ("String", request),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", ("no " + "x" * 2000)[:1024]),
    }
    # Both are used.
    assert one(receiver)["requestContext"]["requestId"] == request


def test_what_a_configuration_may_name(client, fast_function, unique):
    function = fast_function(ECHO)
    missing = f"arn:aws:sqs:us-east-1:000000000000:{unique('none')}"
    with aws_error("InvalidParameterValueException", f"The destination ARN {missing} is invalid."):
        configure(function, OnSuccess=missing)
    bucket = f"arn:aws:s3:::{unique('none')}"
    with aws_error("InvalidParameterValueException", f"The destination ARN {bucket} is invalid."):
        configure(function, OnFailure=bucket)
    with aws_error("InvalidParameterValueException", f"The provided target ARN {missing} is invalid."):
        client("lambda").update_function_configuration(
            FunctionName=function.name, DeadLetterConfig={"TargetArn": missing}
        )
    with aws_error("InvalidParameterValueException", re.compile("^The provided destination config Destination.* is inv")):
        configure(function, OnSuccess="arn:aws:s3:::bucket")


def test_to_topics(client, server, fast_function, unique):
    """The record is the message; the event is that of the dead-letter topic, with its attributes."""
    sns = client("sns")
    topics = [sns.create_topic(Name=unique("topic"))["TopicArn"] for _ in range(2)]
    queues = [Queue(server) for _ in topics]
    for topic, queue in zip(topics, queues):
        sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"}
        )
    function = fast_function(FAILS, DeadLetterConfig={"TargetArn": topics[1]})
    configure(function, OnFailure=topics[0], MaximumRetryAttempts=0)
    request = function.invoke({"a": 1}, InvocationType="Event").request_id
    (record,) = queues[0].bodies(1)
    assert record["requestContext"]["requestId"] == request
    (letter,) = queues[1].messages(1)
    assert json.loads(letter["Body"]) == {"a": 1}
    assert letter["MessageAttributes"]["ErrorCode"] == {"DataType": "Number", "StringValue": "200"}
    assert letter["MessageAttributes"]["RequestID"]["StringValue"] == request


def test_a_record_too_large_for_a_topic_goes_without_its_payloads(client, server, fast_function, unique):
    sns = client("sns")
    topic, queue = sns.create_topic(Name=unique("topic"))["TopicArn"], Queue(server)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    function = fast_function("def handler(event, context): return 'x' * 300_000\n")
    configure(function, OnSuccess=topic)
    function.invoke({}, InvocationType="Event")
    (record,) = queue.bodies(1)
    assert list(record) == ["version", "timestamp", "requestContext", "responseContext"]
    assert record["requestContext"]["condition"] == "Success"


@pytest.fixture
def role(client, unique):
    """The name and ARN of a role of the test's own."""
    name = unique("role")
    trust = {"Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]}
    yield name, client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


def deny(client, role, *actions):
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": actions, "Resource": "*"}]}
    client("iam").put_role_policy(RoleName=role[0], PolicyName="deny", PolicyDocument=json.dumps(policy))


def test_the_role_must_be_allowed_to_send(client, fast_function, receiver, queue, role):
    """The shared server does not authenticate: only an explicit Deny counts."""
    url, arn = queue
    function = fast_function(ECHO, Role=role[1])
    other = fast_function(FAILS, Role=role[1], DeadLetterConfig={"TargetArn": arn})
    configure(function, OnSuccess=receiver.arn)
    deny(client, role, "sqs:SendMessage", "lambda:InvokeFunction")
    for target, call in ((arn, "SendMessage"), (receiver.arn, "InvokeFunction")):
        with aws_error(
            "InvalidParameterValueException",
            f"The function's execution role does not have permissions to call {call} on {target}",
        ):
            configure(function, OnFailure=target)
    with aws_error(
        "InvalidParameterValueException",
        "The provided execution role does not have permissions to call SendMessage on SQS",
    ):
        client("lambda").update_function_configuration(
            FunctionName=function.name, DeadLetterConfig={"TargetArn": arn}
        )
    # What was configured before is refused when it comes to that.
    names = ("martlet_destination_delivery_failures_total", "martlet_dead_letter_errors_total")
    before = [metric(client, name) for name in names]
    function.invoke({}, InvocationType="Event")
    other.invoke({}, InvocationType="Event")
    wait_for(lambda: [metric(client, name) for name in names] == [count + 1 for count in before])
    assert received(receiver) == []
    assert "Messages" not in client("sqs").receive_message(QueueUrl=url)


def metric(client, name):
    with urllib.request.urlopen(client("sqs").meta.endpoint_url + "/_martlet/metrics", timeout=5) as answer:
        (line,) = [line for line in answer.read().decode().splitlines() if line.startswith(name + " ")]
    return int(line.split()[1])
