"""Under kill -9 every few moments, every accepted event ends in its success destination or, when it was given up, in both its
failure destination and its dead-letter queue: none is lost, none ends both ways. MARTLET_SEED repeats a run, as far as the
machine's timing allows."""

import json
import os
import random
import threading
import time

import botocore.exceptions
import pytest

from .harness import unique, wait_for

SEED = os.environ.get("MARTLET_SEED", "martlet")
EVENTS = 1000
CLIENTS = 4
KILL_AFTER_S = (0.3, 3.0)
LOST = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ResponseStreamingError,
)

# Fails as often as an event tells it to, and at random.
WORKER = """
import os, random
def handler(event, context):
    if random.random() < event['risk']:
        if random.random() < 0.1: os._exit(7)
        raise RuntimeError('unlucky')
    return event['n']
"""
# One object for each record, with nothing but the standard library.
RECEIVER = """
import http.client, json, os
def handler(record, context):
    key = 'success/' + record['requestContext']['requestId']
    assert record['requestContext']['condition'] == 'Success'
    api = http.client.HTTPConnection('127.0.0.1', 4566, timeout=20)
    api.request('PUT', f"/{os.environ['BUCKET']}/{key}", body=json.dumps(record).encode())
    answer = api.getresponse()
    if answer.status != 200: raise RuntimeError(answer.status)
"""


class Senders:
    """Threads that send until every event was accepted; {request id: n} of those that were."""

    def __init__(self, server, function):
        self.server = server
        self.function = function
        self.accepted = {}
        self.problems = []
        self.numbers = list(range(EVENTS))
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    @property
    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def _run(self):
        client = self.server.client("lambda")
        while True:
            with self.lock:
                if not self.numbers:
                    return
                n = self.numbers.pop()
            risk = random.Random(f"{SEED}/{n}").choice([0, 0.2, 0.6, 1])
            payload = json.dumps({"n": n, "risk": risk}).encode()
            end = time.monotonic() + 60
            while True:
                try:
                    answer = client.invoke(FunctionName=self.function, InvocationType="Event", Payload=payload)
                    self.accepted[answer["ResponseMetadata"]["RequestId"]] = n
                    break
                except LOST:
                    time.sleep(0.02)
                except botocore.exceptions.ClientError as error:
                    self.problems.append(error)
                    return
                if time.monotonic() > end:
                    self.problems.append(f"event {n}: no acknowledgement within 60 s")
                    return
            time.sleep(0.01)


def keys(s3, bucket, prefix):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("dead_letters", [False, True])
def test_every_event_ends_once(make_server, make_function, dead_letters):
    server = make_server("--time-scale", "600")
    bucket = unique("records")
    s3, sqs = server.client("s3"), server.client("sqs")
    s3.create_bucket(Bucket=bucket)
    more = {}
    if dead_letters:
        url = sqs.create_queue(QueueName=unique("letters"))["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        more = {"DeadLetterConfig": {"TargetArn": queue}}
    receiver = make_function(
        RECEIVER, server=server, MemorySize=1769, Timeout=30, Environment={"Variables": {"BUCKET": bucket}}
    )
    worker = make_function(WORKER, server=server, MemorySize=1769, Timeout=30, **more)
    server.client("lambda").put_function_event_invoke_config(
        FunctionName=worker.name,
        DestinationConfig={
            "OnSuccess": {"Destination": receiver.arn}, "OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}
        },
    )
    rng = random.Random(f"{SEED}/kills")
    senders = Senders(server, worker.name)
    kills = 0
    while senders.is_running and kills < 100:
        time.sleep(rng.uniform(*KILL_AFTER_S))
        server.restart("kill9")
        kills += 1
    for _ in range(3):  # while it works off what is left
        time.sleep(rng.uniform(*KILL_AFTER_S))
        server.restart("kill9")
        kills += 1
    assert not senders.is_running and not senders.problems, senders.problems[:5]
    assert len(senders.accepted) == EVENTS
    assert kills >= 5, "the work was done before the server was killed often enough"

    def ends():
        succeeded = {key.split("/")[-1] for key in keys(s3, bucket, "success/")}
        failed = {key[-36:] for key in keys(s3, bucket, "aws/lambda/async/")}
        return succeeded, failed

    def are_all_there():
        succeeded, failed = ends()
        return senders.accepted.keys() <= succeeded | failed

    wait_for(are_all_there, seconds=120, interval_s=0.5)
    succeeded, failed = ends()
    assert not succeeded & failed, "an event ended both ways"
    assert len(failed & senders.accepted.keys()) > EVENTS // 8, "too few failed for this to say anything"
    for key in keys(s3, bucket, "aws/lambda/async/")[:50]:
        record = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == 3
        if key[-36:] in senders.accepted:
            assert record["requestPayload"]["n"] == senders.accepted[key[-36:]]
    print(f"{kills} kills, {len(succeeded)} succeeded, {len(failed)} failed")
    if dead_letters:
        letters = set()

        def have_all_letters():
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
            for item in found.get("Messages", []):
                letters.add(item["MessageAttributes"]["RequestID"]["StringValue"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=item["ReceiptHandle"])
            return letters >= failed

        wait_for(have_all_letters, seconds=60, interval_s=0)
        assert letters == failed
    assert server.stop() == 0
