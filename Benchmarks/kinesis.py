"""The API of Kinesis, measured on this machine against the release binary, beside the blueprint's goals.

Rates by wrk on the JSON protocol, durable; latencies by plain sockets. Nothing here fails a build.

    python Benchmarks/kinesis.py [--quick]
"""

import base64
import json
import os
import time

from bench import Keepalive, http, latencies, row, run_parts, wrk

HEADERS = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.{}\r\n"
FIRST = "shardId-000000000000"


def request(operation, **members):
    return http("POST", "/", json.dumps(members).encode(), HEADERS.format(operation))


def script(operation, **members):
    """A wrk script that sends one call again and again."""
    text = json.dumps(members).replace("\\", "\\\\").replace("'", "\\'")
    return ("wrk.method = 'POST'\n"
            "wrk.headers['Content-Type'] = 'application/x-amz-json-1.1'\n"
            f"wrk.headers['X-Amz-Target'] = 'Kinesis_20131202.{operation}'\n"
            f"wrk.body = '{text}'\n")


class Caller(Keepalive):
    """As Keepalive, for any request; answers the decoded body."""

    def __init__(self, port):
        super().__init__(port, b"")

    def __call__(self, operation, **members):
        self.socket.sendall(request(operation, **members))
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(262144)
            if not piece:
                raise SystemExit("connection closed")
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(l.split(b":")[1]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length"))
        while len(body) < length:
            body += self.socket.recv(262144)
        if int(head.split()[1]) != 200:
            raise SystemExit(f"{operation}: {body.decode()}")
        return json.loads(body) if body else {}


def records(count, size):
    data = base64.b64encode(os.urandom(size)).decode()
    return [{"PartitionKey": f"key-{i}", "Data": data} for i in range(count)]


def puts(server, seconds):
    call = Caller(server.port)
    for clients, count, size, goal in ((8, 500, 1024, ">= 60 MB/s"), (1, 500, 1024, "-"), (8, 50, 100_000, "-"),
                                       (8, 500, 100, "-")):
        name = f"put-{clients}-{count}-{size}"
        call("CreateStream", StreamName=name, ShardCount=4)
        cpu = server.cpu_seconds()
        rate, total, errors = wrk(server.port, "/", clients, seconds,
                                  script("PutRecords", StreamName=name, Records=records(count, size)))
        used = server.cpu_seconds() - cpu
        row(f"PutRecords, {count} of {size} B, {clients} clients", f"{rate * count * size / 1e6:,.1f} MB/s", goal,
            f"{rate * count:,.0f} records/s, {total * count * size / 1e6 / max(used, 0.01):,.0f} MB per CPU second {errors}")
        call("DeleteStream", StreamName=name)
    for clients in (1, 8):
        name = f"one-{clients}"
        call("CreateStream", StreamName=name, ShardCount=4)
        cpu = server.cpu_seconds()
        rate, total, errors = wrk(server.port, "/", clients, seconds, script(
            "PutRecord", StreamName=name, PartitionKey="k", Data=records(1, 1024)[0]["Data"]))
        row(f"PutRecord, 1 KB, {clients} clients", f"{rate:,.0f} /s", "-",
            f"server {(server.cpu_seconds() - cpu) / max(total, 1) * 1e6:.0f} us a call {errors}")


def reads(server, seconds):
    call = Caller(server.port)
    call("CreateStream", StreamName="reads", ShardCount=1)
    for _ in range(20):
        call("PutRecords", StreamName="reads", Records=records(500, 1024))
    iterator = call("GetShardIterator", StreamName="reads", ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")
    for limit in (1, 100, 1000):
        cpu = server.cpu_seconds()
        rate, total, errors = wrk(server.port, "/", 8, min(seconds, 3), script(
            "GetRecords", ShardIterator=iterator["ShardIterator"], Limit=limit))
        row(f"GetRecords of {limit}, 1 KB, 8 clients", f"{rate * limit:,.0f} /s", "-",
            f"server {(server.cpu_seconds() - cpu) / max(total, 1) * 1e6:.0f} us a call {errors}")
    latest = call("GetShardIterator", StreamName="reads", ShardId=FIRST, ShardIteratorType="LATEST")
    p50, p99 = latencies(Keepalive(server.port, request("GetRecords", ShardIterator=latest["ShardIterator"])), 1000)
    row("GetRecords at the tip, sequential p50", f"{p50:.3f} ms", "-", f"p99 {p99:.3f} ms")
    p50, p99 = latencies(Keepalive(server.port, request(
        "PutRecord", StreamName="reads", PartitionKey="k", Data="eA==")), 1000)
    row("PutRecord, sequential p50", f"{p50:.3f} ms", "-", f"p99 {p99:.3f} ms")


def idle(server):
    """A thousand shards that nobody uses."""
    call = Caller(server.port)
    before, _ = server.memory_mib()
    for i in range(10):
        call("CreateStream", StreamName=f"idle-{i}", ShardCount=100)
    cpu = server.cpu_seconds()
    time.sleep(10)
    after, _ = server.memory_mib()
    row("1,000 idle shards", f"{after - before:,.1f} MiB", "-", f"{(server.cpu_seconds() - cpu) * 1000:.0f} ms of CPU in 10 s")


if __name__ == "__main__":
    run_parts(__doc__, {
        "puts": lambda server, quick: puts(server, 2 if quick else 6),
        "reads": lambda server, quick: reads(server, 2 if quick else 6),
        "idle": lambda server, quick: idle(server),
    })
