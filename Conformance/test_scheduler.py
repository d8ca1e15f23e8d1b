"""EventBridge Scheduler (sections 6.4 and 7.7 of the reference). Times are a second or two away; cron is tested in Swift."""

import datetime
import json
import re

import pytest

from .expect import aws_error
from .harness import ACCOUNT, REGION, wait_for
from .test_eventbridge import RECEIVER, Queue, records, stream_of

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def role(server, name, policy=POLICY):
    iam = server.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return arn


def soon(seconds=1):
    """An `at` expression so many whole seconds from now, or a little later."""
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds + 0.5)
    return f"at({time:%Y-%m-%dT%H:%M:%S})"


@pytest.fixture
def scheduler(client):
    return client("scheduler")


@pytest.fixture
def role_arn(server, unique):
    return role(server, unique("role"))


@pytest.fixture
def queue(server, unique):
    return lambda **parameters: Queue(server, unique("queue"), **{"open_to": None, **parameters})


def create(scheduler, name, expression, target, **more):
    return scheduler.create_schedule(
        Name=name, ScheduleExpression=expression, Target=target,
        **{"FlexibleTimeWindow": {"Mode": "OFF"}, **more})["ScheduleArn"]


def test_a_rate_begins_at_once(scheduler, role_arn, queue, unique):
    one, name = queue(), unique("schedule")
    text = '{"arn":"<aws.scheduler.schedule-arn>","time":"<aws.scheduler.scheduled-time>","id":"<aws.scheduler.execution-id>","attempt":"<aws.scheduler.attempt-number>"}'
    arn = create(scheduler, name, "rate(1 hour)", {"Arn": one.arn, "RoleArn": role_arn, "Input": text})
    assert arn == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{name}"
    (event,) = one.events()
    assert event.pop("id") and event.pop("time").endswith("Z")
    assert event == {"arn": arn, "attempt": "1"}
    scheduler.delete_schedule(Name=name)


def test_every_target_once(server, client, scheduler, role_arn, queue, fast_function, unique):
    function, plain, fifo = fast_function(RECEIVER), queue(), queue(fifo=True)
    behind_topic, behind_bus = queue(open_to=["sns.amazonaws.com"]), queue(open_to=["events.amazonaws.com"])
    sns, events = client("sns"), client("events")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=behind_topic.arn, Attributes={"RawMessageDelivery": "true"})
    stream = stream_of(server, unique("stream"))
    bus = unique("bus")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    events.put_rule(Name="r", EventBusName=bus, EventPattern='{"source":["app"]}')
    events.put_targets(Rule="r", EventBusName=bus, Targets=[{"Id": "1", "Arn": behind_bus.arn}])
    group = unique("group")
    scheduler.create_schedule_group(Name=group)
    at = soon()
    for number, target in enumerate([
        {"Arn": function.arn}, {"Arn": plain.arn}, {"Arn": fifo.arn, "SqsParameters": {"MessageGroupId": "g"}},
        {"Arn": topic}, {"Arn": stream, "KinesisParameters": {"PartitionKey": "k"}}, {"Arn": bus_arn, "EventBridgeParameters": {"DetailType": "t", "Source": "app"}},
    ]):
        create(scheduler, f"s{number}", at, {"RoleArn": role_arn, "Input": '{"a": 1}', **target}, GroupName=group,
               ActionAfterCompletion="DELETE")
    for one in (plain, fifo, behind_topic):
        assert one.take()[0]["Body"] == '{"a": 1}'
    (event,) = behind_bus.events()
    assert (event["source"], event["detail-type"], event["detail"]) == ("app", "t", {"a": 1})
    assert event["resources"] == [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{group}/s5"]
    wait_for(lambda: any(message.startswith('got {"a": 1}') for message in function.log_messages()))
    (record,) = records(client("kinesis"), stream)
    assert (record["Data"], record["PartitionKey"]) == (b'{"a": 1}', "k")
    # They have gone after their only time.
    wait_for(lambda: scheduler.list_schedules(GroupName=group)["Schedules"] == [])
    scheduler.delete_schedule_group(Name=group)
    with aws_error("ResourceNotFoundException", f"Schedule group {group} does not exist.", status=404):
        scheduler.get_schedule_group(Name=group)


def test_a_denied_role_and_the_dead_letter_queue(server, client, scheduler, queue, unique):
    closed, dead, name = queue(), queue(), unique("schedule")
    denied = role(server, unique("role"), {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": closed.arn}]})
    arn = create(scheduler, name, soon(0), {
        "Arn": closed.arn, "RoleArn": denied, "Input": "payload", "DeadLetterConfig": {"Arn": dead.arn},
        "RetryPolicy": {"MaximumRetryAttempts": 1}})
    (letter,) = dead.take()
    assert letter["Body"] == "payload"
    attributes = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert attributes["SCHEDULE_ARN"] == arn and attributes["TARGET_ARN"] == closed.arn
    assert "AccessDenied" in attributes["ERROR_CODE"] and attributes["EXECUTION_ID"]
    # Names and forms of the user guide, "Retrieve the dead-letter event"; nothing was retried.
    assert datetime.datetime.strptime(attributes["SCHEDULED_TIME"], "%Y-%m-%dT%H:%M:%SZ")
    assert (attributes["IS_PAYLOAD_TRUNCATED"], attributes["RETRY_ATTEMPTS"]) == ("false", "0")
    assert set(attributes) == {"SCHEDULE_ARN", "EXECUTION_ID", "SCHEDULED_TIME", "IS_PAYLOAD_TRUNCATED", "TARGET_ARN",
                               "ERROR_CODE", "ERROR_MESSAGE", "RETRY_ATTEMPTS"}
    assert closed.is_empty()


def test_default_payload(scheduler, role_arn, queue, unique):
    one, name = queue(), unique("schedule")
    arn = create(scheduler, name, soon(0), {"Arn": one.arn, "RoleArn": role_arn})
    (event,) = one.events()
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.scheduler", "Scheduled Event", "{}")
    assert event["resources"] == [arn]
    # It stays after its only time.
    assert scheduler.get_schedule(Name=name)["State"] == "ENABLED"


def test_what_is_kept_is_shown(scheduler, role_arn, queue, unique):
    one, name = queue(), unique("schedule")
    start = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    target = {"Arn": one.arn, "RoleArn": role_arn, "Input": "x", "RetryPolicy": {"MaximumRetryAttempts": 3}}
    arn = create(
        scheduler, name, "cron(0 9 ? * MON#1 *)", target, StartDate=start, EndDate=start + datetime.timedelta(days=400),
        ScheduleExpressionTimezone="America/New_York", Description="d", State="DISABLED",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}, ActionAfterCompletion="DELETE")
    shown = scheduler.get_schedule(Name=name)
    assert shown.pop("CreationDate") and shown.pop("LastModificationDate")
    shown.pop("ResponseMetadata")
    assert shown == {
        "Arn": arn, "Name": name, "GroupName": "default", "ScheduleExpression": "cron(0 9 ? * MON#1 *)",
        "ScheduleExpressionTimezone": "America/New_York", "StartDate": start, "Description": "d", "State": "DISABLED",
        "EndDate": start + datetime.timedelta(days=400), "ActionAfterCompletion": "DELETE",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "Target": {**target, "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 86400}},
    }
    (item,) = scheduler.list_schedules(NamePrefix=name)["Schedules"]
    assert (item["Arn"], item["State"], item["Target"]) == (arn, "DISABLED", {"Arn": one.arn})
    scheduler.update_schedule(
        Name=name, ScheduleExpression=soon(0), Target=target, FlexibleTimeWindow={"Mode": "OFF"})
    assert one.take()[0]["Body"] == "x"
    assert "Description" not in scheduler.get_schedule(Name=name)


@pytest.mark.parametrize("expression", [
    " rate(10 minutes)", "at(2021-12-31)", "at(2021-12-31T23:59:59Z)", "rate(10 seconds)", "rate(0 minutes)",
    "cron(0 1 * * * *)", "cron(71 8 1 * ? *)", "cron(INVALID)", "tomorrow", "cron(" + "9" * 200 + ")",
])
def test_expressions_that_are_none(scheduler, role_arn, expression):
    with aws_error("ValidationException", f"Invalid Schedule Expression {expression}."):
        create(scheduler, "s", expression, {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", "RoleArn": role_arn})


def test_errors(scheduler, role_arn, queue, unique):
    one, name = queue(), unique("schedule")
    target = {"Arn": one.arn, "RoleArn": role_arn}
    create(scheduler, name, "rate(1 day)", target, State="DISABLED")
    with aws_error("ConflictException", f"Schedule {name} already exists.", status=409):
        create(scheduler, name, "rate(1 day)", target)
    with aws_error("ResourceNotFoundException", "Schedule none does not exist.", status=404):
        scheduler.get_schedule(Name="none")
    with aws_error("ValidationException", re.compile(re.escape("universal"))):
        create(scheduler, unique("schedule"), "rate(1 day)", {**target, "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"})
    with aws_error("ValidationException", "The StartDate you specify cannot be earlier than 5 minutes ago."):
        create(scheduler, unique("schedule"), "rate(1 day)", target, StartDate=datetime.datetime(2020, 1, 1))


def test_with_the_cli(aws, role_arn, queue, unique):
    one, name = queue(), unique("schedule")
    target = json.dumps({"Arn": one.arn, "RoleArn": role_arn, "Input": "from the cli"})
    answer = aws("scheduler", "create-schedule", "--name", name, "--schedule-expression", "rate(5 minutes)",
                 "--flexible-time-window", '{"Mode":"OFF"}', "--target", target).json
    assert answer["ScheduleArn"].endswith(f"schedule/default/{name}")
    assert one.take()[0]["Body"] == "from the cli"
    aws("scheduler", "delete-schedule", "--name", name)


def test_rules_with_a_schedule(client, queue, unique):
    """A rule's rate counts from when it was put; here only what is shown of it. Times are tested in Swift."""
    events, name = client("events"), unique("rule")
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)", State="DISABLED")
    shown = events.describe_rule(Name=name)
    assert (shown["ScheduleExpression"], shown["State"]) == ("rate(1 minute)", "DISABLED")
    events.delete_rule(Name=name)


def test_no_schedule_is_skipped_over_kill_9(make_server):
    """Schedules fall due one after the other while the server is killed again and again."""
    server = make_server()
    one = Queue(server, "q", open_to=None)
    scheduler, arn = server.client("scheduler"), role(server, "r")
    expected = set()
    for number in range(120):
        # Within the next three seconds, and some that are due while the server is down.
        create(scheduler, f"s{number}", soon(number % 4), {"Arn": one.arn, "RoleArn": arn, "Input": str(number)})
        expected.add(str(number))
        if number in (40, 80, 119):
            server.restart("kill9")
    seen = set()

    def drained():
        for message in one.sqs.receive_message(QueueUrl=one.url, MaxNumberOfMessages=10).get("Messages", []):
            # The firing and the next time are one commit: nothing comes twice.
            assert message["Body"] not in seen
            seen.add(message["Body"])
            one.sqs.delete_message(QueueUrl=one.url, ReceiptHandle=message["ReceiptHandle"])
        return seen == expected

    wait_for(drained, interval_s=0.01)
