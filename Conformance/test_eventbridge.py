"""EventBridge: buses, rules, targets, events (sections 5.5, 6.4, 7.5 and 7.6 of the reference)."""

import json
import re
import threading

import boto3
import botocore.config
import pytest

from .conftest import role_of
from .expect import aws_error
from .harness import ACCOUNT, REGION, wait_for

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
RECEIVER = "import json\ndef handler(event, context):\n    print('got ' + json.dumps(event), flush=True)\n"


class Queue:
    def __init__(self, server, name, fifo=False, open_to=("events.amazonaws.com",)):
        self.sqs = server.client("sqs")
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
        self.url = self.sqs.create_queue(QueueName=name + (".fifo" if fifo else ""), Attributes=attributes)["QueueUrl"]
        self.arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if open_to:
            statement = {"Effect": "Allow", "Principal": {"Service": list(open_to)}, "Action": "sqs:SendMessage",
                         "Resource": self.arn}
            policy = {"Version": "2012-10-17", "Statement": [statement]}
            self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": json.dumps(policy)})

    def take(self, count=1):
        """Exactly so many messages; later ones stay."""
        taken = []

        def enough():
            answer = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=min(10, count - len(taken)), WaitTimeSeconds=1,
                MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message)
            return len(taken) >= count

        wait_for(enough)
        return taken

    def events(self, count=1):
        return [json.loads(message["Body"]) for message in self.take(count)]

    def is_empty(self):
        return "Messages" not in self.sqs.receive_message(QueueUrl=self.url)


@pytest.fixture
def queue(server, unique):
    return lambda **parameters: Queue(server, unique("queue"), **parameters)


@pytest.fixture
def events(client):
    return client("events")


@pytest.fixture
def make_rule(events, unique):
    """make_rule(pattern, target, …) gives the name of a rule whose source nobody else uses, and that source."""
    made = []

    def make(*targets, pattern=None, bus="default", source=None, **parameters):
        name = unique("rule")
        source = source or unique("source")
        events.put_rule(Name=name, EventBusName=bus,
                        EventPattern=json.dumps({"source": [source], **(pattern or {})}), **parameters)
        made.append((name, bus))
        targets = [{"Id": str(number), **target} for number, target in enumerate(targets)]
        if targets:
            assert events.put_targets(Rule=name, EventBusName=bus, Targets=targets)["FailedEntryCount"] == 0
        return name, source

    yield make
    for name, bus in made:
        ids = [target["Id"] for target in events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]]
        if ids:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=ids)
        events.delete_rule(Name=name, EventBusName=bus)


def put(events, source, detail=None, bus="default", type="kind", **more):
    answer = events.put_events(Entries=[
        {"Source": source, "DetailType": type, "Detail": json.dumps(detail or {}), "EventBusName": bus, **more}])
    assert answer["FailedEntryCount"] == 0, answer
    return answer["Entries"][0]["EventId"]


def stream_of(server, name):
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]


def records(kinesis, stream):
    """What is in the only shard, as soon as there is something."""
    shard = kinesis.list_shards(StreamARN=stream)["Shards"][0]["ShardId"]

    def read():
        iterator = kinesis.get_shard_iterator(StreamARN=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        return kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]

    return wait_for(read)


def test_an_event_to_a_queue(events, make_rule, queue):
    one = queue()
    _, source = make_rule({"Arn": one.arn}, pattern={"detail": {"n": [{"numeric": [">", 1]}]}})
    put(events, source, {"n": 1})
    id = put(events, source, {"n": 2, "text": "ü"}, Resources=["arn:aws:x"])
    (event,) = one.events()
    assert list(event) == ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event.pop("time"))
    assert event == {
        "version": "0", "id": id, "detail-type": "kind", "source": source, "account": ACCOUNT, "region": REGION,
        "resources": ["arn:aws:x"], "detail": {"n": 2, "text": "ü"},
    }
    assert re.fullmatch(UUID, id)


def test_every_kind_of_target(server, client, events, make_rule, queue, fast_function, unique):
    function = fast_function(RECEIVER)
    plain, fifo, behind_topic, behind_bus = queue(), queue(fifo=True), queue(open_to=["sns.amazonaws.com"]), queue()
    sns, logs = client("sns"), client("logs")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic}]}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=behind_topic.arn, Attributes={"RawMessageDelivery": "true"})
    group = "/aws/events/" + unique("group")
    logs.create_log_group(logGroupName=group)
    bus = unique("bus")
    bus_arn = events.create_event_bus(Name=bus)["EventBusArn"]
    _, source = make_rule({"Arn": behind_bus.arn}, bus=bus)
    stream, role = stream_of(server, unique("stream")), role_of(server)
    rule, _ = make_rule(
        {"Arn": function.arn}, {"Arn": plain.arn}, {"Arn": fifo.arn, "SqsParameters": {"MessageGroupId": "g"}},
        {"Arn": topic}, {"Arn": bus_arn}, source=source)
    make_rule(
        {"Arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"},
        {"Arn": stream, "RoleArn": role, "KinesisParameters": {"PartitionKeyPath": "$.detail.a"}}, source=source)
    function.client.add_permission(
        FunctionName=function.name, StatementId="events", Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com", SourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}")
    id = put(events, source, {"a": 1})
    (expected,) = plain.events()
    assert expected["id"] == id
    (in_order,) = fifo.take()
    assert json.loads(in_order["Body"]) == expected and in_order["Attributes"]["MessageGroupId"] == "g"
    assert behind_topic.events() == [expected]
    # Another bus gives the event on as it is.
    assert behind_bus.events() == [expected]
    wait_for(lambda: any(m.startswith("got ") for m in function.log_messages()))
    assert [json.loads(m[4:]) for m in function.log_messages() if m.startswith("got ")] == [expected]
    logged = wait_for(lambda: logs.filter_log_events(logGroupName=group)["events"])
    assert [json.loads(event["message"]) for event in logged] == [expected]
    (record,) = records(client("kinesis"), stream)
    assert json.loads(record["Data"]) == expected and record["PartitionKey"] == "1"


def test_inputs(events, make_rule, queue):
    one = queue()
    rule, source = make_rule(
        {"Arn": one.arn, "Input": '{"constant": true}'}, {"Arn": one.arn, "InputPath": "$.detail.list[1]"},
        {"Arn": one.arn, "InputTransformer": {
            "InputPathsMap": {"name": "$.detail.name", "list": "$.detail.list"},
            "InputTemplate": '{"n": <name>, "s": "name <name>", "l": <list>, "r": <aws.events.rule-name>}'}},
        {"Arn": one.arn, "InputTransformer": {
            "InputPathsMap": {"name": "$.detail.name"}, "InputTemplate": '"<name> has come"'}})
    put(events, source, {"name": 'a "b"', "list": [1, {"x": 2}]})
    bodies = sorted(message["Body"] for message in one.take(4))
    assert bodies == sorted([
        '{"constant": true}', '{"x":2}', '"a \\"b\\" has come"',
        '{"n": "a \\"b\\"", "s": "name a \\"b\\"", "l": [1,{"x":2}], "r": "%s"}' % rule])
    with aws_error("ValidationException", "InputTemplate for target t contains invalid placeholder notdefinedkey."):
        events.put_targets(Rule=rule, Targets=[
            {"Id": "t", "Arn": one.arn, "InputTransformer": {"InputTemplate": '"<notdefinedkey>"'}}])
    with aws_error("ValidationException", "Only one of Input, InputPath, or InputTransformer must be provided for target t."):
        events.put_targets(Rule=rule, Targets=[{"Id": "t", "Arn": one.arn, "InputPath": "$.a", "Input": "{}"}])


def test_without_permission_to_the_dead_letter_queue(events, make_rule, queue, fast_function):
    function = fast_function(RECEIVER)
    closed, dead = queue(open_to=None), queue()
    rule, source = make_rule(
        {"Arn": function.arn, "DeadLetterConfig": {"Arn": dead.arn}},
        {"Arn": closed.arn, "DeadLetterConfig": {"Arn": dead.arn}})
    id = put(events, source, {"a": 1})
    letters = {message["MessageAttributes"]["TARGET_ARN"]["StringValue"]: message for message in dead.take(2)}
    assert set(letters) == {function.arn, closed.arn}
    for letter in letters.values():
        assert json.loads(letter["Body"])["id"] == id
        attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
        assert attributes["RULE_ARN"] == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"
        assert attributes["ERROR_CODE"] == "NO_PERMISSIONS" and attributes["ERROR_MESSAGE"]
    assert closed.is_empty()


def test_a_target_that_is_gone(events, make_rule, queue):
    dead = queue()
    rule, source = make_rule({
        "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:there-is-no-such-queue", "DeadLetterConfig": {"Arn": dead.arn},
        "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}})
    put(events, source)
    (letter,) = dead.take()
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"


def test_put_events_fails_entry_by_entry(events, make_rule, queue):
    one = queue()
    _, source = make_rule({"Arn": one.arn})
    answer = events.put_events(Entries=[
        {"Source": source, "DetailType": "t", "Detail": "{}"},
        {"Source": source, "DetailType": "t", "Detail": "not json"},
        {"Source": source, "DetailType": "t", "Detail": '"text"'},
        {"DetailType": "t", "Detail": "{}"},
        {"Source": source, "Detail": "{}"},
        {"Source": source, "DetailType": "t"},
        {"Source": "aws.ec2", "DetailType": "t", "Detail": "{}"},
    ])
    assert answer["FailedEntryCount"] == 6
    assert [(e.get("ErrorCode"), e.get("ErrorMessage")) for e in answer["Entries"]] == [
        (None, None),
        ("MalformedDetail", "Detail is malformed."),
        ("MalformedDetail", "Detail is malformed."),
        ("InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
        ("InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument."),
        ("InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument."),
        ("NotAuthorizedForSourceException", "Not authorized for the source."),
    ]
    assert len(one.events()) == 1
    with aws_error("ValidationException", "Total size of the entries in the request is over the limit."):
        events.put_events(Entries=[{"Source": source, "DetailType": "t", "Detail": json.dumps({"a": "x" * 1_100_000})}])
    with aws_error("ValidationException"):
        events.put_events(Entries=[{"Source": source, "DetailType": "t", "Detail": "{}"}] * 11)


def test_patterns(events):
    event = {"id": "1", "account": ACCOUNT, "source": "a", "time": "2026-11-23T00:00:00Z", "region": REGION,
             "resources": [], "detail-type": "t", "detail": {"k": "value", "n": 3.0, "ip": "10.1.2.3"}}

    def result(pattern):
        return events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"]

    assert result({"detail": {"k": [{"prefix": "va"}], "n": [3], "ip": [{"cidr": "10.0.0.0/8"}]}})
    assert result({"$or": [{"source": ["b"]}, {"detail": {"k": [{"wildcard": "*l*e"}]}}]})
    assert not result({"detail": {"k": [{"anything-but": ["value"]}]}})
    with aws_error("InvalidEventPatternException", re.compile(re.escape("Event pattern is not valid. Reason: Empty arrays are not allowed"))):
        result({"source": []})
    with aws_error("ValidationException", "Parameter Event is not valid."):
        events.test_event_pattern(EventPattern='{"source":["a"]}', Event="text")


def test_a_hostile_wildcard_pattern_is_refused_soon(events):
    """AWS's text; the check must not take long, whatever the letters."""
    letters = "".join(chr(0x100 + number) for number in range(600))
    pattern = json.dumps({"a": [{"wildcard": "*" + letters}, {"wildcard": "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"}]}, ensure_ascii=False)
    with aws_error("InvalidEventPatternException", re.compile(re.escape("Rule is too complex"))):
        events.test_event_pattern(EventPattern=pattern, Event="{}")


def test_buses_and_permissions(server, events, make_rule, queue, unique):
    bus, one = unique("bus"), queue()
    arn = events.create_event_bus(Name=bus, Description="d", Tags=[{"Key": "k", "Value": "v"}])["EventBusArn"]
    assert arn == f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"
    with aws_error("ResourceAlreadyExistsException", f"Event bus {bus} already exists."):
        events.create_event_bus(Name=bus)
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    assert bus in [one["Name"] for one in events.list_event_buses(NamePrefix=bus)["EventBuses"]]
    _, source = make_rule({"Arn": one.arn}, bus=bus)
    foreign = server.client("events", account="111122223333")
    entry = {"Source": source, "DetailType": "t", "Detail": "{}", "EventBusName": arn}
    assert foreign.put_events(Entries=[entry])["Entries"][0]["ErrorCode"] == "AccessDeniedException"
    events.put_permission(EventBusName=bus, Action="events:PutEvents", Principal="111122223333", StatementId="s")
    assert foreign.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert one.events()[0]["account"] == "111122223333"
    with aws_error("ResourceNotFoundException", "Statement with the provided id does not exist."):
        events.remove_permission(EventBusName=bus, StatementId="other")
    events.remove_permission(EventBusName=bus, StatementId="s")
    assert "Policy" not in events.describe_event_bus(Name=bus)
    with aws_error("ValidationException", "Cannot delete event bus default."):
        events.delete_event_bus(Name="default")
    with aws_error("ResourceNotFoundException", "Event bus none does not exist."):
        events.describe_event_bus(Name="none")


def test_rules_and_their_errors(events, make_rule, queue, unique):
    one = queue()
    rule, source = make_rule({"Arn": one.arn}, Description="d")
    shown = events.describe_rule(Name=rule)
    assert (shown["State"], shown["Description"], shown["EventBusName"]) == ("ENABLED", "d", "default")
    assert shown["Arn"] == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"
    assert json.loads(shown["EventPattern"]) == {"source": [source]}
    assert events.list_rule_names_by_target(TargetArn=one.arn)["RuleNames"] == [rule]
    events.disable_rule(Name=rule)
    put(events, source)
    events.enable_rule(Name=rule)
    id = put(events, source)
    assert [event["id"] for event in one.events()] == [id]
    with aws_error("ValidationException", "Rule can't be deleted since it has targets."):
        events.delete_rule(Name=rule)
    with aws_error("ResourceNotFoundException", "Rule none does not exist on EventBus default."):
        events.describe_rule(Name="none")
    with aws_error("ValidationException", "Parameter ScheduleExpression is not valid."):
        events.put_rule(Name=unique("rule"), ScheduleExpression="rate(1 minutes)")
    with aws_error("LimitExceededException", "The requested resource exceeds the maximum number allowed."):
        events.put_targets(Rule=rule, Targets=[{"Id": f"t{n}", "Arn": one.arn} for n in range(6)])
    with aws_error("ValidationException", "1 validation error detected: Value '!@#$@!#$' at 'targets.1.member.id' "
                   "failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+"):
        events.put_targets(Rule=rule, Targets=[{"Id": "!@#$@!#$", "Arn": one.arn}])
    with pytest.raises(Exception, match="NotImplemented|not implemented"):
        events.list_archives()


def test_with_the_cli(aws, events, make_rule, queue):
    one = queue()
    rule, source = make_rule()
    aws("events", "put-targets", "--rule", rule, "--targets", f"Id=1,Arn={one.arn}")
    entry = {"Source": source, "DetailType": "t", "Detail": json.dumps({"from": "cli"})}
    answer = aws("events", "put-events", "--entries", json.dumps([entry])).json
    assert answer["FailedEntryCount"] == 0
    assert one.events()[0]["detail"] == {"from": "cli"}
    assert aws("events", "list-rules", "--name-prefix", rule).json["Rules"][0]["Name"] == rule


def test_destinations_of_functions(events, make_rule, queue, fast_function):
    """Lambda sends records of asynchronous invocations to a bus."""
    one = queue()
    function = fast_function("def handler(event, context):\n    if event['fail']:\n        raise ValueError('no')\n    return event\n")
    function.client.put_function_event_invoke_config(
        FunctionName=function.name, MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": {"Destination": BUS}, "OnFailure": {"Destination": BUS}})
    make_rule({"Arn": one.arn}, source="lambda",
              pattern={"resources": [f"{function.arn}:$LATEST"]})
    for fail in (False, True):
        function.invoke({"fail": fail}, InvocationType="Event")
        (event,) = one.events()
        kind = "Failure" if fail else "Success"
        assert event["source"] == "lambda"
        assert event["detail-type"] == f"Lambda Function Invocation Result - {kind}"
        assert event["resources"] == [BUS, f"{function.arn}:$LATEST"]
        assert event["detail"]["requestPayload"] == {"fail": fail}
        assert event["detail"]["requestContext"]["condition"] == ("RetriesExhausted" if fail else "Success")


def test_events_of_buckets(client, make_rule, queue, unique):
    one, bucket = queue(), unique("bucket")
    s3 = client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}
    make_rule({"Arn": one.arn}, source="aws.s3", pattern={"detail": {"bucket": {"name": [bucket]}}})
    s3.put_object(Bucket=bucket, Key="a b/ü.txt", Body=b"hello")
    (event,) = one.events()
    assert event["detail-type"] == "Object Created" and event["resources"] == [f"arn:aws:s3:::{bucket}"]
    detail = event["detail"]
    assert detail["object"].pop("sequencer")
    assert detail["object"] == {"key": "a b/ü.txt", "size": 5, "etag": "5d41402abc4b2a76b9719d911017c592"}
    assert (detail["reason"], detail["requester"], detail["version"]) == ("PutObject", ACCOUNT, "0")
    s3.delete_object(Bucket=bucket, Key="a b/ü.txt")
    (event,) = one.events()
    assert (event["detail-type"], event["detail"]["deletion-type"]) == ("Object Deleted", "Permanently Deleted")


def test_nothing_acknowledged_is_lost_over_kill_9(make_server, unique):
    """Events are put while the server is killed: each that was acknowledged is in both queues of its rule."""
    server = make_server()
    queues = [Queue(server, "q0"), Queue(server, "q1")]
    events = server.client("events")
    events.put_rule(Name="r", EventPattern='{"source":["app"]}')
    events.put_targets(Rule="r", Targets=[{"Id": str(n), "Arn": q.arn} for n, q in enumerate(queues)])
    acknowledged, stop = [], threading.Event()

    def work(number):
        mine = server_client(server)
        count = 0
        while not stop.is_set():
            try:
                entries = [{"Source": "app", "DetailType": "t", "Detail": json.dumps({"n": f"{number}-{count}-{i}"})}
                           for i in range(5)]
                answer = mine.put_events(Entries=entries)
                acknowledged.extend(entry["EventId"] for entry in answer["Entries"])
                count += 1
            except Exception:  # the server is down
                stop.wait(0.02)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(acknowledged)
        wait_for(lambda: len(acknowledged) > before + 50)
        server.restart("kill9")
    stop.set()
    for thread in threads:
        thread.join()
    for one in queues:
        seen = set()

        def drained():
            for message in one.sqs.receive_message(QueueUrl=one.url, MaxNumberOfMessages=10).get("Messages", []):
                seen.add(json.loads(message["Body"])["id"])
                one.sqs.delete_message(QueueUrl=one.url, ReceiptHandle=message["ReceiptHandle"])
            return seen >= set(acknowledged)

        wait_for(drained, interval_s=0)


def server_client(server):
    return boto3.session.Session().client(
        "events", endpoint_url=server.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=2))
