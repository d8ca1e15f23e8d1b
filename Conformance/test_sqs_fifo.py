"""SQS: FIFO queues: order, deduplication, groups that are closed while messages of them are in flight."""

import json
import re
import time

import pytest

from .expect import aws_error
from .harness import wait_for
from .test_sqs_messages import counts, receive


@pytest.fixture
def sqs(client):
    return client("sqs")


@pytest.fixture
def make(sqs, unique):
    def make(**attributes):
        attributes = {"FifoQueue": "true", **attributes}
        return sqs.create_queue(QueueName=unique("queue") + ".fifo", Attributes=attributes)["QueueUrl"]

    return make


@pytest.fixture
def queue(make):
    return make(ContentBasedDeduplication="true")


def send(sqs, queue, body, group="g", **parameters):
    return sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId=group, **parameters)


def bodies(messages):
    return [message["Body"] for message in messages]


def test_order_and_attributes(sqs, queue):
    sent = [send(sqs, queue, str(i)) for i in range(5)]
    numbers = [one["SequenceNumber"] for one in sent]
    assert numbers == sorted(numbers) and {len(number) for number in numbers} == {20}
    messages = receive(sqs, queue, MessageSystemAttributeNames=["All"])
    assert bodies(messages) == ["0", "1", "2", "3", "4"]
    attributes = messages[0]["Attributes"]
    assert attributes["MessageGroupId"] == "g" and attributes["SequenceNumber"] == numbers[0]
    assert re.fullmatch("[0-9a-f]{64}", attributes["MessageDeduplicationId"])


def test_a_group_is_closed_while_messages_are_in_flight(sqs, queue):
    for i in range(4):
        send(sqs, queue, f"a{i}", "a")
        send(sqs, queue, f"b{i}", "b")
    first = receive(sqs, queue, MaxNumberOfMessages=2)
    assert bodies(first) == ["a0", "a1"]
    assert bodies(receive(sqs, queue)) == ["b0", "b1", "b2", "b3"]
    assert receive(sqs, queue) == []
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first[0]["ReceiptHandle"])
    assert receive(sqs, queue) == []
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first[1]["ReceiptHandle"])
    assert bodies(receive(sqs, queue)) == ["a2", "a3"]


def test_returned_messages_come_first(sqs, queue):
    for i in range(3):
        send(sqs, queue, str(i))
    (first,) = receive(sqs, queue, MaxNumberOfMessages=1)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    assert bodies(receive(sqs, queue, VisibilityTimeout=1)) == ["0", "1", "2"]
    assert bodies(receive(sqs, queue, WaitTimeSeconds=5)) == ["0", "1", "2"]


def test_a_deletion_wakes_a_long_poll(server, sqs, queue):
    import threading

    send(sqs, queue, "0")
    (first,) = receive(sqs, queue)
    send(sqs, queue, "1")
    got = []
    thread = threading.Thread(target=lambda: got.extend(receive(server.client("sqs"), queue, WaitTimeSeconds=20)))
    thread.start()
    time.sleep(0.4)
    assert got == []
    start = time.monotonic()
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    thread.join(10)
    assert bodies(got) == ["1"] and time.monotonic() - start < 1


def test_deduplication_by_content(sqs, queue):
    first = send(sqs, queue, "same")
    again = send(sqs, queue, "same", "another-group")
    assert again["MessageId"] == first["MessageId"] and again["SequenceNumber"] == first["SequenceNumber"]
    (message,) = receive(sqs, queue)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert send(sqs, queue, "same")["MessageId"] == first["MessageId"]  # also after the deletion
    assert counts(sqs, queue) == (0, 0, 0)
    assert send(sqs, queue, "same", MessageDeduplicationId="x")["MessageId"] != first["MessageId"]


def test_deduplication_by_id_and_in_groups(sqs, make):
    queue = make(DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    a = send(sqs, queue, "1", "a", MessageDeduplicationId="d")
    assert send(sqs, queue, "2", "b", MessageDeduplicationId="d")["MessageId"] != a["MessageId"]
    assert send(sqs, queue, "3", "a", MessageDeduplicationId="d")["MessageId"] == a["MessageId"]
    assert counts(sqs, queue) == (2, 0, 0)


def test_duplicates_in_one_batch(sqs, queue):
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=[
        {"Id": str(i), "MessageBody": "same", "MessageGroupId": "g"} for i in range(3)])
    assert len({entry["MessageId"] for entry in answer["Successful"]}) == 1
    assert counts(sqs, queue) == (1, 0, 0)


def test_what_a_fifo_queue_asks_for(sqs, make):
    queue = make()
    with aws_error("MissingParameter", "The request must contain the parameter MessageGroupId."):
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    with aws_error("InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or "
                                            "MessageDeduplicationId provided explicitly"):
        send(sqs, queue, "x")
    with aws_error("InvalidParameterValue", "Value 2 for parameter DelaySeconds is invalid. Reason: The request "
                                            "include parameter that is not valid for this queue type."):
        send(sqs, queue, "x", MessageDeduplicationId="1", DelaySeconds=2)
    for text in ("group 123", "a" * 129):
        with aws_error("InvalidParameterValue",
                       f"Value {text} for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId "
                       "can only include alphanumeric and punctuation characters. 1 to 128 in length."):
            send(sqs, queue, "x", MessageDeduplicationId=text)


def test_expired_handles(sqs, queue):
    send(sqs, queue, "x")
    (message,) = receive(sqs, queue, VisibilityTimeout=0)
    handle = message["ReceiptHandle"]
    with aws_error("InvalidParameterValue",
                   f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
    assert counts(sqs, queue) == (1, 0, 0)


def test_attempts_can_be_repeated(sqs, queue):
    for i in range(3):
        send(sqs, queue, str(i))
    first = receive(sqs, queue, ReceiveRequestAttemptId="try-1")
    again = receive(sqs, queue, ReceiveRequestAttemptId="try-1")
    assert [m["ReceiptHandle"] for m in again] == [m["ReceiptHandle"] for m in first] and len(first) == 3
    assert receive(sqs, queue, ReceiveRequestAttemptId="try-2") == []
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first[0]["ReceiptHandle"])
    assert receive(sqs, queue, ReceiveRequestAttemptId="try-1") == []


def test_poison_is_moved_and_the_group_goes_on(sqs, make, queue):
    dead = make()
    target = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 2})})
    for i in range(3):
        send(sqs, queue, str(i))
    for _ in range(2):
        assert bodies(receive(sqs, queue, MaxNumberOfMessages=1, VisibilityTimeout=0)) == ["0"]
    assert bodies(receive(sqs, queue)) == ["1", "2"]
    assert bodies(receive(sqs, dead)) == ["0"]


def test_a_purge_opens_groups(sqs, queue):
    send(sqs, queue, "0")
    receive(sqs, queue)
    sqs.purge_queue(QueueUrl=queue)
    assert counts(sqs, queue) == (0, 0, 0)
    send(sqs, queue, "1")
    assert bodies(receive(sqs, queue)) == ["1"]


def test_delays_of_the_queue(sqs, make):
    queue = make(ContentBasedDeduplication="true", DelaySeconds="1")
    send(sqs, queue, "0")
    assert counts(sqs, queue) == (0, 0, 1) and receive(sqs, queue) == []
    assert bodies(receive(sqs, queue, WaitTimeSeconds=5)) == ["0"]


def test_deduplication_survives_a_kill(make_server, unique):
    server = make_server()
    sqs = server.client("sqs")
    queue = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    first = send(sqs, queue, "1", MessageDeduplicationId="d")
    server.restart("kill9")
    assert send(sqs, queue, "2", MessageDeduplicationId="d")["MessageId"] == first["MessageId"]
    assert bodies(receive(sqs, queue)) == ["1"]
