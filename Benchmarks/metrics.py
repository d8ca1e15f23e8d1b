"""CloudWatch, measured on this machine against the release binary: data put per second, durable, and read again.

Nothing here fails a build.

    python Benchmarks/metrics.py [--quick] [--only "put read"]
"""

import datetime
import json
import time

from bench import row, run_parts, wrk

TARGET = "GraniteServiceVersion20100801"


def script(operation, document):
    body = json.dumps(document)
    return ("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/x-amz-json-1.0'\n"
            f"wrk.headers['X-Amz-Target'] = '{TARGET}.{operation}'\n"
            f"wrk.body = [==[{body}]==]\n")


def datum(number, metrics):
    return {"MetricName": f"m{number % metrics}", "Value": number * 1.5, "Unit": "Milliseconds",
            "Dimensions": [{"Name": "Service", "Value": "shop"}, {"Name": "Host", "Value": f"h{number % 7}"}]}


def put(server, quick):
    seconds = 2 if quick else 6
    for count in (1, 20, 1000):
        text = script("PutMetricData", {"Namespace": "Bench", "MetricData": [datum(n, 100) for n in range(count)]})
        for clients in (1, 8):
            cpu = server.cpu_seconds()
            rate, total, errors = wrk(server.port, "/", clients, seconds, text)
            used = (server.cpu_seconds() - cpu) / max(total * count, 1)
            row(f"PutMetricData, {count} data, {clients} clients", f"{rate * count:,.0f} data/s", "-",
                f"server {used * 1e6:.1f} us a datum {errors}")


def read(server, quick):
    cloudwatch = server.client("cloudwatch")
    now = datetime.datetime.now(datetime.timezone.utc)
    for start in range(0, 10_000, 1000):
        cloudwatch.put_metric_data(Namespace="Read", MetricData=[
            {"MetricName": "m", "Value": n, "Timestamp": now - datetime.timedelta(minutes=n)} for n in range(start, start + 1000)])
    begin = time.perf_counter()
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "a", "MetricStat": {
            "Metric": {"Namespace": "Read", "MetricName": "m"}, "Period": 60, "Stat": "Average"}}],
        StartTime=now - datetime.timedelta(minutes=10_000), EndTime=now)
    found = len(answer["MetricDataResults"][0]["Values"])
    row("GetMetricData, a week of minutes", f"{(time.perf_counter() - begin) * 1e3:.0f} ms", "-", f"{found:,} values")


if __name__ == "__main__":
    run_parts(__doc__, {"put": put, "read": read})
