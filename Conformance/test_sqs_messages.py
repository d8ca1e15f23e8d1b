"""SQS: messages on standard queues, with boto3 (which checks the MD5 sums of bodies itself)."""

import hashlib
import re
import struct
import threading
import time

import pytest

from .expect import aws_error
from .harness import ACCOUNT, REGION, wait_for


@pytest.fixture
def sqs(client):
    return client("sqs")


@pytest.fixture
def queue(sqs, unique):
    return sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]


def counts(sqs, queue):
    names = ["", "NotVisible", "Delayed"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return tuple(int(attributes["ApproximateNumberOfMessages" + name]) for name in names)


def receive(sqs, queue, **parameters):
    parameters.setdefault("MaxNumberOfMessages", 10)
    return sqs.receive_message(QueueUrl=queue, **parameters).get("Messages", [])


def attribute_md5(attributes):
    """The documented sum, written down once more."""
    out = b""
    for name in sorted(attributes):
        value = attributes[name]
        for text in (name, value["DataType"]):
            out += struct.pack(">I", len(text.encode())) + text.encode()
        binary = "BinaryValue" in value
        content = value["BinaryValue"] if binary else value["StringValue"].encode()
        out += (b"\x02" if binary else b"\x01") + struct.pack(">I", len(content)) + content
    return hashlib.md5(out).hexdigest()


# Send, receive, delete


def test_a_message_goes_round(sqs, queue):
    before = int(time.time() * 1000)
    sent = sqs.send_message(QueueUrl=queue, MessageBody="hello ✓ <&>\n")
    assert sent["MD5OfMessageBody"] == hashlib.md5("hello ✓ <&>\n".encode()).hexdigest()
    assert "SequenceNumber" not in sent and "MD5OfMessageAttributes" not in sent
    assert counts(sqs, queue) == (1, 0, 0)
    (message,) = receive(sqs, queue, MessageSystemAttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == "hello ✓ <&>\n"
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    attributes = message["Attributes"]
    assert set(attributes) == {
        "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"}
    assert attributes["SenderId"] == ACCOUNT and attributes["ApproximateReceiveCount"] == "1"
    assert before <= int(attributes["SentTimestamp"]) <= int(attributes["ApproximateFirstReceiveTimestamp"])
    assert counts(sqs, queue) == (0, 1, 0)
    assert receive(sqs, queue) == []
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert counts(sqs, queue) == (0, 0, 0)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])  # once more is no error


def test_a_receive_without_names_has_no_attributes(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes={
        "a": {"DataType": "String", "StringValue": "1"}})
    (message,) = receive(sqs, queue)
    assert set(message) == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}


ATTRIBUTES = {
    "one": {"DataType": "String", "StringValue": "Ünï"},
    "two": {"DataType": "Number.int", "StringValue": "42"},
    "foo.bin": {"DataType": "Binary.gif", "BinaryValue": b"\x00\xff\x80"},
    "foo.text": {"DataType": "String", "StringValue": "t"},
}


@pytest.mark.parametrize("names, wanted", [
    (["All"], set(ATTRIBUTES)), ([".*"], set(ATTRIBUTES)), (["one"], {"one"}),
    (["foo.*"], {"foo.bin", "foo.text"}), (["foo.*", "two", "absent"], {"foo.bin", "foo.text", "two"}),
    (["absent"], set()),
])
def test_message_attributes_and_their_sums(sqs, queue, names, wanted):
    sent = sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=ATTRIBUTES)
    assert sent["MD5OfMessageAttributes"] == attribute_md5(ATTRIBUTES)
    (message,) = receive(sqs, queue, MessageAttributeNames=names)
    shown = message.get("MessageAttributes", {})
    assert shown == {name: ATTRIBUTES[name] for name in wanted}
    assert message.get("MD5OfMessageAttributes") == (attribute_md5(shown) if wanted else None)


def test_the_trace_header_is_a_system_attribute(sqs, queue):
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": header}}
    sent = sqs.send_message(QueueUrl=queue, MessageBody="x", MessageSystemAttributes=system)
    assert sent["MD5OfMessageSystemAttributes"] == attribute_md5(system)
    (message,) = receive(sqs, queue, AttributeNames=["AWSTraceHeader", "SenderId"])
    assert message["Attributes"] == {"AWSTraceHeader": header, "SenderId": ACCOUNT}


def test_the_trace_of_a_request_is_kept(server, queue):
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage=1:0a1b2c3d:2"
    sqs = server.client("sqs", user_agent_extra="traced")
    sqs.meta.events.register(
        "before-send.sqs", lambda request, **_: request.headers.__setitem__("X-Amzn-Trace-Id", header))
    assert "MD5OfMessageSystemAttributes" not in sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = receive(sqs, queue, AttributeNames=["AWSTraceHeader"])
    assert message["Attributes"] == {"AWSTraceHeader": header}


def test_messages_of_a_mebibyte(sqs, queue):
    body = "0123456789abcdef" * 65_536
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    (message,) = receive(sqs, queue)
    assert message["Body"] == body
    with aws_error("InvalidParameterValue",
                   "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."):
        sqs.send_message(QueueUrl=queue, MessageBody=body + "x")
    with aws_error("InvalidParameterValue", re.compile("shorter than 1048576 bytes")):
        sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes={
            "a": {"DataType": "String", "StringValue": "1"}})
    with aws_error("AWS.SimpleQueueService.BatchRequestTooLong",
                   "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."):
        sqs.send_message_batch(QueueUrl=queue, Entries=[
            {"Id": "a", "MessageBody": body}, {"Id": "b", "MessageBody": "x"}])
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert counts(sqs, queue) == (0, 0, 0)


def test_a_queue_can_have_a_lower_limit(sqs, unique):
    queue = sqs.create_queue(QueueName=unique("queue"), Attributes={"MaximumMessageSize": "1024"})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x" * 1024)
    with aws_error("InvalidParameterValue", re.compile("Message must be shorter than 1024 bytes.")):
        sqs.send_message(QueueUrl=queue, MessageBody="x" * 1025)


@pytest.mark.parametrize("parameters, code, text", [
    ({"MessageBody": ""}, "MissingParameter", "The request must contain the parameter MessageBody."),
    ({"MessageBody": "\x01"}, "InvalidMessageContents", re.compile("^Invalid characters found")),
    ({"MessageBody": "\ufffe"}, "InvalidMessageContents", re.compile("^Invalid characters found")),
    ({"MessageAttributes": {"ErrorDetails": {"DataType": "String", "StringValue": ""}}}, "InvalidParameterValue",
     "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."),
    ({"MessageAttributes": {"a": {"DataType": "Other", "StringValue": "x"}}}, "InvalidParameterValue",
     re.compile("type of message")),
    ({"MessageAttributes": {"a": {"DataType": "Number", "StringValue": "x"}}}, "InvalidParameterValue",
     re.compile("number")),
    ({"MessageAttributes": {"AWS.a": {"DataType": "String", "StringValue": "x"}}}, "InvalidParameterValue",
     re.compile("reserved prefix")),
    ({"MessageAttributes": {f"a{i}": {"DataType": "String", "StringValue": "x"} for i in range(11)}},
     "InvalidParameterValue", re.compile("attributes")),
    ({"DelaySeconds": 901}, "InvalidParameterValue", re.compile("DelaySeconds")),
    ({"DelaySeconds": -1}, "InvalidParameterValue", re.compile("DelaySeconds")),
    ({"MessageDeduplicationId": "x"}, "InvalidParameterValue", re.compile("MessageDeduplicationId")),
    ({"MessageGroupId": "group 123"}, "InvalidParameterValue",
     "Value group 123 for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric "
     "and punctuation characters. 1 to 128 in length."),
])
def test_what_cannot_be_sent(sqs, queue, parameters, code, text):
    with aws_error(code, text):
        sqs.send_message(**{"QueueUrl": queue, "MessageBody": "x", **parameters})
    assert counts(sqs, queue) == (0, 0, 0)


def test_group_ids_on_standard_queues(sqs, queue):
    """Fair queues: the tenant's id comes back."""
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageGroupId="tenant-1")
    (message,) = receive(sqs, queue, MessageSystemAttributeNames=["MessageGroupId"])
    assert message["Attributes"] == {"MessageGroupId": "tenant-1"}


# Batches


def test_a_batch_with_failures(sqs, queue):
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=[
        {"Id": "good", "MessageBody": "one", "MessageAttributes": {"a": {"DataType": "String", "StringValue": "1"}}},
        {"Id": "bad", "MessageBody": "\x02"},
        {"Id": "late", "MessageBody": "two", "DelaySeconds": 900},
    ])
    assert [entry["Id"] for entry in answer["Successful"]] == ["good", "late"]
    assert answer["Successful"][0]["MD5OfMessageAttributes"]
    (failed,) = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("bad", "InvalidMessageContents", True)
    assert counts(sqs, queue) == (1, 0, 1)


@pytest.mark.parametrize("ids, code, text", [
    ([], "AWS.SimpleQueueService.EmptyBatchRequest", re.compile("at least one")),
    (["a", "b", "a"], "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id a repeated."),
    (["a b"], "AWS.SimpleQueueService.InvalidBatchEntryId",
     "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 "
     "letters long."),
    (["x" * 81], "AWS.SimpleQueueService.InvalidBatchEntryId", re.compile("at most 80")),
    ([str(i) for i in range(20)], "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
     "Maximum number of entries per request are 10. You have sent 20."),
])
def test_malformed_batches(sqs, queue, ids, code, text):
    with aws_error(code, text):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": id, "MessageBody": "x"} for id in ids])
    with aws_error(code, text):
        sqs.delete_message_batch(QueueUrl=queue, Entries=[{"Id": id, "ReceiptHandle": "x"} for id in ids])
    with aws_error(code, text):
        sqs.change_message_visibility_batch(QueueUrl=queue, Entries=[
            {"Id": id, "ReceiptHandle": "x", "VisibilityTimeout": 1} for id in ids])


def test_batches_of_handles(sqs, queue):
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(3)])
    messages = receive(sqs, queue)
    assert len(messages) == 3
    answer = sqs.change_message_visibility_batch(QueueUrl=queue, Entries=[
        {"Id": "a", "ReceiptHandle": messages[0]["ReceiptHandle"], "VisibilityTimeout": 0},
        {"Id": "b", "ReceiptHandle": "garbage", "VisibilityTimeout": 0},
    ])
    assert [entry["Id"] for entry in answer["Successful"]] == ["a"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("b", "ReceiptHandleIsInvalid")]
    assert counts(sqs, queue) == (1, 2, 0)
    answer = sqs.delete_message_batch(QueueUrl=queue, Entries=[
        {"Id": "a", "ReceiptHandle": messages[1]["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "garbage"}])
    assert [entry["Id"] for entry in answer["Successful"]] == ["a"]
    assert [entry["Id"] for entry in answer["Failed"]] == ["b"]
    assert counts(sqs, queue) == (1, 1, 0)


# Visibility


def test_visibility_timeouts_end(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (first,) = receive(sqs, queue, VisibilityTimeout=1)
    assert receive(sqs, queue) == []
    (second,) = receive(sqs, queue, WaitTimeSeconds=5, MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    # The first handle is stale: the deletion is answered, and the message stays.
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    assert counts(sqs, queue) == (0, 1, 0)
    with aws_error("InvalidParameterValue", re.compile("not available for visibility timeout change")):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=5)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    assert counts(sqs, queue) == (1, 0, 0)
    with aws_error("InvalidParameterValue", re.compile("not available for visibility timeout change")):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=5)


def test_twelve_hours_are_the_most(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = receive(sqs, queue)
    handle = message["ReceiptHandle"]
    time.sleep(0.01)
    with aws_error("InvalidParameterValue", re.compile(r"beyond the limit \[43200 seconds\]")):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=43_200)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=43_190)
    with aws_error("InvalidParameterValue", re.compile("VisibilityTimeout")):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=43_201)


def test_garbage_handles(sqs, queue):
    for handle in ("garbage", "AQEB" + "A" * 44, "é"):
        with aws_error("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.', 404):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)


def test_a_handle_of_another_queue(sqs, queue, unique):
    other = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = receive(sqs, queue)
    with aws_error("ReceiptHandleIsInvalid", re.compile("not a valid receipt handle"), 404):
        sqs.delete_message(QueueUrl=other, ReceiptHandle=message["ReceiptHandle"])
    assert counts(sqs, queue) == (0, 1, 0)


# Waiting


@pytest.mark.parametrize("parameters, text", [
    ({"WaitTimeSeconds": -1}, "Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if "
                              "provided."),
    ({"WaitTimeSeconds": 21}, "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if "
                              "provided."),
    ({"MaxNumberOfMessages": 11}, "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 "
                                  "and 10, if provided."),
    ({"MaxNumberOfMessages": 0}, re.compile("MaxNumberOfMessages is invalid")),
    ({"VisibilityTimeout": 43_201}, re.compile("VisibilityTimeout is invalid")),
])
def test_what_cannot_be_asked_of_a_receive(sqs, queue, parameters, text):
    with aws_error("InvalidParameterValue", text):
        sqs.receive_message(QueueUrl=queue, **parameters)


def test_a_long_poll_wakes_at_once(server, sqs, queue):
    found = []

    def poll():
        found.extend(receive(server.client("sqs"), queue, WaitTimeSeconds=20))
        found.append(time.monotonic())

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.5)
    sent = time.monotonic()
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    thread.join(10)
    assert found[0]["Body"] == "x"
    assert found[1] - sent < 1


def test_many_long_polls_share_what_comes(server, sqs, queue):
    bodies, lock = [], threading.Lock()

    def poll():
        mine = server.client("sqs")
        for message in receive(mine, queue, WaitTimeSeconds=10, MaxNumberOfMessages=1):
            with lock:
                bodies.append(message["Body"])

    threads = [threading.Thread(target=poll) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(8)])
    for thread in threads:
        thread.join(15)
    assert sorted(bodies) == [str(i) for i in range(8)]


def test_a_long_poll_ends_empty(sqs, unique):
    queue = sqs.create_queue(QueueName=unique("queue"), Attributes={"ReceiveMessageWaitTimeSeconds": "1"})["QueueUrl"]
    start = time.monotonic()
    assert receive(sqs, queue) == []
    assert 0.9 < time.monotonic() - start < 5
    start = time.monotonic()
    assert receive(sqs, queue, WaitTimeSeconds=0) == []
    assert time.monotonic() - start < 0.9


def test_a_long_poll_gets_a_delayed_message(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x", DelaySeconds=1)
    assert counts(sqs, queue) == (0, 0, 1)
    start = time.monotonic()
    assert [message["Body"] for message in receive(sqs, queue, WaitTimeSeconds=10)] == ["x"]
    assert 0.5 < time.monotonic() - start < 4


def test_a_queue_can_delay_all_its_messages(sqs, unique):
    queue = sqs.create_queue(QueueName=unique("queue"), Attributes={"DelaySeconds": "900"})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="late")
    sqs.send_message(QueueUrl=queue, MessageBody="now", DelaySeconds=0)
    assert counts(sqs, queue) == (1, 0, 1)


def test_a_client_that_leaves_takes_no_message(server, sqs, queue):
    import socket

    body = ('{"QueueUrl":"%s","WaitTimeSeconds":20}' % queue).encode()
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
        b"X-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(0.5)
    connection.close()
    time.sleep(0.3)
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    time.sleep(0.2)
    assert counts(sqs, queue) == (1, 0, 0)


def test_a_long_poll_learns_that_its_queue_is_gone(server, sqs, queue):
    seen = []

    def poll():
        try:
            receive(server.client("sqs"), queue, WaitTimeSeconds=20)
        except Exception as error:
            seen.append(error.response["Error"]["Code"])

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.5)
    sqs.delete_queue(QueueUrl=queue)
    thread.join(10)
    assert seen == ["AWS.SimpleQueueService.NonExistentQueue"]


# Dead letters


@pytest.fixture
def dead(sqs, unique):
    return sqs.create_queue(QueueName=unique("dead"))["QueueUrl"]


def arn(sqs, queue):
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def test_dead_letters_move_when_they_were_received_too_often(sqs, unique, dead):
    import json

    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": "2"})
    queue = sqs.create_queue(QueueName=unique("queue"), Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sent = sqs.send_message(QueueUrl=queue, MessageBody="poison" * 1000)
    for _ in range(2):
        assert len(receive(sqs, queue, VisibilityTimeout=0)) == 1
    assert counts(sqs, dead) == (0, 0, 0)
    assert receive(sqs, queue) == []
    assert counts(sqs, queue) == (0, 0, 0)
    (message,) = receive(sqs, dead, AttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"] and message["Body"] == "poison" * 1000
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn(sqs, queue)
    listed = sqs.list_dead_letter_source_queues(QueueUrl=dead)
    assert listed["queueUrls"] == [queue]


def test_a_long_poll_on_the_dead_letter_queue_wakes(server, sqs, unique, dead):
    import json

    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": 1})
    queue = sqs.create_queue(QueueName=unique("queue"), Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    receive(sqs, queue, VisibilityTimeout=0)
    got = []
    thread = threading.Thread(target=lambda: got.extend(receive(server.client("sqs"), dead, WaitTimeSeconds=20)))
    thread.start()
    time.sleep(0.5)
    assert receive(sqs, queue) == []
    thread.join(5)
    assert [message["Body"] for message in got] == ["x"]
