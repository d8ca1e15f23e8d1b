"""What Kinesis has acknowledged survives kill -9 at random moments, in the order of its sequence numbers."""

import collections
import os
import random
import threading
import time

import botocore.exceptions
import pytest

SEED = os.environ.get("MARTLET_SEED", "martlet")
PUTS, RECORDS, CLIENTS = 120, 25, 4
KILL_AFTER = (10, 35)  # acknowledged puts from one kill to the next
LOST = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ResponseStreamingError,
)


@pytest.mark.slow
def test_no_acknowledged_record_is_lost(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=2)
    left = collections.deque(range(PUTS))
    acknowledged, unsure, problems, lock = {}, collections.Counter(), [], threading.Lock()

    def run(client):
        while True:
            with lock:
                if not left:
                    return
                number = left.popleft()
            records = [{"PartitionKey": f"{number}-{i}", "Data": f"{number}-{i}".encode()} for i in range(RECORDS)]
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    answer = client.put_records(StreamName="s", Records=records)
                    with lock:
                        acknowledged[number] = answer["Records"]
                    break
                except LOST:
                    with lock:
                        unsure[number] += 1
                    time.sleep(0.01)
                except Exception as error:
                    problems.append((number, repr(error)))
                    return

    threads = [threading.Thread(target=run, args=(server.client("kinesis", user_agent_extra=f"w/{i}"),), daemon=True)
               for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    rng, kills = random.Random(f"{SEED}/kinesis"), 0
    while any(thread.is_alive() for thread in threads):
        goal = len(acknowledged) + rng.randint(*KILL_AFTER)
        while any(thread.is_alive() for thread in threads) and len(acknowledged) < goal:
            time.sleep(0.002)
        if kills == 1:
            # Also the change of the shards is acknowledged.
            kinesis.update_shard_count(StreamName="s", TargetShardCount=3, ScalingType="UNIFORM_SCALING")
        server.restart("kill9")
        kills += 1
    assert not problems and len(acknowledged) == PUTS and kills >= 3

    found = {}
    for shard in kinesis.list_shards(StreamName="s")["Shards"]:
        last = 0
        iterator = kinesis.get_shard_iterator(
            StreamName="s", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator:
            answer = kinesis.get_records(ShardIterator=iterator)
            for record in answer["Records"]:
                number = int(record["SequenceNumber"])
                assert number > last and record["SequenceNumber"] not in found
                last, found[record["SequenceNumber"]] = number, (shard["ShardId"], record["Data"])
            iterator = answer.get("NextShardIterator") if answer["Records"] or answer["MillisBehindLatest"] else None
    for number, records in acknowledged.items():
        for i, record in enumerate(records):
            assert found[record["SequenceNumber"]] == (record["ShardId"], f"{number}-{i}".encode())
    # What was not acknowledged may be there as well, whole, once for each try at most.
    times = collections.Counter(data for _, data in found.values())
    for number in range(PUTS):
        counts = {times[f"{number}-{i}".encode()] for i in range(RECORDS)}
        assert len(counts) == 1, "a put is kept whole or not at all"
        assert counts.pop() <= 1 + unsure[number]
