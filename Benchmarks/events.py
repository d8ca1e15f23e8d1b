"""EventBridge and Scheduler, measured on this machine against the release binary.

Events matched against 300 rules (a third by source and detail-type, a third by what is in the detail, a third of other sources),
durable; schedules at rest and how exactly they fire. Nothing here fails a build.

    python Benchmarks/events.py [--quick] [--only "rules schedules"]
"""

import datetime
import json
import multiprocessing
import time

from bench import Keepalive, http, latencies, row, run_parts, wrk

RULES = 300
ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/bench"
HEADERS = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AWSEvents.PutEvents\r\n"
SCOPE = ("Authorization: AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/scheduler/aws4_request, "
         "SignedHeaders=host, Signature=0\r\nContent-Type: application/json\r\n")


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


def create(port, first, count, expression, text, out=None):
    for number in range(first, first + count):
        body = {"ScheduleExpression": expression, "FlexibleTimeWindow": {"Mode": "OFF"}, "State": "ENABLED",
                "Target": {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", "RoleArn": ROLE, "Input": text}}
        if number == first:
            call = Keepalive(port, b"")
        call.socket.sendall(http("POST", f"/schedules/s{number}", json.dumps(body).encode(), SCOPE))
        answer = call.socket.recv(65536)
        if b" 200 " not in answer[:20]:
            raise SystemExit(answer.decode())


def schedules(server, quick):
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    count = 10_000 if quick else 100_000
    before = server.memory_mib()
    begin = time.time()
    workers = [multiprocessing.Process(
        target=create, args=(server.port, part * (count // 8), count // 8, "cron(0 0 1 1 ? 2099)", "x")) for part in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    row(f"CreateSchedule, 8 clients (Python), {count:,}", f"{count / (time.time() - begin):,.0f} /s", "-")
    cpu, start = server.cpu_seconds(), time.time()
    time.sleep(5)
    idle = (server.cpu_seconds() - cpu) / (time.time() - start)
    row(f"server with {count:,} schedules at rest", f"{idle * 100:.2f} % CPU", "-")
    server.stop()
    row(f"start with {count:,} schedules", f"{server.start() * 1000:.1f} ms", "<= 20 ms")
    time.sleep(1)
    row("memory then (PSS; before: fresh server)", f"{server.memory_mib()[1]:.1f} MiB", "-", f"before {before[1]:.1f} MiB")
    # Accuracy: times of the next seconds, beside those at rest.
    each, spread = 100, 4 if quick else 10
    base = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=4)
    for number in range(spread):
        at = base + datetime.timedelta(seconds=number)
        create(server.port, 10_000_000 + number * each, each, f"at({at:%Y-%m-%dT%H:%M:%S})", str(at.timestamp()))
    lags = []
    deadline = time.time() + 60
    while len(lags) < each * spread and time.time() < deadline:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2, MessageSystemAttributeNames=["SentTimestamp"])
        for message in answer.get("Messages", []):
            lags.append(int(message["Attributes"]["SentTimestamp"]) - float(message["Body"]) * 1000)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    lags.sort()
    if lags:
        row(f"schedule fires after its time, p99 of {len(lags)}", f"{lags[int(len(lags) * 0.99)]:.0f} ms", "<= 1,000 ms",
            f"p50 {lags[len(lags) // 2]:.0f} ms, {each} at each second")


if __name__ == "__main__":
    run_parts(__doc__, {"rules": rules, "schedules": schedules})
