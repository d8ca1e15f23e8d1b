"""What a stream has acknowledged reaches the function in order through kill -9 of the server (MARTLET_SEED repeats the kills, as
far as timing allows)."""

import os
import random
import threading
import time

import botocore.exceptions
import pytest

from .harness import wait_for
from .stream_helpers import PRINT, Stream, data, get

SEED = os.environ.get("MARTLET_SEED", "martlet")
SHARDS, KEYS, RECORDS, WRITERS, KILLS = 8, 500, 3_000, 4, 3
LOST = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ResponseStreamingError,
)


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
        for start in range(0, RECORDS // WRITERS, 20):
            records = []
            for number in range(start, start + 20):
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
    function = make_function(PRINT, server=server, MemorySize=1769, Timeout=10)
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

    def is_all_there():
        # Logs that were not written down when the server died are lost; a last record of each key must be there, since
        # nothing may be skipped before it.
        return {one for one in data(function)} >= {f"{key}:{RECORDS // KEYS - 1}" for key in range(KEYS)}

    wait_for(is_all_there, seconds=60)
    found = data(function)
    assert set(found) <= expected
