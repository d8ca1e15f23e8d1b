"""Order and loss under failure: a FIFO queue through a function that fails, times out and is killed with its server."""

import json
import os
import random
import threading
import time

import pytest

from .harness import wait_for

MESSAGES = int(os.environ.get("MARTLET_FIFO_MESSAGES", "2000"))
GROUPS = 50
SEED = int(os.environ.get("MARTLET_SEED", "7"))
RECEIVES = 4
VISIBILITY_S = 2

# Handles a batch in order; reports what it did into a second queue with the message's number, because only what has
# been acknowledged counts. Poison always fails; others fail or run into the timeout at random.
HANDLER = """
import json, os, random, time, boto3

sqs = boto3.client("sqs")
DONE = os.environ["DONE"]

def handler(event, context):
    chance = random.random()
    if chance < 0.03:
        raise RuntimeError("at random")
    if chance < 0.035:
        time.sleep(5)
    failed = set()
    failures = []
    done = []
    for record in event["Records"]:
        group = record["attributes"]["MessageGroupId"]
        body = json.loads(record["body"])
        # With a message of a group, what follows it in the group fails too: order.
        if body["poison"]:
            failed.add(group)
        if group in failed:
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            done.append(record["body"])
    if done:
        sqs.send_message_batch(
            QueueUrl=DONE,
            Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(done)],
        )
    return {"batchItemFailures": failures}
"""


def arn_of(sqs, url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive_all(sqs, url, attributes=()):
    found = []
    while True:
        got = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600, MessageSystemAttributeNames=list(attributes)
        ).get("Messages", [])
        if not got:
            return found
        found += got


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_lost_and_groups_in_order(make_server, make_function):
    rng = random.Random(SEED)
    server = make_server()
    sqs = server.client("sqs")
    done_url = sqs.create_queue(QueueName="done")["QueueUrl"]
    dead_url = sqs.create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    url = sqs.create_queue(
        QueueName="work.fifo",
        Attributes={
            "FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": str(VISIBILITY_S),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn_of(sqs, dead_url), "maxReceiveCount": RECEIVES}),
        },
    )["QueueUrl"]
    function = make_function(
        HANDLER, server=server, Timeout=VISIBILITY_S, MemorySize=1769, Environment={"Variables": {"DONE": done_url}})

    # One message in a hundred is poison; whatever is sent is acknowledged before the kills begin to matter.
    sent = {}
    for start in range(0, MESSAGES, 10):
        entries = []
        for number in range(start, min(start + 10, MESSAGES)):
            group = f"g{rng.randrange(GROUPS)}"
            body = {"n": number, "group": group, "poison": rng.random() < 0.01}
            sent[number] = body
            entries.append({"Id": str(number), "MessageBody": json.dumps(body), "MessageGroupId": group})
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        assert len(answer["Successful"]) == len(entries)
    server.client("lambda").create_event_source_mapping(
        FunctionName=function.name, EventSourceArn=arn_of(sqs, url), FunctionResponseTypes=["ReportBatchItemFailures"])

    kills = 0
    deadline = time.monotonic() + 300
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while True:
        pause = time.monotonic() + rng.uniform(2, 4)
        while time.monotonic() < pause:
            got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if all(int(got[name]) == 0 for name in names):
                break
            time.sleep(0.1)
        else:
            assert time.monotonic() < deadline, f"still {got}"
            server.restart("kill9")
            kills += 1
            continue
        break
    # A handler that was cut off may have acknowledged what was handled again later: at least once, in order.
    handled = receive_all(sqs, done_url)
    dead = receive_all(sqs, dead_url, ["All"])
    numbers = [json.loads(m["Body"])["n"] for m in handled]
    dead_numbers = [json.loads(m["Body"])["n"] for m in dead]
    assert set(numbers) | set(dead_numbers) == set(sent), "lost"
    assert len(dead_numbers) == len(set(dead_numbers))
    poison = {n for n, body in sent.items() if body["poison"]}
    assert poison <= set(dead_numbers), "poison that did not end in the dead-letter queue"
    assert not poison & set(numbers)
    for message in dead:
        # Received from the work queue as often as its redrive policy says, and once by this test.
        assert int(message["Attributes"]["ApproximateReceiveCount"]) == RECEIVES + 1
    print(f"{len(sent)} messages, {kills} kills, {len(poison)} poison, {len(dead)} dead, {len(numbers)} handled")
