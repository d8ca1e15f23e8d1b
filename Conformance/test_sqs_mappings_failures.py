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
TIMEOUT_S = 1
# Longer than the timeout by what a cold start on a busy machine takes: a handler that is still running when its messages
# are visible again may report them out of order, on AWS too.
VISIBILITY_S = 4

# Handles a batch in order; reports what it did into a second queue with the message's number, because only what has
# been acknowledged counts. Poison always fails; others fail or run into the timeout at random.
HANDLER = """
import json, os, random, time, uuid, boto3

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
    reports = []
    for record in event["Records"]:
        group = record["attributes"]["MessageGroupId"]
        body = json.loads(record["body"])
        # With a message of a group, what follows it in the group fails too: order.
        if body["poison"]:
            failed.add(group)
            attempt = int(record["attributes"]["ApproximateReceiveCount"])
            reports.append((group, {"n": body["n"], "attempt": attempt}))
        if group in failed:
            failures.append({"itemIdentifier": record["messageId"]})
        else:
            reports.append((group, {"n": body["n"]}))
    if reports:
        entries = [
            {"Id": str(i), "MessageBody": json.dumps(body), "MessageGroupId": group,
             "MessageDeduplicationId": str(uuid.uuid4())}
            for i, (group, body) in enumerate(reports)
        ]
        assert not sqs.send_message_batch(QueueUrl=DONE, Entries=entries).get("Failed")
    return {"batchItemFailures": failures}
"""


def arn_of(sqs, url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive_all(sqs, url):
    found = []
    while True:
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        if not got:
            return found
        found += got
        # Of a FIFO queue, the rest of a group comes only when these are gone.
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got)]
        assert not sqs.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_lost_and_groups_in_order(make_server, make_function):
    rng = random.Random(SEED)
    server = make_server()
    sqs = server.client("sqs")
    done_url = sqs.create_queue(QueueName="done.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    dead_url = sqs.create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    url = sqs.create_queue(
        QueueName="work.fifo",
        Attributes={
            "FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": str(VISIBILITY_S),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn_of(sqs, dead_url), "maxReceiveCount": RECEIVES}),
        },
    )["QueueUrl"]
    function = make_function(
        HANDLER, server=server, Timeout=TIMEOUT_S, MemorySize=1769, Environment={"Variables": {"DONE": done_url}})

    # One message in two hundred is poison; whatever is sent is acknowledged before the kills begin to matter.
    sent = {}
    for start in range(0, MESSAGES, 10):
        entries = []
        for number in range(start, min(start + 10, MESSAGES)):
            group = f"g{rng.randrange(GROUPS)}"
            body = {"n": number, "group": group, "poison": rng.random() < 0.005}
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
    # A handler that was cut off may have reported what was handled again later: at least once.
    reports = [json.loads(m["Body"]) for m in receive_all(sqs, done_url)]
    numbers = [report["n"] for report in reports if "attempt" not in report]
    dead_numbers = [json.loads(m["Body"])["n"] for m in receive_all(sqs, dead_url)]
    lost = set(sent) - set(numbers) - set(dead_numbers)
    assert not lost, f"{len(lost)} of {len(sent)} lost after {kills} kills: {sorted(lost)[:20]}"
    assert len(dead_numbers) == len(set(dead_numbers))

    # In order: a message is first handled after all that were sent before it in its group.
    latest = {}
    for number in dict.fromkeys(numbers):
        group = sent[number]["group"]
        assert latest.get(group, -1) < number, (
            f"{number} after {latest[group]} in {group}; dead as well: {number in dead_numbers}")
        latest[group] = number

    # Poison is in the dead-letter queue, after as many attempts as the redrive policy says, less what kills cut off.
    poison = {n for n, body in sent.items() if body["poison"]}
    assert poison <= set(dead_numbers), "poison that did not end in the dead-letter queue"
    assert not poison & set(numbers)
    attempts = {n: [r["attempt"] for r in reports if r["n"] == n and "attempt" in r] for n in poison}
    assert all(set(seen) <= set(range(1, RECEIVES + 1)) for seen in attempts.values())
    assert any(max(seen, default=0) == RECEIVES for seen in attempts.values())
    print(
        f"{len(sent)} messages, {kills} kills, {len(poison)} poison, {len(dead_numbers)} dead, {len(numbers)} handled")
