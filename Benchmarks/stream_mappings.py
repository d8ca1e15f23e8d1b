"""Kinesis streams with event source mappings: one record to the handler, draining a backlog, and what idle shards cost.

    python Benchmarks/stream_mappings.py [--quick]
"""

import argparse
import base64
import json
import re
import shutil
import time

from bench import Keepalive, Server, http, make_function, row

HANDLER = """
import base64, time

def handler(event, context):
    now = time.time()
    for record in event["Records"]:
        data = record["kinesis"]["data"]
        if len(data) > 8:
            print("LATENCY", (now - float(base64.b64decode(data))) * 1000)
"""


def wait(condition, seconds=300, interval=0.005):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("not done in time")
        time.sleep(interval)


def stream_of(server, name, shards):
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    wait(lambda: kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"][
        "StreamStatus"] == "ACTIVE")
    return kinesis, f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"


def mapping_of(server, function, arn, **parameters):
    client = server.client("lambda")
    made = client.create_event_source_mapping(
        FunctionName=function, EventSourceArn=arn, StartingPosition="TRIM_HORIZON", **parameters)
    wait(lambda: client.get_event_source_mapping(UUID=made["UUID"])["State"] in ("Enabled", "Disabled"))
    return made["UUID"]


def printed(server, function, word):
    """The numbers that the function has printed after a word."""
    logs = server.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
        return [
            float(found[1]) for page in pages for event in page["events"]
            if (found := re.match(rf"{word} (\S+)", event["message"]))]
    except logs.exceptions.ResourceNotFoundException:
        return []


def measure_latency(server, count):
    kinesis, arn = stream_of(server, "latency", 1)
    mapping_of(server, "sink", arn)
    connection = Keepalive(server.port, b"")
    headers = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.PutRecord\r\n"
    for _ in range(count + 20):
        data = base64.b64encode(str(time.time()).encode()).decode()
        payload = json.dumps({"StreamName": "latency", "Data": data, "PartitionKey": "k"}).encode()
        connection.request = http("POST", "/", payload, headers)
        assert connection() == 200
        time.sleep(0.01)
    time.sleep(1)
    times = printed(server, "sink", "LATENCY")[20:]
    times.sort()
    row("Kinesis: record to handler, p50", f"{times[len(times) // 2]:.2f} ms", "<= 2 ms",
        f"p99 {times[int(len(times) * 0.99)]:.2f} ms of {len(times)}")


def measure_drain(server, count, shards, goal):
    kinesis, arn = stream_of(server, "drain", shards)
    uuid = mapping_of(server, "counter", arn, Enabled=False)
    for start in range(0, count, 500):
        kinesis.put_records(StreamName="drain", Records=[
            {"Data": b"x", "PartitionKey": str(number)} for number in range(start, start + 500)])
    # The last record of each shard tells that it is drained.
    for shard in kinesis.list_shards(StreamName="drain")["Shards"]:
        kinesis.put_record(
            StreamName="drain", Data=b"end of the shard", PartitionKey="k",
            ExplicitHashKey=shard["HashKeyRange"]["StartingHashKey"])
    client = server.client("lambda")
    cpu = server.cpu_seconds()
    begin = time.time()
    client.update_event_source_mapping(UUID=uuid, Enabled=True)
    found = []

    def is_done():
        found[:] = printed(server, "counter", "END-OF-SHARD")
        return len(found) >= shards

    wait(is_done, interval=0.1)
    elapsed = max(found) - begin
    cpu = server.cpu_seconds() - cpu
    row(f"Kinesis: drain of {count:,} over {shards} shards", f"{elapsed:.2f} s", goal,
        f"{count / elapsed:,.0f} /s; server {cpu / count * 1e6:.0f} us each (with what asks whether it is done)")


COUNTER = """
import time

def handler(event, context):
    for record in event["Records"]:
        if len(record["kinesis"]["data"]) > 8:
            print("END-OF-SHARD", time.time())
"""


def measure_idle(server, shards, seconds):
    before = server.memory_mib()[0]
    _, arn = stream_of(server, "idle", shards)
    mapping_of(server, "sink", arn)
    time.sleep(2)
    cpu = server.cpu_seconds()
    time.sleep(seconds)
    used = (server.cpu_seconds() - cpu) / seconds
    row(f"idle CPU with {shards:,} shards mapped", f"{used * 100:.2f} %", "near 0", f"of one core, {seconds} s")
    row(f"memory of {shards:,} idle shards mapped", f"{server.memory_mib()[0] - before:.1f} MiB", "-", "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    server = Server()
    server.start()
    try:
        make_function(server.client("lambda"), "sink", HANDLER, "python3.13")
        make_function(server.client("lambda"), "counter", COUNTER, "python3.13")
        measure_latency(server, 100 if quick else 500)
        measure_drain(server, 10_000, 4, "<= 0.5 s")
        measure_idle(server, 1_000, 5 if quick else 20)
    finally:
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)


if __name__ == "__main__":
    main()
