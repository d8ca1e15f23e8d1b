"""CloudWatch Logs, measured on this machine against the release binary.

Events ingested per second by PutLogEvents and as lines of a function, durable; without filters, with a subscription filter that
takes one event of a hundred to a stream, with a metric filter. Nothing here fails a build.

    python Benchmarks/logs.py [--quick] [--only "puts lines"]
"""

import json
import time

from bench import RUNTIME, invoke_path, make_function, row, run_parts, wrk

ACCOUNT = "000000000000"
EVENTS = 100


def measure(server, what, seconds):
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": f"{'ERROR' if n == 0 else 'INFO'} request {n} took {n * 7} ms " + "x" * 160}
              for n in range(EVENTS)]
    body = json.dumps({"logGroupName": "g", "logStreamName": "s", "logEvents": events})
    script = ("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/x-amz-json-1.1'\n"
              "wrk.headers['X-Amz-Target'] = 'Logs_20140328.PutLogEvents'\n"
              f"wrk.body = [==[{body}]==]\n")
    for clients in (1, 8):
        cpu = server.cpu_seconds()
        rate, total, errors = wrk(server.port, "/", clients, seconds, script)
        each = (server.cpu_seconds() - cpu) / max(total * EVENTS, 1) * 1e6
        row(f"log events {what}, hundreds, {clients} clients", f"{rate * EVENTS:,.0f} /s", "-",
            f"server {each:.1f} us an event {errors}")


def puts(server, quick):
    logs, kinesis = server.client("logs"), server.client("kinesis")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    seconds = 2 if quick else 6
    measure(server, "without filters", seconds)
    kinesis.create_stream(StreamName="k", ShardCount=4)
    logs.put_subscription_filter(
        logGroupName="g", filterName="f", filterPattern="ERROR", roleArn=f"arn:aws:iam::{ACCOUNT}:role/r",
        destinationArn=f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/k")
    measure(server, "with a subscription for one of a hundred", seconds)
    logs.delete_subscription_filter(logGroupName="g", filterName="f")
    logs.put_metric_filter(logGroupName="g", filterName="m", filterPattern="[level=ERROR, request, n, took, ms, ...]",
                           metricTransformations=[{"metricName": "ms", "metricNamespace": "n", "metricValue": "$ms"}])
    measure(server, "with a metric filter by fields", seconds)


def lines(server, quick):
    lam = server.client("lambda")
    source = "def handler(event, context):\n    for n in range(20):\n        print('INFO line', n, 'of this invocation')\n"
    make_function(lam, "talk", source, RUNTIME)
    script = 'wrk.method = "POST"\nwrk.body = "{}"\n'
    seconds = 2 if quick else 6
    wrk(server.port, invoke_path("talk"), 4, 1, script)
    server.client("kinesis").create_stream(StreamName="k", ShardCount=1)
    # Twenty lines, START, END and REPORT.
    for what in ("without filters", "with a subscription that takes none"):
        cpu = server.cpu_seconds()
        rate, total, errors = wrk(server.port, invoke_path("talk"), 4, seconds, script)
        each = (server.cpu_seconds() - cpu) / max(total * 23, 1) * 1e6
        row(f"lines of a function {what}", f"{rate * 23:,.0f} /s", "-",
            f"server {each:.1f} us a line, with its share of the invocation {errors}")
        server.client("logs").put_subscription_filter(
            logGroupName="/aws/lambda/talk", filterName="f", filterPattern="NOTHING",
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/r",
            destinationArn=f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/k")


if __name__ == "__main__":
    run_parts(__doc__, {"puts": puts, "lines": lines})
