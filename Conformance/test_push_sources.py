"""Each source that pushes events into a function, with the same four proofs (section 6 of the reference): what it sends, that it
needs a permission, that what fails is tried again and ends in a dead-letter queue, and that nothing is lost over kill -9.

One function that always fails stands behind all of them, with a dead-letter queue, so that every event is seen as it was given to
the function, after all its attempts. What a rule's schedule sends is tested in Swift: its minutes are too long for here."""

import base64
import contextlib
import datetime
import gzip
import json
import random
import re
import threading
import urllib.parse

import pytest
from botocore.exceptions import ClientError

from .codecommit_helpers import Git, git_url
from .conftest import role_of
from .functions import FAST_MB
from .harness import ACCOUNT, REGION, wait_for

FAILS = "def handler(event, context):\n    print('ATTEMPT', context.aws_request_id, flush=True)\n    raise ValueError('no')\n"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
HEX_16 = r"[0-9A-F]{16}"
MILLISECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
SECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
OFFSET = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"
BUS = {"version": "0", "id": re.compile(UUID), "account": ACCOUNT, "time": re.compile(SECONDS), "region": REGION}
ANY = re.compile(r"[\s\S]+")


def fits(found, expected, place="event"):
    """The same keys in the same order everywhere, and values that are equal or match."""
    if isinstance(expected, re.Pattern):
        assert isinstance(found, str) and expected.fullmatch(found), f"{place}: {found!r} is not {expected.pattern}"
    elif isinstance(expected, type):
        assert type(found) is expected, f"{place}: {found!r}"
    elif isinstance(expected, dict):
        assert isinstance(found, dict), f"{place}: {found!r}"
        assert list(found) == list(expected), f"{place}: {list(found)}, not {list(expected)}"
        for key in expected:
            fits(found[key], expected[key], f"{place}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), f"{place}: {found!r}"
        for index, one in enumerate(expected):
            fits(found[index], one, f"{place}[{index}]")
    else:
        assert found == expected, f"{place}: {found!r}, not {expected!r}"


class House:
    """A server with a function that fails, its dead-letter queue, and every source set up to call it."""

    def __init__(self, server, function, queue_url, directory):
        self.server, self.function, self.url, self.directory = server, function, queue_url, directory
        self.arn = function.arn
        self.seen = []

    def client(self, name):
        return self.server.client(name)

    def permit(self, principal, source):
        self.client("lambda").add_permission(
            FunctionName=self.function.name, StatementId=principal.split(".")[0] + str(len(source)),
            Action="lambda:InvokeFunction", Principal=principal, SourceArn=source, SourceAccount=ACCOUNT)

    def letters(self):
        """What has come to the dead-letter queue until now: events and their attributes."""
        sqs = self.client("sqs")
        while messages := sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages"):
            for message in messages:
                attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
                self.seen.append((json.loads(message["Body"]), attributes))
                sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.seen

    def events(self):
        return [event for event, _ in self.letters()]


def make_house(server, make_function, directory):
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    server.client("iam").put_role_policy(
        RoleName=role_of(server).rsplit("/", 1)[1], PolicyName="dead", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
    function = make_function(
        FAILS, server=server, DeadLetterConfig={"TargetArn": arn}, MemorySize=FAST_MB, Timeout=10)
    return House(server, function, url, directory)


# The sources. Each knows how to be set up, to send the event number n, to tell which number an event has, and what it looks like.


class Bucket:
    principal, source = "s3.amazonaws.com", "arn:aws:s3:::photos"

    def create(self, house):
        house.client("s3").create_bucket(Bucket="photos")

    def connect(self, house):
        house.client("s3").put_bucket_notification_configuration(Bucket="photos", NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"Id": "cfg", "LambdaFunctionArn": house.arn, "Events": ["s3:ObjectCreated:*"]}]})

    def send(self, house, n):
        house.client("s3").put_object(Bucket="photos", Key=f"a b/{n}", Body=b"hello")

    def number(self, event):
        if event.get("Records", [{}])[0].get("eventSource") == "aws:s3":
            return urllib.parse.unquote_plus(event["Records"][0]["s3"]["object"]["key"]).split("/")[1]

    def shape(self, n):
        return {"Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION, "eventTime": re.compile(MILLISECONDS),
            "eventName": "ObjectCreated:Put", "userIdentity": {"principalId": ANY},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": ANY, "x-amz-id-2": ANY},
            "s3": {"s3SchemaVersion": "1.0", "configurationId": "cfg",
                   "bucket": {"name": "photos", "ownerIdentity": {"principalId": ANY}, "arn": self.source},
                   "object": {"key": f"a+b/{n}", "size": 5, "eTag": "5d41402abc4b2a76b9719d911017c592",
                              "sequencer": re.compile(HEX_16 + r"[0-9A-F]*")}}}]}


class Rule:
    principal, source = "events.amazonaws.com", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/app"

    def create(self, house):
        house.client("events").put_rule(Name="app", EventPattern='{"source":["app"]}')

    def connect(self, house):
        house.client("events").put_targets(Rule="app", Targets=[{"Id": "f", "Arn": house.arn}])

    def send(self, house, n):
        answer = house.client("events").put_events(Entries=[
            {"Source": "app", "DetailType": "kind", "Detail": json.dumps({"n": str(n)}), "Resources": ["arn:aws:x"]}])
        assert answer["FailedEntryCount"] == 0

    def number(self, event):
        if event.get("source") == "app":
            return event["detail"]["n"]

    def shape(self, n):
        return in_order({**BUS, "detail-type": "kind", "source": "app", "resources": ["arn:aws:x"], "detail": {"n": str(n)}})


def in_order(event):
    return {key: event[key] for key in (
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")}


class Alarm:
    principal = "lambda.alarms.cloudwatch.amazonaws.com"
    source = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:loud"

    def create(self, house):
        self.put(house)

    def put(self, house, **more):
        # It is set by hand only: evaluations leave it alone.
        house.client("cloudwatch").put_metric_alarm(
            AlarmName="loud", Namespace="app", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Dimensions=[{"Name": "Host", "Value": "a"}], Threshold=2.0, ComparisonOperator="GreaterThanThreshold",
            AlarmDescription="d", TreatMissingData="ignore", **more)

    def connect(self, house):
        self.put(house, AlarmActions=[house.arn])

    def send(self, house, n):
        cloudwatch = house.client("cloudwatch")
        cloudwatch.set_alarm_state(AlarmName="loud", StateValue="OK", StateReason="rest")
        cloudwatch.set_alarm_state(
            AlarmName="loud", StateValue="ALARM", StateReason=f"number {n}", StateReasonData='{"by":"hand"}')

    def number(self, event):
        if event.get("alarmArn") == self.source:
            return event["alarmData"]["state"]["reason"].removeprefix("number ")

    def shape(self, n):
        return {
            "source": "aws.cloudwatch", "alarmArn": self.source, "accountId": ACCOUNT, "time": re.compile(OFFSET),
            "region": REGION, "alarmData": {
                "alarmName": "loud",
                "state": {"value": "ALARM", "reason": f"number {n}", "reasonData": '{"by":"hand"}',
                          "timestamp": re.compile(OFFSET)},
                "previousState": {"value": "OK", "reason": "rest", "timestamp": re.compile(OFFSET)},
                "configuration": {"description": "d", "metrics": [{
                    "id": re.compile(UUID), "metricStat": {
                        "metric": {"namespace": "app", "name": "m", "dimensions": {"Host": "a"}}, "period": 60,
                        "stat": "Sum"},
                    "returnData": True}]}}}


class Subscription:
    principal, source = "logs.amazonaws.com", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:lines:*"

    def create(self, house):
        logs = house.client("logs")
        logs.create_log_group(logGroupName="lines")
        logs.create_log_stream(logGroupName="lines", logStreamName="one")

    def connect(self, house):
        house.client("logs").put_subscription_filter(
            logGroupName="lines", filterName="all", filterPattern="[word, n]", destinationArn=house.arn)

    def send(self, house, n):
        now = int(datetime.datetime.now().timestamp() * 1000)
        house.client("logs").put_log_events(
            logGroupName="lines", logStreamName="one", logEvents=[{"timestamp": now, "message": f"line {n}"}])

    def numbers(self, event):
        if "awslogs" in event:
            return [one["message"].removeprefix("line ") for one in self.document(event)["logEvents"]]
        return []

    @staticmethod
    def document(event):
        assert list(event) == ["awslogs"] and list(event["awslogs"]) == ["data"]
        return json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))

    def shape(self, n):
        return {"messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": "lines", "logStream": "one",
                "subscriptionFilters": ["all"],
                "logEvents": [{"id": re.compile(r"\d{56}"), "timestamp": int, "message": f"line {n}",
                               "extractedFields": {"word": "line", "n": str(n)}}]}


class Repository:
    principal, source = "codecommit.amazonaws.com", f"arn:aws:codecommit:{REGION}:{ACCOUNT}:code"

    def create(self, house):
        house.client("codecommit").create_repository(repositoryName="code")
        self.git = Git(house.directory / "work", git_url(house.server, "code")).init()
        self.head = self.git.commit({"a": "1"})

    def connect(self, house):
        self.configuration = house.client("codecommit").put_repository_triggers(repositoryName="code", triggers=[
            {"name": "call", "destinationArn": house.arn, "customData": "mine", "events": ["all"], "branches": []}])

    def send(self, house, n):
        self.git.run("push", "-q", "origin", f"HEAD:refs/heads/b{n}")

    def number(self, event):
        if event.get("Records", [{}])[0].get("eventSource") == "aws:codecommit":
            return event["Records"][0]["codecommit"]["references"][0]["ref"].removeprefix("refs/heads/b")

    def shape(self, n):
        return {"Records": [{
            "awsRegion": REGION,
            "codecommit": {"references": [{"commit": self.head, "created": True, "ref": f"refs/heads/b{n}"}]},
            "customData": "mine", "eventId": re.compile(UUID), "eventName": "ReferenceChanges", "eventPartNumber": 1,
            "eventSource": "aws:codecommit", "eventSourceARN": self.source, "eventTime": re.compile(OFFSET),
            "eventTotalParts": 1, "eventTriggerConfigId": self.configuration["configurationId"],
            "eventTriggerName": "call", "eventVersion": "1.0",
            "userIdentityARN": f"arn:aws:iam::{ACCOUNT}:root"}]}


class ServiceEvents(Rule):
    """Events of CodeCommit on the bus, by a rule."""

    source = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/commits"

    def __init__(self, repository):
        self.repository = repository

    def create(self, house):
        house.client("events").put_rule(Name="commits", EventPattern='{"source":["aws.codecommit"]}')

    def connect(self, house):
        house.client("events").put_targets(Rule="commits", Targets=[{"Id": "f", "Arn": house.arn}])

    def send(self, house, n):
        """The pushes to the repository are sent already."""

    def number(self, event):
        if event.get("source") == "aws.codecommit":
            return event["detail"]["referenceName"].removeprefix("b")

    def shape(self, n):
        return in_order({
            **BUS, "detail-type": "CodeCommit Repository State Change", "source": "aws.codecommit",
            "resources": [self.repository.source], "detail": {
                "callerUserArn": f"arn:aws:iam::{ACCOUNT}:root", "commitId": self.repository.head,
                "event": "referenceCreated", "referenceFullName": f"refs/heads/b{n}", "referenceName": f"b{n}",
                "referenceType": "branch", "repositoryId": re.compile(UUID), "repositoryName": "code"}})


class Calls(Rule):
    """Calls of S3's API on the bus, in CloudTrail's shape, by a rule."""

    source = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/calls"

    def create(self, house):
        house.client("events").put_rule(Name="calls", EventPattern=json.dumps({
            "source": ["aws.s3"], "detail-type": ["AWS API Call via CloudTrail"], "detail": {"eventName": ["PutObject"]}}))

    def connect(self, house):
        house.client("events").put_targets(Rule="calls", Targets=[{"Id": "f", "Arn": house.arn}])

    def send(self, house, n):
        """The objects of the bucket are put already."""

    def number(self, event):
        if event.get("source") == "aws.s3":
            return event["detail"]["requestParameters"]["key"].split("/")[1]

    def shape(self, n):
        return None  # Key by key in test_cloudtrail_events.py.


class Schedule:
    """Needs no policy of the function: the schedule's role is asked."""

    principal = None

    def create(self, house):
        self.role = role_of(house.server)

    def connect(self, house):
        pass

    def send(self, house, n):
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
        house.client("scheduler").create_schedule(
            Name=f"s{n}", ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})", FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": house.arn, "RoleArn": self.role})

    def number(self, event):
        if event.get("source") == "aws.scheduler":
            return event["resources"][0].rsplit("/s", 1)[1]

    def shape(self, n):
        return in_order({
            **BUS, "detail-type": "Scheduled Event", "source": "aws.scheduler",
            "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/s{n}"], "detail": "{}"})


def sources():
    repository = Repository()
    return [Bucket(), Rule(), Alarm(), Subscription(), repository, ServiceEvents(repository), Calls(), Schedule()]


def numbers(source, events):
    if isinstance(source, Subscription):
        return [number for event in events for number in source.numbers(event)]
    return [number for event in events if (number := source.number(event)) is not None]


@pytest.fixture
def house(make_server, make_function, tmp_path):
    return make_house(make_server("--time-scale", "6000"), make_function, tmp_path)


def test_shapes_permissions_retries_and_dead_letters(house):
    all_sources = sources()
    for source in all_sources:
        source.create(house)
    # Without a policy: refused when it is connected, or when an event is sent; nothing reaches the function.
    closed = [source for source in all_sources if source.principal]
    refused = []
    for source in closed:
        try:
            source.connect(house)
        except ClientError as error:
            refused.append((type(source), error.response["Error"]["Code"]))
    assert refused == [(Bucket, "InvalidArgument"), (Subscription, "InvalidParameterException")]
    for source in closed:
        source.send(house, 0)
    history = lambda: house.client("cloudwatch").describe_alarm_history(
        AlarmName="loud", HistoryItemType="Action")["AlarmHistoryItems"]
    wait_for(lambda: any("Failed to execute action" in item["HistorySummary"] for item in history()))

    for source in closed:
        house.permit(source.principal, source.source)
        source.connect(house)
    for source in all_sources:
        source.send(house, 1)
    def is_complete():
        events = house.events()
        return all("1" in numbers(source, events) for source in all_sources)

    wait_for(is_complete)
    for source in all_sources:
        found = [(event, attributes) for event, attributes in house.letters() if "1" in numbers(source, [event])]
        event, attributes = found[0]
        if shape := source.shape(1):
            fits(source.document(event) if isinstance(source, Subscription) else event, shape, type(source).__name__)
        # After the first attempt and two more (the log may be a moment behind).
        request = attributes["RequestID"]
        assert attributes["ErrorCode"] == "200" and "no" in attributes["ErrorMessage"]
        wait_for(lambda: sum(
            line.startswith("ATTEMPT " + request) for line in house.function.log_messages()) >= 3)
        # What was refused stays refused: nothing of it comes later, but what its source tries again until it is accepted.
        assert "0" not in numbers(source, house.events()) or type(source) in (
            Bucket, Rule, Alarm, ServiceEvents, Calls, Repository)


def test_nothing_is_lost_over_kill_9(make_server, make_function, tmp_path):
    """Every event that was acknowledged ends in the dead-letter queue, over kills among sending, handing over and failing."""
    house = make_house(make_server("--time-scale", "6000"), make_function, tmp_path)
    house.client("lambda").put_function_event_invoke_config(FunctionName=house.function.name, MaximumRetryAttempts=0)
    all_sources = sources()
    for source in all_sources:
        source.create(house)
        if source.principal:
            house.permit(source.principal, source.source)
        source.connect(house)
    senders = [source for source in all_sources if not isinstance(source, (ServiceEvents, Calls))]
    acknowledged = {source: set() for source in senders}
    stop = threading.Event()

    def work(source):
        n = 0
        while not stop.is_set():
            n += 1
            with contextlib.suppress(Exception):
                source.send(house, n)
                acknowledged[source].add(str(n))
            # Not so fast that the function has an hour of work, nor that a server that starts has none of the processor.
            stop.wait(0.05)

    threads = [threading.Thread(target=work, args=(source,)) for source in senders]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = {source: len(done) for source, done in acknowledged.items()}
            wait_for(lambda: all(len(acknowledged[source]) > before[source] for source in senders))
            house.server.restart("kill9")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    acknowledged = {source: acknowledged.get(source) for source in all_sources}
    for source, other in ((Calls, Bucket), (ServiceEvents, Repository)):
        one, = (s for s in all_sources if type(s) is source)
        acknowledged[one] = acknowledged[next(s for s in all_sources if type(s) is other)]

    def missing():
        events = house.events()
        return {type(source).__name__: left for source, done in acknowledged.items()
                if (left := done - set(numbers(source, events)))}

    with contextlib.suppress(AssertionError):
        wait_for(lambda: not missing(), 60, 0.2)
    assert missing() == {}
