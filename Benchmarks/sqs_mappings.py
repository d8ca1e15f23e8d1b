"""SQS queues with event source mappings: one message to the handler, draining a backlog, and what idle mappings cost.

    python Benchmarks/sqs_mappings.py [--quick]
"""

import argparse
import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from bench import Keepalive, Server, http, make_function, row

HANDLER = """
import time

def handler(event, context):
    now = time.time()
    for record in event["Records"]:
        if record["body"].startswith("t"):
            print("LATENCY", (now - float(record["body"][1:])) * 1000)
"""


def queue_of(server, name):
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return sqs, url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def mapping_of(server, function, arn, **parameters):
    client = server.client("lambda")
    made = client.create_event_source_mapping(FunctionName=function, EventSourceArn=arn, **parameters)
    wait(lambda: client.get_event_source_mapping(UUID=made["UUID"])["State"] in ("Enabled", "Disabled"))
    return made["UUID"]


def wait(condition, seconds=300, interval=0.005):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("not done in time")
        time.sleep(interval)


NAMES = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]


def is_empty(sqs, url):
    got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=NAMES)["Attributes"]
    return all(int(got[name]) == 0 for name in NAMES)


def send_request(url, body):
    payload = json.dumps({"QueueUrl": url, "MessageBody": body}).encode()
    headers = "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n"
    return http("POST", "/", payload, headers)


def measure_latency(server, count):
    sqs, url, arn = queue_of(server, "latency")
    mapping_of(server, "sink", arn)
    connection = Keepalive(server.port, b"")
    for _ in range(count + 20):
        connection.request = send_request(url, f"t{time.time()}")
        assert connection() == 200
        time.sleep(0.01)
    wait(lambda: is_empty(sqs, url))
    time.sleep(0.5)
    pages = server.client("logs").get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/sink")
    times = [
        float(found[1]) for page in pages for event in page["events"]
        if (found := re.match(r"LATENCY (\S+)", event["message"]))
    ][20:]
    times.sort()
    row("SQS: send to handler, p50", f"{times[len(times) // 2]:.2f} ms", "<= 2 ms",
        f"p99 {times[int(len(times) * 0.99)]:.2f} ms of {len(times)}")


def fill(sqs, url, count):
    def batch(start):
        sqs.send_message_batch(
            QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(start, min(start + 10, count))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(batch, range(0, count, 10)))


def measure_drain(server, count, goal):
    sqs, url, arn = queue_of(server, f"drain-{count}")
    uuid = mapping_of(server, "sink", arn, Enabled=False, BatchSize=10)
    fill(sqs, url, count)
    client = server.client("lambda")
    cpu = server.cpu_seconds()
    begin = time.perf_counter()
    client.update_event_source_mapping(UUID=uuid, Enabled=True)
    wait(lambda: is_empty(sqs, url))
    elapsed = time.perf_counter() - begin
    cpu = server.cpu_seconds() - cpu
    row(f"SQS: drain of {count:,} in tens", f"{elapsed:.2f} s", goal,
        f"{count / elapsed:,.0f} /s; server {cpu / count * 1e6:.0f} us each")


def measure_idle(server, count, seconds):
    sqs, client = server.client("sqs"), server.client("lambda")

    def make(index):
        _, _, arn = queue_of(server, f"idle-{index}")
        return client.create_event_source_mapping(FunctionName="sink", EventSourceArn=arn)["UUID"]

    with ThreadPoolExecutor(4) as pool:
        uuids = list(pool.map(make, range(count)))
    wait(lambda: client.get_event_source_mapping(UUID=uuids[-1])["State"] == "Enabled")
    time.sleep(2)
    cpu = server.cpu_seconds()
    time.sleep(seconds)
    used = (server.cpu_seconds() - cpu) / seconds
    row(f"idle CPU with {count:,} queues and mappings", f"{used * 100:.2f} %", "near 0", f"of one core, {seconds} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    server = Server()
    server.start()
    try:
        make_function(server.client("lambda"), "sink", HANDLER, "python3.13")
        measure_latency(server, 100 if quick else 500)
        measure_drain(server, 2_000, "<= 0.5 s")
        if not quick:
            measure_drain(server, 100_000, "-")
        measure_idle(server, 200 if quick else 1_000, 5 if quick else 20)
    finally:
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)


if __name__ == "__main__":
    main()
