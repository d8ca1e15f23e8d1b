"""CloudWatch Logs: every operation of Sources/Services/CloudWatchLogs/README.md; the functions' side is in
test_function_logs.py."""

import re
import time

import pytest

from .expect import answer, assert_not_implemented, aws_error, command_failed
from .harness import ACCOUNT, REGION

DAY_MS = 86_400_000
NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."


def now_ms():
    return int(time.time() * 1000)


@pytest.fixture
def logs(client):
    return client("logs")


@pytest.fixture
def group(logs, unique):
    name = unique("/test/group")
    logs.create_log_group(logGroupName=name)
    return name


@pytest.fixture
def stream(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    return "one"


def put(logs, group, messages, stream="one", start=None):
    start = start or now_ms() - 1000
    events = [{"timestamp": start + i, "message": message} for i, message in enumerate(messages)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return [event["timestamp"] for event in events]


# Groups


def test_create_and_describe_a_group(logs, unique):
    name, before = unique("/test/group"), now_ms()
    assert answer(logs.create_log_group(logGroupName=name)) == (200, {})
    (shown,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert before <= shown.pop("creationTime") <= now_ms()
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"
    wanted = {
        "logGroupName": name,
        "arn": arn + ":*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": 0,
        "metricFilterCount": 0,
    }
    assert {key: shown.get(key) for key in wanted} == wanted
    assert "retentionInDays" not in shown


def test_a_group_exists_once(logs, group):
    with aws_error("ResourceAlreadyExistsException", "The specified log group already exists"):
        logs.create_log_group(logGroupName=group)


@pytest.mark.parametrize("name", ["has space", "percent%", "x" * 513])
def test_group_names_are_checked(logs, name):
    with aws_error(
        "InvalidParameterException", re.compile("^1 validation error detected: Value '.*' at 'logGroupName'")
    ):
        logs.create_log_group(logGroupName=name)


def test_delete_a_group_with_its_streams_and_events(logs, group, stream):
    put(logs, group, ["gone"])
    assert answer(logs.delete_log_group(logGroupName=group)) == (200, {})
    with aws_error("ResourceNotFoundException", NO_GROUP):
        logs.delete_log_group(logGroupName=group)
    logs.create_log_group(logGroupName=group)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    assert logs.filter_log_events(logGroupName=group)["events"] == []


def test_groups_by_prefix_pattern_and_page(logs, unique):
    base = unique("/paged")
    names = [f"{base}/{i}" for i in range(5)]
    for name in names:
        logs.create_log_group(logGroupName=name)
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=base, limit=2)
    shown = [[group["logGroupName"] for group in page["logGroups"]] for page in pages]
    assert shown == [names[0:2], names[2:4], names[4:5]]
    by_pattern = logs.describe_log_groups(logGroupNamePattern=base[1:])["logGroups"]
    assert [group["logGroupName"] for group in by_pattern] == names
    assert set(by_pattern[0]) == {"arn", "creationTime", "logGroupName"}
    assert logs.describe_log_groups(logGroupNamePattern=base[1:].upper())["logGroups"] == []
    with aws_error(
        "InvalidParameterException", "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
    ):
        logs.describe_log_groups(logGroupNamePrefix="a", logGroupNamePattern="b")
    with aws_error("InvalidParameterException", "The specified nextToken is invalid."):
        logs.describe_log_groups(nextToken="!!")
    with aws_error(
        "InvalidParameterException",
        "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 50",
    ):
        logs.describe_log_groups(limit=51)


def test_accounts_and_regions_are_apart(server, logs, group):
    for other in (server.client("logs", account="111122223333"), server.client("logs", region="eu-west-1")):
        assert other.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
        with aws_error("ResourceNotFoundException", NO_GROUP):
            other.describe_log_streams(logGroupName=group)


def test_retention(logs, group):
    logs.put_retention_policy(logGroupName=group, retentionInDays=14)
    (shown,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert shown["retentionInDays"] == 14
    logs.delete_retention_policy(logGroupName=group)
    (shown,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert "retentionInDays" not in shown
    with aws_error("InvalidParameterException", re.compile("'2' at 'retentionInDays'")):
        logs.put_retention_policy(logGroupName=group, retentionInDays=2)
    for call in (logs.put_retention_policy, logs.delete_retention_policy):
        extra = {"retentionInDays": 1} if call == logs.put_retention_policy else {}
        with aws_error("ResourceNotFoundException", NO_GROUP):
            call(logGroupName=group + "-no", **extra)


def test_tags_by_arn_and_by_name(logs, unique):
    name = unique("/tagged")
    logs.create_log_group(logGroupName=name, tags={"a": "1"})
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"
    logs.tag_resource(resourceArn=arn, tags={"b": "2"})
    logs.tag_log_group(logGroupName=name, tags={"c": "3"})
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": "2", "c": "3"}
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    logs.untag_log_group(logGroupName=name, tags=["b"])
    assert logs.list_tags_log_group(logGroupName=name)["tags"] == {"c": "3"}
    with aws_error("TooManyTagsException"):
        logs.tag_resource(resourceArn=arn, tags={f"k{i}": "v" for i in range(50)})
    with aws_error("ResourceNotFoundException"):
        logs.list_tags_for_resource(resourceArn=arn + "-no")


# Streams


def test_streams(logs, group):
    assert answer(logs.create_log_stream(logGroupName=group, logStreamName="a/[$LATEST]1")) == (200, {})
    with aws_error("ResourceAlreadyExistsException", "The specified log stream already exists"):
        logs.create_log_stream(logGroupName=group, logStreamName="a/[$LATEST]1")
    with aws_error("ResourceNotFoundException", NO_GROUP):
        logs.create_log_stream(logGroupName=group + "-no", logStreamName="a")
    with aws_error("InvalidParameterException"):
        logs.create_log_stream(logGroupName=group, logStreamName="a:b")
    (shown,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert shown["logStreamName"] == "a/[$LATEST]1"
    assert shown["arn"] == f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:a/[$LATEST]1"
    assert "lastEventTimestamp" not in shown
    logs.delete_log_stream(logGroupName=group, logStreamName="a/[$LATEST]1")
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    with aws_error("ResourceNotFoundException", NO_STREAM):
        logs.delete_log_stream(logGroupName=group, logStreamName="a/[$LATEST]1")


def test_streams_in_order_of_name_and_of_last_event(logs, group):
    base = now_ms() - 10_000
    for place, name in enumerate(["b", "a", "c"]):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, group, ["x"], stream=name, start=base + place * 1000)

    def names(**parameters):
        pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, limit=2, **parameters)
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names() == ["a", "b", "c"]
    assert names(descending=True) == ["c", "b", "a"]
    assert names(orderBy="LastEventTime") == ["b", "a", "c"]
    assert names(orderBy="LastEventTime", descending=True) == ["c", "a", "b"]
    assert names(logStreamNamePrefix="b") == ["b"]
    with aws_error("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix."):
        logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="b")


def test_a_group_is_named_once(logs, group):
    with aws_error("ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters."):
        logs.describe_log_streams(logGroupName=group, logGroupIdentifier=group)


# Events


def test_put_and_get(logs, group, stream):
    before = now_ms()
    times = put(logs, group, ["first", "zweitens: ä€😀", "third\nline"])
    shown = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
    assert [(event["timestamp"], event["message"]) for event in shown["events"]] == list(
        zip(times, ["first", "zweitens: ä€😀", "third\nline"])
    )
    assert all(before <= event["ingestionTime"] <= now_ms() for event in shown["events"])
    (described,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert (described["firstEventTimestamp"], described["lastEventTimestamp"]) == (times[0], times[-1])
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["storedBytes"] > 0


def test_get_in_pages_forward_and_backward(logs, group, stream):
    put(logs, group, [str(i) for i in range(7)])

    def page(**parameters):
        answered = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=3, **parameters)
        return [event["message"] for event in answered["events"]], answered

    seen, answered = page(startFromHead=True)
    assert seen == ["0", "1", "2"]
    seen, answered = page(nextToken=answered["nextForwardToken"])
    assert seen == ["3", "4", "5"]
    seen, back = page(nextToken=answered["nextBackwardToken"])
    assert seen == ["0", "1", "2"]
    seen, answered = page(nextToken=answered["nextForwardToken"])
    assert seen == ["6"]
    token = answered["nextForwardToken"]
    seen, answered = page(nextToken=token)
    assert (seen, answered["nextForwardToken"]) == ([], token), "the same token again is the end"
    seen, _ = page()
    assert seen == ["4", "5", "6"], "without startFromHead, the newest"
    put(logs, group, ["7"], start=now_ms())
    seen, _ = page(nextToken=token)
    assert seen == ["7"], "a token of the end finds what comes later"
    with aws_error("InvalidParameterException", "The specified nextToken is invalid."):
        page(nextToken="nonsense")


def test_get_within_times(logs, group, stream):
    times = put(logs, group, ["0", "1", "2", "3"])
    shown = logs.get_log_events(
        logGroupName=group, logStreamName=stream, startTime=times[1], endTime=times[3], startFromHead=True
    )
    assert [event["message"] for event in shown["events"]] == ["1", "2"], "the end is exclusive"
    with aws_error("ResourceNotFoundException", NO_STREAM):
        logs.get_log_events(logGroupName=group, logStreamName="no")
    with aws_error("ResourceNotFoundException", NO_GROUP):
        logs.get_log_events(logGroupName=group + "-no", logStreamName=stream)
    with aws_error(
        "InvalidParameterException",
        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 10000",
    ):
        logs.get_log_events(logGroupName=group, logStreamName=stream, limit=10_001)


def test_put_is_checked(logs, group, stream):
    now = now_ms()

    def put_events(*events, stream=stream):
        return logs.put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": time, "message": message} for time, message in events],
        )

    with aws_error(
        "InvalidParameterException", "Log events in a single PutLogEvents request must be in chronological order."
    ):
        put_events((now, "b"), (now - 1, "a"))
    with aws_error(
        "InvalidParameterException",
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
    ):
        put_events((now - DAY_MS - 1, "a"), (now, "b"))
    with aws_error(
        "InvalidParameterException", re.compile("^Upload too large: 1048602 bytes exceeds limit of 1048576$")
    ):
        put_events((now, "x" * 1_048_576))
    with aws_error("ResourceNotFoundException", NO_STREAM):
        put_events((now, "a"), stream="no")
    with aws_error("InvalidParameterException", re.compile("length less than or equal to 10000")):
        put_events(*[(now, "x")] * 10_001)
    assert logs.get_log_events(logGroupName=group, logStreamName=stream)["events"] == []


def test_events_too_old_or_too_new_are_rejected_and_named(logs, group, stream):
    now = now_ms()
    old = logs.put_log_events(
        logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now - 15 * DAY_MS, "message": "old"}]
    )
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    mixed = logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": now, "message": "good"}, {"timestamp": now + DAY_MS // 8, "message": "new"}],
    )
    assert mixed["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    shown = logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    assert [event["message"] for event in shown] == ["good"]


def test_filter_over_streams(logs, group):
    base = now_ms() - 10_000
    for place, name in enumerate(["x/1", "x/2", "y/1"]):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, group, [f"{name} INFO fine", f"{name} ERROR broken pipe"], stream=name, start=base + place)

    def found(**parameters):
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **parameters)
        return [event["message"] for page in pages for event in page["events"]]

    everything = found()
    assert len(everything) == 6
    assert found(PaginationConfig={"PageSize": 1}) == everything, "pages neither lose nor repeat"
    assert found(logStreamNamePrefix="x/", filterPattern="ERROR") == ["x/1 ERROR broken pipe", "x/2 ERROR broken pipe"]
    assert found(logStreamNames=["y/1"], filterPattern='"ERROR broken"') == ["y/1 ERROR broken pipe"]
    assert found(logStreamNames=["y/1"], filterPattern="-ERROR") == ["y/1 INFO fine"]
    assert len(found(filterPattern="?INFO ?ERROR")) == 6
    assert found(startTime=base, endTime=base) == ["x/1 INFO fine"], "both ends are inclusive"
    events = logs.filter_log_events(logGroupName=group)["events"]
    assert len({event["eventId"] for event in events}) == 6
    assert {event["logStreamName"] for event in events} == {"x/1", "x/2", "y/1"}
    with aws_error("InvalidParameterException"):
        logs.filter_log_events(logGroupName=group, logStreamNames=["a"], logStreamNamePrefix="a")
    with aws_error("ResourceNotFoundException", NO_GROUP):
        logs.filter_log_events(logGroupName=group + "-no")
    with aws_error("InvalidParameterException", re.compile("^Invalid filter pattern")):
        logs.filter_log_events(logGroupName=group, filterPattern='"open')


def test_filter_json(logs, group, stream):
    put(
        logs,
        group,
        ['{"level":"ERROR","ms":120}', '{"level":"INFO","ms":3}', "ERROR in plain text", '{"user":{"id":"u-7"}}'],
    )

    def found(pattern):
        events = logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]
        return [event["message"] for event in events]

    assert found('{ $.level = "ERROR" }') == ['{"level":"ERROR","ms":120}']
    assert found('{ $.ms > 2 && $.level = "INFO" }') == ['{"level":"INFO","ms":3}']
    assert found('{ $.user.id = "u-*" }') == ['{"user":{"id":"u-7"}}']
    assert len(found('{ ($.ms > 100) || ($.user.id = "u-7") }')) == 2


def test_resource_policies(logs, unique):
    name = unique("policy")
    document = '{ "Version": "2012-10-17", "Statement": [] }'
    shown = logs.put_resource_policy(policyName=name, policyDocument=document)["resourcePolicy"]
    assert abs(shown["lastUpdatedTime"] - now_ms()) < 60_000
    assert (shown["policyName"], shown["policyDocument"]) == (name, document)
    assert shown in logs.describe_resource_policies()["resourcePolicies"]
    with aws_error("InvalidParameterException"):
        logs.put_resource_policy(policyName=name, policyDocument="{")
    logs.delete_resource_policy(policyName=name)
    with aws_error("ResourceNotFoundException", f"Policy with name [{name}] does not exist"):
        logs.delete_resource_policy(policyName=name)


def test_a_missing_operation_says_so(logs):
    assert_not_implemented(
        lambda: logs.start_query(logGroupName="a", startTime=1, endTime=2, queryString="x"), "StartQuery"
    )


def test_with_the_command_line(aws, unique):
    group = unique("/cli")
    aws("logs", "create-log-group", "--log-group-name", group, "--tags", "owner=me")
    aws("logs", "create-log-stream", "--log-group-name", group, "--log-stream-name", "s")
    aws(
        "logs",
        "put-log-events",
        "--log-group-name",
        group,
        "--log-stream-name",
        "s",
        "--log-events",
        f"timestamp={now_ms()},message=hello",
    )
    shown = aws("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", "s").json
    assert [event["message"] for event in shown["events"]] == ["hello"]
    tailed = aws("logs", "tail", group, "--since", "5m", "--format", "short").text
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d hello\n", tailed)
    failed = aws("logs", "delete-log-group", "--log-group-name", group + "-no", check=False)
    command_failed(failed, "ResourceNotFoundException", "DeleteLogGroup", NO_GROUP)
    aws("logs", "delete-log-group", "--log-group-name", group)
