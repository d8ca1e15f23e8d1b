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


# As KEEP, but fails in every way there is: an error, a time-out, a part that is not done, an answer about records that it was
# never given. What it keeps is what it has done.
FAIL = """
    import base64, boto3, json, os, random, time

    s3 = boto3.client("s3")

    def handler(event, context):
        way = random.random()
        if way < 0.1:
            raise ValueError("not now")
        if way < 0.12:
            time.sleep(30)
        if way < 0.2:
            return {"batchItemFailures": [{"itemIdentifier": "no such record"}]}
        records = event["Records"]
        done = random.randrange(len(records)) if way < 0.4 else len(records)
        seen = [base64.b64decode(record["kinesis"]["data"]).decode() for record in records[:done]]
        body = json.dumps({"time": time.time(), "seen": seen})
        s3.put_object(Bucket=os.environ["BUCKET"], Key=context.aws_request_id, Body=body)
        rest = [{"itemIdentifier": records[done]["kinesis"]["sequenceNumber"]}] if done < len(records) else []
        return {"batchItemFailures": rest}
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

    def __init__(self, server, stream, records):
        self.records = records
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
        for start in range(0, self.records // WRITERS, 25):
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


def reshard(kinesis, stream, random_):
    """Splits a shard or merges two neighbours, and does not wait for what comes of it."""
    shards = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    if random_.random() < 0.5:
        place = random_.randrange(len(shards) - 1)
        kinesis.merge_shards(
            StreamName=stream, ShardToMerge=shards[place]["ShardId"], AdjacentShardToMerge=shards[place + 1]["ShardId"])
        return
    shard = random_.choice(shards)
    low, high = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
    kinesis.split_shard(
        StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((low + high) // 2))


@pytest.mark.slow
@pytest.mark.parametrize("code, records, settings, reshards", [
    (KEEP, RECORDS, {}, False),
    (FAIL, RECORDS // 2, {
        "BisectBatchOnFunctionError": True, "FunctionResponseTypes": ["ReportBatchItemFailures"]}, True),
], ids=["sound", "failing-and-resharded"])
def test_every_record_in_order(make_server, make_function, unique, code, records, settings, reshards):
    server = make_server("--time-scale", "60")
    bucket = unique("seen")
    server.client("s3").create_bucket(Bucket=bucket)
    function = make_function(
        textwrap.dedent(code), server=server, MemorySize=1769, Timeout=2, Environment={"Variables": {"BUCKET": bucket}})
    stream = Stream(server, unique("stream"), SHARDS)
    mapping = server.client("lambda").create_event_source_mapping(
        FunctionName=function.name, EventSourceArn=stream.arn, StartingPosition="TRIM_HORIZON",
        ParallelizationFactor=2, BatchSize=50, **settings)
    wait_for(lambda: get(server.client("lambda"), mapping)["State"] == "Enabled")
    random_ = random.Random(SEED)
    writers = Writers(server, stream.name, records)
    for kill in range(KILLS):
        goal = (kill + 1) * records // (KILLS + 1) - random_.randrange(200)
        wait_for(lambda: writers.acknowledged >= goal or not writers.is_running, seconds=60)
        for _ in range(2 if reshards else 0):
            reshard(server.client("kinesis"), stream.name, random_)
        server.restart("kill9")
    wait_for(lambda: not writers.is_running, seconds=60)
    assert not writers.problems
    expected = {f"{key}:{turn}" for key in range(KEYS) for turn in range(records // KEYS)}

    kept = Kept(server, bucket)
    wait_for(lambda: kept.seen() >= expected, seconds=120, interval_s=0.2)
    assert kept.seen() == expected
    first = kept.first_seen()
    for key in range(KEYS):
        moments = [first[f"{key}:{turn}"] for turn in range(records // KEYS)]
        assert moments == sorted(moments), f"key {key} out of order"
    if reshards:
        parents = [shard for shard in server.client("kinesis").list_shards(StreamName=stream.name)["Shards"]
                   if "ParentShardId" in shard]
        assert len(parents) >= KILLS
