"""CloudWatch Logs: filter patterns, subscription and metric filters, metrics in logs, live tail; with functions and streams."""

import contextlib
import gzip
import itertools
import json
import threading
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError

from .expect import aws_error
from .harness import ACCOUNT, REGION, wait_for
from .stream_helpers import make_stream  # noqa: F401
from .test_sqs_mappings_powertools import package_files

NO_PERMISSION = (
    "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function."
)
# Says what a subscription sends it, as AWS's documents tell functions to read it.
RECEIVER = """
    import base64, gzip, json

    def handler(event, context):
        print("GOT " + gzip.decompress(base64.b64decode(event["awslogs"]["data"])).decode())
"""


def now_ms():
    return int(time.time() * 1000)


@pytest.fixture
def logs(client):
    return client("logs")


@pytest.fixture
def group(logs, unique):
    name = unique("/test/group")
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="one")
    return name


def put(logs, group, *messages):
    events = [{"timestamp": now_ms(), "message": message} for message in messages]
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)


def group_arn(name):
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"


def allow(function, group, principal="logs.amazonaws.com"):
    function.client.add_permission(
        FunctionName=function.name, StatementId="logs", Action="lambda:InvokeFunction", Principal=principal,
        SourceArn=group_arn(group) + ":*", SourceAccount=ACCOUNT,
    )


def received(function):
    return [json.loads(line[4:]) for line in function.log_messages() if line.startswith("GOT ")]


def texts(documents):
    return [event["message"].rstrip("\n") for document in documents for event in document["logEvents"]]


# Patterns


def test_filter_log_events_by_every_kind_of_pattern(logs, group):
    put(logs, group, "ERROR 500 broken", "INFO fine", '{"level":"ERROR","ip":"10.0.0.7","ms":12.5}',
        '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534')

    def found(pattern):
        return [e["message"][:5] for e in logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]]

    assert found(r"%ERROR [45]\d{2}%") == ["ERROR"]
    assert found(r"{ $.ip = %^10\.0\.0\.[0-9]+$% && $.ms > 1.2e1 }") == ['{"lev']
    assert found("{ $.* = ERROR }") == ['{"lev']
    assert found("[..., request=*.html*, status=4* && status!=403, bytes > 1000]") == ["127.0"]
    assert found("[w1=ERROR, w2]") == ["ERROR"]
    for pattern, message in [
        ("a:b", "Invalid character(s) in term ':'"),
        ("{ $.a = 1", "If a filter pattern starts with '{' it must end with '}'"),
        ("%(a)%", "Invalid character(s) in term '('"),
        ("[a = 1 && b = 2]", "Invalid filter pattern"),
    ]:
        with aws_error("InvalidParameterException", message):
            logs.filter_log_events(logGroupName=group, filterPattern=pattern)


def test_test_metric_filter(logs, aws):
    answer = logs.test_metric_filter(
        filterPattern="[ip, identity, user_id, timestamp, request, status_code=4*, bytes]",
        logEventMessages=[
            '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /apache_pb.gif HTTP/1.0" 200 1534',
            '127.0.0.1 - frank [10/Oct/2000:13:50:35 -0700] "GET /apache_pb.gif HTTP/1.0" 404 4355',
        ])
    assert answer["matches"] == [{
        "eventNumber": 2,
        "eventMessage": '127.0.0.1 - frank [10/Oct/2000:13:50:35 -0700] "GET /apache_pb.gif HTTP/1.0" 404 4355',
        "extractedValues": {
            "$ip": "127.0.0.1", "$identity": "-", "$user_id": "frank", "$timestamp": "10/Oct/2000:13:50:35 -0700",
            "$request": "GET /apache_pb.gif HTTP/1.0", "$status_code": "404", "$bytes": "4355"},
    }]
    shown = aws("logs", "test-metric-filter", "--filter-pattern", '{ $.a.b = "x*" }',
                "--log-event-messages", '{"a":{"b":"xyz"}}', '{"a":1}').json
    assert shown["matches"] == [
        {"eventNumber": 1, "eventMessage": '{"a":{"b":"xyz"}}', "extractedValues": {"$.a.b": "xyz"}}]


# Subscription filters


def test_subscription_filters_are_kept_and_checked(logs, group, fast_function, make_stream):  # noqa: F811
    function = fast_function(RECEIVER)
    call = {"logGroupName": group, "filterName": "f", "filterPattern": "ERROR", "destinationArn": function.arn}
    with aws_error("InvalidParameterException", NO_PERMISSION):
        logs.put_subscription_filter(**call)
    allow(function, group, f"logs.{REGION}.amazonaws.com")
    logs.put_subscription_filter(**call)
    (shown,) = logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
    assert abs(shown.pop("creationTime") - now_ms()) < 60_000
    assert shown == {**call, "distribution": "ByLogStream", "applyOnTransformedLogs": False}
    for change, code, message in [
        ({"destinationArn": function.arn + "-no"}, "InvalidParameterException", NO_PERMISSION),
        ({"roleArn": f"arn:aws:iam::{ACCOUNT}:role/r"}, "InvalidParameterException",
         "destinationArn for vendor lambda cannot be used with roleArn"),
        ({"destinationArn": f"arn:aws:lambda:{REGION}:111122223333:function:f"}, "AccessDeniedException",
         "Cross-account lambda invocation passing is not allowed. You must use DestinationPolicies to create cross account "
         "lambda triggers."),
        ({"destinationArn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/no"}, "InvalidParameterException",
         "destinationArn for vendor kinesis cannot be used without roleArn"),
        ({"destinationArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"}, "InvalidParameterException",
         "PutSubscriptionFilter operation cannot work with destinationArn for vendor sqs"),
        ({"filterPattern": "a:b"}, "InvalidParameterException", "Invalid character(s) in term ':'"),
        ({"logGroupName": group + "-no"}, "ResourceNotFoundException", "The specified log group does not exist."),
    ]:
        with aws_error(code, message):
            logs.put_subscription_filter(**{**call, **change})
    with aws_error("InvalidParameterException"):
        logs.put_subscription_filter(**{
            **call, "destinationArn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/no",
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/r"})
    logs.put_subscription_filter(**{**call, "filterName": "g"})
    with aws_error("LimitExceededException", "Resource limit exceeded."):
        logs.put_subscription_filter(**{**call, "filterName": "h"})
    pages = logs.get_paginator("describe_subscription_filters").paginate(
        logGroupName=group, PaginationConfig={"PageSize": 1})
    assert [f["filterName"] for page in pages for f in page["subscriptionFilters"]] == ["f", "g"]
    logs.delete_subscription_filter(logGroupName=group, filterName="f")
    with aws_error("ResourceNotFoundException", "The specified subscription filter does not exist."):
        logs.delete_subscription_filter(logGroupName=group, filterName="f")


def test_a_function_s_log_reaches_another_function(logs, fast_function):
    sender = fast_function("def handler(event, context):\n    print(event['say'])\n")
    receiver = fast_function(RECEIVER)
    sender.invoke({"say": "before"})
    wait_for(sender.log_messages)
    allow(receiver, sender.log_group)
    logs.put_subscription_filter(
        logGroupName=sender.log_group, filterName="errors", filterPattern="ERROR", destinationArn=receiver.arn)
    for number in range(5):
        sender.invoke({"say": f"ERROR {number}"})
        sender.invoke({"say": f"fine {number}"})
    wait_for(lambda: len(texts(received(receiver))) >= 5)
    documents = received(receiver)
    assert texts(documents) == [f"ERROR {number}" for number in range(5)]
    first = documents[0]
    assert {key: first[key] for key in ("messageType", "owner", "logGroup", "subscriptionFilters")} == {
        "messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": sender.log_group, "subscriptionFilters": ["errors"]}
    stored = logs.filter_log_events(logGroupName=sender.log_group, filterPattern="ERROR")["events"]
    sent = [event for document in documents for event in document["logEvents"]]
    assert [(e["eventId"], e["timestamp"], e["message"]) for e in stored] == [
        (e["id"], e["timestamp"], e["message"]) for e in sent]


def test_a_function_that_listens_to_its_own_log_is_stopped(logs, fast_function):
    function = fast_function("def handler(event, context):\n    print('TURN', list(event))\n")
    logs.create_log_group(logGroupName=function.log_group)
    allow(function, function.log_group)
    logs.put_subscription_filter(
        logGroupName=function.log_group, filterName="me", filterPattern="TURN", destinationArn=function.arn)

    def turns():
        return sum(message.startswith("TURN") for message in function.log_messages())

    function.invoke({})
    # The invocation from outside and those that follow from it are sixteen: more are stopped, as loops through queues are.
    # Events come at least once: some turns may be told twice.
    wait_for(lambda: turns() >= 16)
    function.invoke({})
    wait_for(lambda: turns() >= 32)
    seen = turns()
    function.invoke({})
    wait_for(lambda: turns() >= seen + 16)
    assert turns() < 100


def test_kinesis_gets_a_test_message_and_the_events(logs, group, make_stream):  # noqa: F811
    stream = make_stream(2)
    logs.put_subscription_filter(
        logGroupName=group, filterName="k", filterPattern="[level=ERROR, code, ...]", destinationArn=stream.arn,
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/logs-to-kinesis")
    put(logs, group, "INFO 1 x", "ERROR 42 it broke", "ERROR 43")

    def documents():
        found = []
        for shard in stream.shards():
            place = stream.kinesis.get_shard_iterator(
                StreamName=stream.name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            for record in stream.kinesis.get_records(ShardIterator=place)["Records"]:
                found.append((record["PartitionKey"], json.loads(gzip.decompress(record["Data"]))))
        return found

    wait_for(lambda: len(documents()) >= 2)
    by_type = {document["messageType"]: (key, document) for key, document in documents()}
    _, control = by_type["CONTROL_MESSAGE"]
    assert control["logEvents"][0].pop("timestamp") <= now_ms()
    assert control == {
        "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
        "subscriptionFilters": [],
        "logEvents": [{"id": "", "message": "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}
    key, data = by_type["DATA_MESSAGE"]
    assert key == "one"
    assert texts([data]) == ["ERROR 42 it broke", "ERROR 43"]
    assert data["logEvents"][0]["extractedFields"] == {"level": "ERROR", "code": "42", "3": "it", "4": "broke"}


def test_nothing_is_lost_over_kill_9(make_server):
    server = make_server("--time-scale", "60")
    logs = server.client("logs")
    queue = server.client("kinesis")
    queue.create_stream(StreamName="s", ShardCount=1)
    arn = wait_for(lambda: queue.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"])["StreamARN"]
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="one")
    logs.put_subscription_filter(
        logGroupName="g", filterName="k", filterPattern="", destinationArn=arn, roleArn=f"arn:aws:iam::{ACCOUNT}:role/r")
    kept, stop, numbers = [], threading.Event(), itertools.count()

    def write():
        while not stop.is_set():
            text = f"n{next(numbers)}"
            with contextlib.suppress(Exception):
                put(logs, "g", text)
                kept.append(text)

    for _ in range(3):
        stop.clear()
        count = len(kept)
        writer = threading.Thread(target=write)
        writer.start()
        wait_for(lambda: len(kept) > count + 50)
        server.kill9()
        stop.set()
        writer.join()
        server.start()

    def seen():
        return [text for text in texts(stream_documents(queue, "s")) if text.startswith("n")]

    wait_for(lambda: set(kept) <= set(seen()))
    # Each was handed over in the transaction that took it from those that wait.
    assert len(seen()) == len(set(seen()))


def counter(server, name):
    """A counter of the server; `name` with its labels."""
    with urllib.request.urlopen(server.url + "/_martlet/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return next(int(line.split()[-1]) for line in lines if line.startswith(name + " "))


def test_a_stream_without_capacity_gets_everything_later(make_server):
    """What a busy stream refuses is tried again, and waits on disk meanwhile: over kill -9 nothing is lost or sent twice."""
    server = make_server("--time-scale", "60", "--kinesis-limits", "on")
    logs, kinesis = server.client("logs"), server.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["StreamARN"]
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="one")
    wait_for(lambda: permits(logs, arn))
    kept, stop = [], threading.Event()

    def fill():
        # As much as a shard takes in a second.
        while not stop.is_set():
            with contextlib.suppress(Exception):
                kinesis.put_record(StreamName="s", Data=bytes((1 << 20) - 1), PartitionKey="k")
            stop.wait(0.02)

    def has_waited():
        text = f"n{len(kept)}"
        put(logs, "g", text)
        kept.append(text)
        return counter(server, 'martlet_deliveries_total{outcome="retried"}') >= 20

    filler = threading.Thread(target=fill)
    filler.start()
    try:
        wait_for(has_waited, interval_s=0.05)
        server.kill9()
    finally:
        stop.set()
        filler.join()
    # Reading what filled the stream would take long with limits.
    server.arguments.remove("--kinesis-limits")
    server.arguments.remove("on")
    server.start()

    def sent():
        return [text for text in texts(stream_documents(kinesis, "s")) if text.startswith("n")]

    wait_for(lambda: set(kept) <= set(sent()))
    assert sorted(sent()) == sorted(set(sent()))


def permits(logs, arn):
    """Puts a filter, whose test message the stream must take."""
    with contextlib.suppress(ClientError):
        logs.put_subscription_filter(
            logGroupName="g", filterName="k", filterPattern="", destinationArn=arn, roleArn=f"arn:aws:iam::{ACCOUNT}:role/r")
        return True


def stream_documents(kinesis, name):
    """What subscriptions have sent to a stream of one shard."""
    place = kinesis.get_shard_iterator(
        StreamName=name, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found = []
    while True:
        page = kinesis.get_records(ShardIterator=place)
        found += [json.loads(gzip.decompress(r["Data"])) for r in page["Records"] if r["Data"].startswith(b"\x1f\x8b")]
        place = page["NextShardIterator"]
        if not page["Records"] and not page["MillisBehindLatest"]:
            return found


def test_events_are_passed_over_while_the_stream_is_gone(server, logs, group, unique):
    """As on AWS, which does not try again what it is refused for good; the subscription itself stays."""
    kinesis, name = server.client("kinesis"), unique("stream")
    refused = lambda: counter(server, "martlet_log_events_refused_total")

    def summary():
        with contextlib.suppress(kinesis.exceptions.ResourceNotFoundException):
            return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]

    def create():
        kinesis.create_stream(StreamName=name, ShardCount=1)
        return wait_for(lambda: (found := summary()) and found["StreamStatus"] == "ACTIVE" and found["StreamARN"])

    logs.put_subscription_filter(
        logGroupName=group, filterName="k", filterPattern="", destinationArn=create(),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/r")
    put(logs, group, "before")
    wait_for(lambda: "before" in texts(stream_documents(kinesis, name)))
    kinesis.delete_stream(StreamName=name)
    wait_for(lambda: summary() is None)
    seen = refused()
    put(logs, group, "meanwhile")
    wait_for(lambda: refused() > seen)
    create()
    put(logs, group, "after")
    wait_for(lambda: texts(stream_documents(kinesis, name)) == ["after"])
    kinesis.delete_stream(StreamName=name)


# Metric filters


def test_metric_filters_are_kept_and_checked(logs, group):
    transformation = {"metricName": "errors", "metricNamespace": "app", "metricValue": "1", "defaultValue": 0.0, "unit": "Count"}
    call = {"logGroupName": group, "filterName": "m", "filterPattern": "ERROR", "metricTransformations": [transformation]}
    logs.put_metric_filter(**call)
    (shown,) = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    assert abs(shown.pop("creationTime") - now_ms()) < 60_000
    assert shown == {**call, "applyOnTransformedLogs": False}
    dimensioned = {"metricName": "ms", "metricNamespace": group[6:], "metricValue": "$.ms", "dimensions": {"Path": "$.path"}}
    logs.put_metric_filter(**{
        **call, "filterName": "n", "filterPattern": "{ $.ms = * }", "metricTransformations": [dimensioned]})
    (found,) = logs.describe_metric_filters(metricName="ms", metricNamespace=group[6:])["metricFilters"]
    assert found["filterName"] == "n" and found["metricTransformations"] == [dimensioned]
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["metricFilterCount"] == 2
    pages = logs.get_paginator("describe_metric_filters").paginate(PaginationConfig={"PageSize": 1})
    assert [f["filterName"] for page in pages for f in page["metricFilters"] if f["logGroupName"] == group] == ["m", "n"]
    for change, message in [
        ({**dimensioned, "defaultValue": 1},
         "Invalid metric transformation: dimensions and default value are mutually exclusive properties"),
        ({**dimensioned, "dimensions": {"Path": "a"}},
         "Invalid metric transformation: dimension value must be valid selector"),
    ]:
        with aws_error("InvalidParameterException", message):
            logs.put_metric_filter(**{**call, "filterPattern": "{ $.ms = * }", "metricTransformations": [change]})
    logs.delete_metric_filter(logGroupName=group, filterName="m")
    with aws_error("ResourceNotFoundException", "The specified metric filter does not exist."):
        logs.delete_metric_filter(logGroupName=group, filterName="m")


# Live tail


def tail(logs, *groups, **parameters):
    return iter(logs.start_live_tail(logGroupIdentifiers=[group_arn(name) for name in groups], **parameters)["responseStream"])


def next_events(stream):
    """The events of the next update that has any."""
    for event in stream:
        if results := event.get("sessionUpdate", {}).get("sessionResults"):
            return results
    raise AssertionError("the session is over")


def test_live_tail(server, group, fast_function):
    # boto3 puts "stream-" before the endpoint's host, which only names can stand: AWS's own clients let it be turned off.
    logs = server.client("logs", inject_host_prefix=False)
    function = fast_function("def handler(event, context):\n    print('LIVE', event)\n")
    function.invoke(1)
    # What it has said before is not of this session.
    wait_for(lambda: any("LIVE" in message for message in function.log_messages()))
    stream = tail(logs, group, function.log_group, logEventFilterPattern="LIVE")
    start = next(stream)["sessionStart"]
    assert start["logGroupIdentifiers"] == [group_arn(group), group_arn(function.log_group)]
    assert start["logEventFilterPattern"] == "LIVE" and start["sessionId"] and start["requestId"]
    put(logs, group, "LIVE from a client", "quiet")
    (shown,) = next_events(stream)
    assert abs(shown.pop("timestamp") - now_ms()) < 60_000 and abs(shown.pop("ingestionTime") - now_ms()) < 60_000
    assert shown == {"logGroupIdentifier": group_arn(group), "logStreamName": "one", "message": "LIVE from a client"}
    function.invoke(2)
    assert [event["message"] for event in next_events(stream)] == ["LIVE 2\n"]
    stream.close()
    with aws_error("InvalidParameterException", r"Invalid filter pattern: Invalid character(s) in term '\"\"'".replace("\\", "")):
        tail(logs, group, logEventFilterPattern='""')
    with aws_error("ResourceNotFoundException", "The specified log group does not exist."):
        tail(logs, group + "-no")


def test_live_tail_leaves_out_what_is_too_much(server, group):
    logs = server.client("logs", inject_host_prefix=False)
    stream = tail(logs, group)
    next(stream)
    put(logs, group, *(f"{number}" for number in range(2_000)))
    for event in stream:
        update = event["sessionUpdate"]
        if update["sessionResults"]:
            break
    assert update["sessionMetadata"]["sampled"] is True
    assert len(update["sessionResults"]) == 500
    stream.close()


# Metrics in logs

METRICS = """
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()

@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=False)
def handler(event, context):
    metrics.add_dimension(name="stage", value="test")
    metrics.add_metric(name="orders", unit=MetricUnit.Count, value=event["orders"])
    logger.info({"message": "took orders", "orders": event["orders"]})
"""


def test_powertools_metrics_and_logger(client, logs, make_function, unique):
    cloudwatch = client("cloudwatch")
    try:
        cloudwatch.list_metrics()
    except ClientError:
        pytest.skip("CloudWatch is not there")
    namespace = unique("app")
    function = make_function(
        files={"index.py": METRICS, **package_files()}, MemorySize=1769, Timeout=10,
        Environment={"Variables": {"POWERTOOLS_SERVICE_NAME": "shop", "POWERTOOLS_METRICS_NAMESPACE": namespace}})
    for orders in (3, 4):
        assert function.invoke({"orders": orders}).error is None
    wait_for(lambda: sum('"_aws"' in message for message in function.log_messages()) == 2)
    found = logs.filter_log_events(
        logGroupName=function.log_group, filterPattern='{ $.message.orders > 3 && $.level = "INFO" }')["events"]
    assert [json.loads(event["message"])["message"]["orders"] for event in found] == [4]
    # The same from a metric filter, by lines that come later.
    logs.put_metric_filter(
        logGroupName=function.log_group, filterName="m", filterPattern="{ $.message.orders = * }",
        metricTransformations=[{
            "metricName": "filtered", "metricNamespace": namespace, "metricValue": "$.message.orders",
            "dimensions": {"Level": "$.level"}}])
    assert function.invoke({"orders": 5}).error is None

    def total(name, **dimensions):
        points = cloudwatch.get_metric_statistics(
            Namespace=namespace, MetricName=name, Period=3600, Statistics=["Sum"],
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=time.time() - 7200, EndTime=time.time() + 3600)["Datapoints"]
        return sum(point["Sum"] for point in points)

    wait_for(lambda: total("orders", service="shop", stage="test") == 12)
    wait_for(lambda: total("filtered", Level="INFO") == 5)
