"""What a stream has acknowledged reaches the function in order through kill -9 of the server (MARTLET_SEED repeats the kills, as
far as timing allows)."""

import json
import os
import random
import textwrap
import threading
import time

import botocore.exceptions
import pytest

from .harness import wait_for
from .stream_helpers import Stream, get

SEED = os.environ.get("MARTLET_SEED", "martlet")
SHARDS, KEYS, RECORDS, WRITERS, KILLS = 8, 500, 4_000, 4, 3
LOST = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ResponseStreamingError,
)


# Keeps what it has seen where nothing that was acknowledged is lost: an object for each batch.
KEEP = """
    import base64, boto3, json, os, time

    s3 = boto3.client("s3")

    def handler(event, context):
        seen = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
        body = json.dumps({"time": time.time(), "seen": seen})
        s3.put_object(Bucket=os.environ["BUCKET"], Key=context.aws_request_id, Body=body)
"""


class Kept:
    """What the function has kept."""

    def __init__(self, server, bucket):
        self.s3, self.bucket, self.batches = server.client("s3"), bucket, {}

    def seen(self):
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for found in page.get("Contents", []):
                if found["Key"] not in self.batches:
                    body = self.s3.get_object(Bucket=self.bucket, Key=found["Key"])["Body"].read()
                    self.batches[found["Key"]] = json.loads(body)
        return {one for batch in self.batches.values() for one in batch["seen"]}

    def first_seen(self):
        """By record, when it was first seen, and where in its batch."""
        first = {}
        for batch in self.batches.values():
            for index, one in enumerate(batch["seen"]):
                first[one] = min(first.get(one, (float("inf"), 0)), (batch["time"], index))
        return first


class Writers:
    """Threads that put records, each for keys of its own, until everything was acknowledged."""

    def __init__(self, server, stream):
        self.clients = [server.client("kinesis", user_agent_extra=f"writer/{i}") for i in range(WRITERS)]
        self.stream = stream
        self.acknowledged = 0
        self.problems = []
        self.threads = [
            threading.Thread(target=self._run, args=(index, one), daemon=True)
            for index, one in enumerate(self.clients)]
        for thread in self.threads:
            thread.start()

    @property
    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def _run(self, index, client):
        turns = {}
        keys = [key for key in range(KEYS) if key % WRITERS == index]
        for start in range(0, RECORDS // WRITERS, 25):
            records = []
            for number in range(start, start + 25):
                key = keys[number % len(keys)]
                turns[key] = turns.get(key, -1) + 1
                records.append({"Data": f"{key}:{turns[key]}".encode(), "PartitionKey": f"k{key}"})
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    answer = client.put_records(StreamName=self.stream, Records=records)
                    assert answer["FailedRecordCount"] == 0
                    self.acknowledged += len(records)
                    break
                except LOST:
                    time.sleep(0.01)
                except Exception as error:
                    self.problems.append(repr(error))
                    return


@pytest.mark.slow
def test_every_record_in_order(make_server, make_function, unique):
    server = make_server("--time-scale", "60")
    bucket = unique("seen")
    server.client("s3").create_bucket(Bucket=bucket)
    function = make_function(
        textwrap.dedent(KEEP), server=server, MemorySize=1769, Timeout=10, Environment={"Variables": {"BUCKET": bucket}})
    stream = Stream(server, unique("stream"), SHARDS)
    mapping = server.client("lambda").create_event_source_mapping(
        FunctionName=function.name, EventSourceArn=stream.arn, StartingPosition="TRIM_HORIZON",
        ParallelizationFactor=2, BatchSize=50)
    wait_for(lambda: get(server.client("lambda"), mapping)["State"] == "Enabled")
    random_ = random.Random(SEED)
    writers = Writers(server, stream.name)
    for kill in range(KILLS):
        goal = (kill + 1) * RECORDS // (KILLS + 1) - random_.randrange(200)
        wait_for(lambda: writers.acknowledged >= goal or not writers.is_running, seconds=60)
        server.restart("kill9")
    wait_for(lambda: not writers.is_running, seconds=60)
    assert not writers.problems
    expected = {f"{key}:{turn}" for key in range(KEYS) for turn in range(RECORDS // KEYS)}

    kept = Kept(server, bucket)
    wait_for(lambda: kept.seen() >= expected, seconds=60, interval_s=0.2)
    assert kept.seen() == expected
    first = kept.first_seen()
    for key in range(KEYS):
        moments = [first[f"{key}:{turn}"] for turn in range(RECORDS // KEYS)]
        assert moments == sorted(moments), f"key {key} out of order"
