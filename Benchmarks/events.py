"""EventBridge and Scheduler, measured on this machine against the release binary.

Events matched against 300 rules (a third by source and detail-type, a third by what is in the detail, a third of other sources),
durable; schedules at rest and how exactly they fire. Nothing here fails a build.

    python Benchmarks/events.py [--quick] [--only "rules schedules"]
"""

import datetime
import json
import multiprocessing
import os
import time

from bench import Keepalive, http, latencies, row, run_parts, wrk

RULES = 300
ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/bench"
HEADERS = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AWSEvents.PutEvents\r\n"
# Signed with nothing: --auth none reads it for the service alone. Without a date it would be no signature at all.
SCOPE = ("Authorization: AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/scheduler/aws4_request, "
         f"SignedHeaders=host, Signature={'0' * 64}\r\nX-Amz-Date: 20261123T000000Z\r\nContent-Type: application/json\r\n")
CONNECTIONS = 8


def event(number):
    return {"Source": "shop", "DetailType": f"kind-{number}", "Detail": json.dumps(
        {"order": f"o-{number}", "price": number, "customer": {"name": "someone", "tags": ["a", "b"]}, "text": "x" * 300})}


def make_rules(server, target):
    events = server.client("events")
    for number in range(RULES):
        pattern = [
            {"source": ["shop"], "detail-type": [f"kind-{number}"]},
            {"source": ["shop"], "detail": {"price": [{"numeric": [">", 100_000 + number]}], "order": [{"prefix": "o-"}]}},
            {"source": [f"other-{number}"], "detail": {"customer": {"tags": ["a"]}}},
        ][number % 3]
        events.put_rule(Name=f"r{number:03}", EventPattern=json.dumps(pattern))
        events.put_targets(Rule=f"r{number:03}", Targets=[{"Id": "1", "Arn": target}])


def rules(server, quick):
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    make_rules(server, arn)
    seconds = 2 if quick else 6
    # Rules with a number divisible by three want one kind each; other kinds are wanted by nobody.
    for what, numbers in (("that no rule wants", [1] * 10), ("that one rule of 300 wants", range(0, 30, 3))):
        body = json.dumps({"Entries": [event(number) for number in numbers]})
        script = ("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/x-amz-json-1.1'\n"
                  "wrk.headers['X-Amz-Target'] = 'AWSEvents.PutEvents'\n"
                  f"wrk.body = [==[{body}]==]\n")
        for clients in (1, 8):
            cpu = server.cpu_seconds()
            rate, total, errors = wrk(server.port, "/", clients, seconds, script)
            each = (server.cpu_seconds() - cpu) / max(total * 10, 1) * 1e6
            row(f"events {what}, tens, {clients} clients", f"{rate * 10:,.0f} /s", "-", f"server {each:.0f} us an event {errors}")
    one = Keepalive(server.port, http("POST", "/", json.dumps({"Entries": [event(0)]}).encode(), HEADERS))
    p50, p99 = latencies(one, 200 if quick else 1000)
    row("PutEvents of one event to one queue, p50", f"{p50:.3f} ms", "-", f"p99 {p99:.3f} ms")


def schedule(name, expression, text):
    """The request that makes a schedule for the queue."""
    body = {"ScheduleExpression": expression, "FlexibleTimeWindow": {"Mode": "OFF"}, "State": "ENABLED",
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", "RoleArn": ROLE, "Input": text}}
    return http("POST", f"/schedules/{name}", json.dumps(body).encode(), SCOPE)


def create(port, prefix, count, expression, text, connections=CONNECTIONS):
    """Makes schedules over several connections, each of which waits for its answer."""
    calls = [Keepalive(port) for _ in range(connections)]
    for first in range(0, count, connections):
        busy = calls[:count - first]
        for number, call in enumerate(busy):
            call.send(schedule(f"{prefix}-{first + number}", expression, text))
        for call in busy:
            status, body = call.answer()
            if status != 200:
                raise RuntimeError(f"CreateSchedule: {status} {body.decode()}")


def create_at(port, prefix, at, count):
    """Makes schedules that fire at a time in whole seconds, which is what they say."""
    text = f"{datetime.datetime.fromtimestamp(at, datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}"
    create(port, prefix, count, f"at({text})", str(at))


def received(sqs, url, count, seconds):
    """The messages of the queue: how late each was sent, and how late it was here, in milliseconds."""
    lags, deadline = [], time.time() + seconds
    while len(lags) < count and time.time() < deadline:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2, MessageSystemAttributeNames=["SentTimestamp"])
        now, messages = time.time() * 1000, answer.get("Messages", [])
        for message in messages:
            due = int(message["Body"]) * 1000
            lags.append((int(message["Attributes"]["SentTimestamp"]) - due, now - due))
        if messages:
            sqs.delete_message_batch(QueueUrl=url, Entries=[
                {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)])
    return lags


def show_lags(what, lags, count, note=""):
    if len(lags) < count:
        row(what, "-", "<= 1,000 ms", f"MISSING: {count - len(lags):,} of {count:,} did not come")
        return
    lags = sorted(lags)
    row(what, f"{lags[len(lags) * 99 // 100]:.1f} ms", "<= 1,000 ms",
        f"p50 {lags[len(lags) // 2]:.1f} ms, last {lags[-1]:.1f} ms of {count:,}{note}")


def restart(server):
    server.stop()
    os.sync()  # what this benchmark wrote before is not the start's
    return server.start() * 1000


def schedules(server, quick):
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    count, workers = 10_000 if quick else 100_000, 4
    starts = [restart(server) for _ in range(5)]
    row("start without schedules, median", f"{sorted(starts)[2]:.1f} ms", "<= 20 ms")
    time.sleep(1)
    before = server.memory_mib()[1]
    cpu, begin = server.cpu_seconds(), time.time()
    with multiprocessing.Pool(workers) as pool:
        pool.starmap(create, [
            (server.port, f"rest{part}", count // workers, "cron(0 0 1 1 ? 2099)", "x") for part in range(workers)])
    seconds, used = time.time() - begin, server.cpu_seconds() - cpu
    row(f"CreateSchedule, {workers * CONNECTIONS} connections (Python), {count:,}", f"{count / seconds:,.0f} /s", "-",
        f"server {used / count * 1e6:.0f} us each")
    row("memory then (PSS)", f"{server.memory_mib()[1]:.1f} MiB", "-", f"before {before:.1f} MiB")
    cpu, begin = server.cpu_seconds(), time.time()
    time.sleep(5)
    idle = (server.cpu_seconds() - cpu) / (time.time() - begin)
    row(f"server with {count:,} schedules at rest", f"{idle * 100:.2f} % CPU")
    starts = [restart(server) for _ in range(5)]
    row(f"start with {count:,} schedules, median", f"{sorted(starts)[2]:.1f} ms", "<= 20 ms")
    time.sleep(1)
    row("memory then (PSS)", f"{server.memory_mib()[1]:.1f} MiB", "<= 24 MiB")

    # Accuracy, beside those at rest. One alone, as whoever waits for it sees it.
    runs = 5 if quick else 20
    base = int(time.time()) + 3
    for number in range(runs):
        create_at(server.port, f"alone{number}", base + number, 1)
    lags = received(sqs, url, runs, runs + 30)
    show_lags("one schedule alone, received after its time, p99", [here for _, here in lags], runs)
    each, spread = 100, 4 if quick else 10
    base = int(time.time()) + 5
    for number in range(spread):
        create_at(server.port, f"spread{number}", base + number, each)
    lags = received(sqs, url, each * spread, spread + 30)
    show_lags(f"{each} schedules at each second, sent after it, p99", [sent for sent, _ in lags], each * spread)
    many = 2_000 if quick else 10_000
    at = int(time.time()) + 5 + many // 1000
    create_at(server.port, "many", at, many)
    if time.time() > at:
        row(f"{many:,} schedules at one second", "-", "-", "not measured: they took too long to make")
        return
    cpu = server.cpu_seconds()
    time.sleep(max(at - time.time(), 0) + 3)
    used = server.cpu_seconds() - cpu
    lags = received(sqs, url, many, 90)
    show_lags(f"{many:,} schedules at one second, sent after it, p99", [sent for sent, _ in lags], many,
              f"; server {used / many * 1e6:.0f} us each")


if __name__ == "__main__":
    run_parts(__doc__, {"rules": rules, "schedules": schedules})
