"""Event source mappings with SQS queues: real functions, real queues."""

import json
import time

import pytest
from botocore.exceptions import ClientError

from .harness import wait_for, zip_bytes

ECHO = """
    import json, os, boto3

    def handler(event, context):
        for record in event["Records"]:
            print(json.dumps(record))
        return None
"""


class Queue:
    def __init__(self, server, name, **attributes):
        self.sqs = server.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        got = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = got["Attributes"]["QueueArn"]

    def send(self, body, **more):
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def counts(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                 "ApproximateNumberOfMessagesDelayed"]
        got = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return tuple(int(got[name]) for name in names)

    def is_empty(self):
        return self.counts() == (0, 0, 0)

    def drain(self):
        """The bodies of all visible messages, which are deleted."""
        bodies = []
        while True:
            got = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
            if not got:
                return bodies
            for message in got:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def make_queue(server, unique):
    def make(name=None, server=server, fifo=False, **attributes):
        name = (name or unique("queue")) + (".fifo" if fifo else "")
        if fifo:
            attributes.setdefault("FifoQueue", "true")
            attributes.setdefault("ContentBasedDeduplication", "true")
        return Queue(server, name, **attributes)

    return make


@pytest.fixture
def make_mapping(server):
    """Makes a mapping, waits until it is enabled, and deletes it after the test."""
    made = []

    def make(function, queue, *, wait=True, server=server, **parameters):
        client = server.client("lambda")
        mapping = client.create_event_source_mapping(
            FunctionName=function.name, EventSourceArn=queue.arn, **parameters
        )
        made.append((server, mapping["UUID"]))
        if wait:
            wait_for(lambda: state(client, mapping) in ("Enabled", "Disabled"))
        return mapping

    yield make
    for server_, uuid in made:
        if server_.process is None:
            continue
        try:
            server_.client("lambda").delete_event_source_mapping(UUID=uuid)
        except ClientError:
            pass


def state(client, mapping):
    return client.get_event_source_mapping(UUID=mapping["UUID"])["State"]


def records(function):
    """The records that the function printed."""
    found = []
    for line in function.log_messages():
        line = line.strip()
        if line.startswith('{"messageId"'):
            found.append(json.loads(line))
    return found


def test_record(fast_function, make_queue, make_mapping):
    function = fast_function(ECHO)
    queue = make_queue()
    make_mapping(function, queue)
    sent = queue.send(
        'a "quoted" body\nwith é',
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "v"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x01\x02\x03"},
            "number": {"DataType": "Number.int", "StringValue": "7"},
        },
    )
    wait_for(lambda: records(function))
    [record] = records(function)
    assert list(record) == [
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfMessageAttributes", "md5OfBody",
        "eventSource", "eventSourceARN", "awsRegion",
    ]
    assert record["messageId"] == sent["MessageId"]
    assert record["body"] == 'a "quoted" body\nwith é'
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert record["md5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == queue.arn
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(record["attributes"])
    assert record["messageAttributes"]["text"] == {
        "stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String"
    }
    assert record["messageAttributes"]["bytes"]["binaryValue"] == "AQID"
    wait_for(queue.is_empty)


def test_created_after_messages_and_batches(fast_function, make_queue, make_mapping):
    function = fast_function("def handler(event, context): print('BATCH', len(event['Records']))")
    queue = make_queue()
    for start in range(0, 40, 10):
        queue.sqs.send_message_batch(
            QueueUrl=queue.url,
            Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(start, start + 10)],
        )
    make_mapping(function, queue, BatchSize=4)
    wait_for(queue.is_empty)
    wait_for(lambda: sum(int(line.split()[1]) for line in function.log_messages() if line.startswith("BATCH")) == 40)
    sizes = [int(line.split()[1]) for line in function.log_messages() if line.startswith("BATCH")]
    assert max(sizes) == 4


def test_batching_window_collects(fast_function, make_queue, make_mapping):
    function = fast_function("def handler(event, context): print('BATCH', len(event['Records']))")
    queue = make_queue()
    make_mapping(function, queue, BatchSize=100, MaximumBatchingWindowInSeconds=2)
    for index in range(15):
        queue.send(str(index))
    wait_for(queue.is_empty)
    wait_for(lambda: [line.strip() for line in function.log_messages() if line.startswith("BATCH")] == ["BATCH 15"])


def test_function_error_comes_again_and_ends_in_the_dead_letter_queue(fast_function, make_queue, make_mapping):
    function = fast_function("def handler(event, context): raise ValueError(event['Records'][0]['body'])", Timeout=1)
    dead = make_queue()
    queue = make_queue(
        VisibilityTimeout="1",
        RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 3}),
    )
    make_mapping(function, queue)
    queue.send("poison")
    wait_for(lambda: dead.counts()[0] == 1, seconds=30)
    assert queue.is_empty()
    [message] = dead.sqs.receive_message(
        QueueUrl=dead.url, MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert message["Body"] == "poison"
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == queue.arn
    starts = [line for line in function.log_messages() if line.startswith("START")]
    assert len(starts) == 3


def test_partial_batch_response(fast_function, make_queue, make_mapping):
    function = fast_function(
        """
        def handler(event, context):
            bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
            print("SEEN", " ".join(r["body"] for r in event["Records"]))
            return {"batchItemFailures": [{"itemIdentifier": i} for i in bad]}
        """, Timeout=1)
    dead = make_queue()
    queue = make_queue(
        VisibilityTimeout="1",
        RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2}),
    )
    for body in ("one", "bad", "two"):
        queue.send(body)
    make_mapping(function, queue, FunctionResponseTypes=["ReportBatchItemFailures"])
    wait_for(lambda: dead.counts()[0] == 1, seconds=30)
    assert dead.drain() == ["bad"]
    seen = " ".join(line[5:] for line in function.log_messages() if line.startswith("SEEN"))
    assert sorted(seen.split()) == ["bad", "bad", "one", "two"]


@pytest.mark.parametrize(
    "answer, fails",
    [
        ('{"batchItemFailures": []}', False),
        ('{"batchItemFailures": None}', False),
        ("{}", False),
        ("None", False),
        ('{"batchItemFailures": [{"itemIdentifier": ""}]}', True),
        ('{"batchItemFailures": [{"itemIdentifier": None}]}', True),
        ('{"batchItemFailures": [{"itemIdentifier": "unknown"}]}', True),
        ('{"batchItemFailures": [{"foo": event["Records"][0]["messageId"]}]}', True),
    ],
)
def test_partial_batch_answers(fast_function, make_queue, make_mapping, answer, fails):
    function = fast_function(f"def handler(event, context): return {answer}", Timeout=1)
    dead = make_queue()
    queue = make_queue(
        VisibilityTimeout="1",
        RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1}),
    )
    make_mapping(function, queue, FunctionResponseTypes=["ReportBatchItemFailures"])
    queue.send("x")
    wait_for(queue.is_empty, seconds=30)
    assert dead.counts()[0] == (1 if fails else 0)


@pytest.mark.parametrize(
    "pattern, bodies, passing",
    [
        ({"body": {"kind": ["good"]}}, ['{"kind":"good"}', '{"kind":"bad"}', "plain"], ['{"kind":"good"}']),
        ({"body": [{"prefix": "pla"}]}, ["plain", "other", '{"a":1}'], ["plain"]),
        ({"messageAttributes": {"t": {"stringValue": ["yes"]}}}, ["plain"], []),
        ({"eventSource": ["aws:sqs"]}, ["plain", '{"a":1}'], ["plain", '{"a":1}']),
    ],
)
def test_filters(fast_function, make_queue, make_mapping, pattern, bodies, passing):
    function = fast_function(ECHO)
    queue = make_queue()
    make_mapping(function, queue, FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    for body in bodies:
        queue.send(body)
    # What does not pass is deleted.
    wait_for(queue.is_empty)
    wait_for(lambda: sorted(r["body"] for r in records(function)) == sorted(passing))


def test_fifo_order(fast_function, make_queue, make_mapping):
    function = fast_function(ECHO)
    queue = make_queue(fifo=True)
    make_mapping(function, queue, BatchSize=3)
    for index in range(30):
        queue.send(f"{index:03}", MessageGroupId=f"g{index % 3}")
    wait_for(queue.is_empty)
    wait_for(lambda: len(records(function)) == 30)
    for group in ("g0", "g1", "g2"):
        mine = [r for r in records(function) if r["attributes"]["MessageGroupId"] == group]
        assert {"SequenceNumber", "MessageDeduplicationId"} <= set(mine[0]["attributes"])
        assert [r["body"] for r in mine] == sorted(r["body"] for r in mine)


def test_disabled_and_enabled(client, fast_function, make_queue, make_mapping):
    function = fast_function(ECHO)
    queue = make_queue()
    mapping = make_mapping(function, queue)
    lambda_ = client("lambda")
    off = lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    assert off["State"] == "Disabling"
    wait_for(lambda: state(lambda_, mapping) == "Disabled")
    queue.send("later")
    time.sleep(0.3)
    assert queue.counts()[0] == 1
    on = lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert on["State"] == "Enabling"
    wait_for(queue.is_empty)
    wait_for(lambda: [r["body"] for r in records(function)] == ["later"])


def test_disabled_while_a_batch_runs(client, fast_function, make_queue, make_mapping):
    function = fast_function("import time\ndef handler(event, context): time.sleep(1.5)", Timeout=5)
    queue = make_queue(VisibilityTimeout="30")
    mapping = make_mapping(function, queue, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    for index in range(4):
        queue.send(str(index))
    wait_for(lambda: queue.counts()[1] == 2)
    lambda_ = client("lambda")
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    assert state(lambda_, mapping) == "Disabling"
    wait_for(lambda: state(lambda_, mapping) == "Disabled")
    # What ran was finished, the rest is there for others.
    assert queue.counts() == (2, 0, 0)


def test_maximum_concurrency(fast_function, make_queue, make_mapping):
    function = fast_function(
        """
        import time
        def handler(event, context):
            print("FROM", time.time()); time.sleep(0.4); print("TO", time.time())
        """)
    queue = make_queue()
    for index in range(8):
        queue.send(str(index))
    make_mapping(function, queue, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    wait_for(queue.is_empty, seconds=30)
    wait_for(lambda: sum(line.startswith("TO") for line in function.log_messages()) == 8)
    changes = []
    for line in function.log_messages():
        if line.startswith(("FROM", "TO")):
            word, when = line.split()
            changes.append((float(when), 1 if word == "FROM" else -1))
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    assert most == 2


def test_throttled_batch_waits(client, fast_function, make_queue, make_mapping):
    function = fast_function(ECHO)
    queue = make_queue()
    make_mapping(function, queue)
    lambda_ = client("lambda")
    lambda_.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    queue.send("x")
    wait_for(lambda: queue.counts()[1] == 1)
    lambda_.delete_function_concurrency(FunctionName=function.name)
    wait_for(queue.is_empty, seconds=20)
    [record] = records(function) or wait_for(lambda: records(function))
    # The same receipt: throttles are retried while the message is hidden.
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


def test_function_updated(client, fast_function, make_queue, make_mapping):


    function = fast_function("def handler(event, context): print('OLD')")
    queue = make_queue()
    make_mapping(function, queue)
    queue.send("1")
    wait_for(queue.is_empty)
    lambda_ = client("lambda")
    lambda_.update_function_code(
        FunctionName=function.name,
        ZipFile=zip_bytes({"index.py": "def handler(event, context): print('NEW')"}),
    )
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 1})
    queue.send("2")
    wait_for(queue.is_empty)
    wait_for(lambda: any("NEW" in line for line in function.log_messages()))


def test_queue_deleted_and_function_deleted(client, fast_function, make_queue, make_mapping, unique):
    function = fast_function(ECHO)
    name = unique("queue")
    queue = make_queue(name)
    mapping = make_mapping(function, queue)
    queue.send("1")
    wait_for(queue.is_empty)
    queue.sqs.delete_queue(QueueUrl=queue.url)
    again = make_queue(name)
    again.send("2")
    wait_for(again.is_empty)
    lambda_ = client("lambda")
    lambda_.delete_function(FunctionName=function.name)
    again.send("3")
    got = wait_for(lambda: lambda_.get_event_source_mapping(UUID=mapping["UUID"]).get("LastProcessingResult"))
    assert got == "PROBLEM: Function call failed"
    # Its messages stay in the queue.
    assert sum(again.counts()) == 1


def test_delete(client, fast_function, make_queue, make_mapping):
    function = fast_function(ECHO)
    queue = make_queue()
    mapping = make_mapping(function, queue)
    lambda_ = client("lambda")
    assert lambda_.delete_event_source_mapping(UUID=mapping["UUID"])["State"] == "Deleting"

    def gone():
        try:
            state(lambda_, mapping)
        except ClientError as error:
            assert error.response["Error"]["Message"] == "The resource you requested does not exist."
            return error.response["ResponseMetadata"]["HTTPStatusCode"] == 404

    wait_for(gone)
    queue.send("stays")
    time.sleep(0.2)
    assert queue.counts()[0] == 1


def test_restart(make_server, make_function, make_queue, make_mapping):
    server = make_server()
    function = make_function(
        "def handler(event, context): print('SEEN', event['Records'][0]['body'])", server=server, Timeout=5,
        MemorySize=1769)
    queue = make_queue(server=server, VisibilityTimeout="5")
    make_mapping(function, queue, server=server)
    queue.send("1")
    wait_for(queue.is_empty)
    server.restart("kill9")
    queue.send("2")
    wait_for(queue.is_empty)
    server.restart("stop")
    queue.send("3")
    wait_for(queue.is_empty)


def test_role_without_permission(client, fast_function, make_queue, make_mapping, unique):
    iam = client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]

    def deny(action):
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        iam.put_role_policy(
            RoleName=role["RoleName"], PolicyName="deny",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    function = fast_function(ECHO, Role=role["Arn"])
    queue = make_queue()
    deny("sqs:*")
    with pytest.raises(ClientError) as caught:
        make_mapping(function, queue)
    text = "The provided execution role does not have permissions to call ReceiveMessage on SQS"
    assert caught.value.response["Error"]["Message"] == text
    iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="deny")
    mapping = make_mapping(function, queue)
    deny("sqs:ReceiveMessage")
    queue.send("x")
    lambda_ = client("lambda")
    got = wait_for(lambda: lambda_.get_event_source_mapping(UUID=mapping["UUID"]).get("LastProcessingResult"))
    assert got == f"PROBLEM: {text}"
    assert queue.counts()[0] == 1
    iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="deny")
    wait_for(queue.is_empty)
    wait_for(lambda: "LastProcessingResult" not in lambda_.get_event_source_mapping(UUID=mapping["UUID"]))


# MARK: the operations


def test_shape(client, fast_function, make_queue, make_mapping):
    function = fast_function(ECHO)
    queue = make_queue()
    mapping = make_mapping(function, queue, wait=False)
    assert mapping["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert mapping["State"] == "Creating"
    assert mapping["StateTransitionReason"] == "USER_INITIATED"
    assert mapping["BatchSize"] == 10
    assert mapping["MaximumBatchingWindowInSeconds"] == 0
    assert mapping["FunctionResponseTypes"] == []
    assert mapping["EventSourceArn"] == queue.arn
    assert mapping["FunctionArn"].endswith(":function:" + function.name)
    assert "LastProcessingResult" not in mapping
    lambda_ = client("lambda")
    wait_for(lambda: state(lambda_, mapping) == "Enabled")
    listed = lambda_.list_event_source_mappings(FunctionName=function.name)["EventSourceMappings"]
    assert [m["UUID"] for m in listed] == [mapping["UUID"]]
    with pytest.raises(ClientError) as caught:
        lambda_.create_event_source_mapping(FunctionName=function.name, EventSourceArn=queue.arn)
    assert caught.value.response["Error"]["Code"] == "ResourceConflictException"
    assert caught.value.response["Error"]["Message"] == (
        f'An event source mapping with SQS arn (" {queue.arn} ") and function (" {function.name} ") already exists. '
        f'Please update or delete the existing mapping with UUID {mapping["UUID"]}'
    )


def test_refusals(client, fast_function, make_queue):
    function = fast_function(ECHO)
    queue = make_queue(VisibilityTimeout="5")
    lambda_ = client("lambda")

    def message(**parameters):
        request = {"FunctionName": function.name, "EventSourceArn": queue.arn, **parameters}
        with pytest.raises(ClientError) as caught:
            lambda_.create_event_source_mapping(**{k: v for k, v in request.items() if v is not None})
        assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
        return caught.value.response["Error"]["Message"]

    assert message(EventSourceArn=None) == "Unrecognized event source."
    assert message(FunctionName="missing") == "Function does not exist"
    assert message(EventSourceArn=queue.arn + "-missing") == (
        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        "SQS Error Message: The specified queue does not exist."
    )
    assert message() == "Queue visibility timeout: 5 seconds is less than Function timeout: 10 seconds"
    assert message(BatchSize=11) == (
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    )
    assert message(FilterCriteria={"Filters": [{"Pattern": "{"}]}) == "Invalid filter pattern definition."
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    assert message(EventSourceArn=stream, StartingPosition="LATEST") == f"Stream not found: {stream}"


def test_cli(aws, fast_function, make_queue):
    function = fast_function(ECHO)
    queue = make_queue()
    made = aws(
        "lambda", "create-event-source-mapping", "--function-name", function.name, "--event-source-arn", queue.arn,
        "--batch-size", "5", "--scaling-config", "MaximumConcurrency=3",
    ).json
    assert made["ScalingConfig"] == {"MaximumConcurrency": 3}
    uuid = made["UUID"]
    wait_for(lambda: aws("lambda", "get-event-source-mapping", "--uuid", uuid).json["State"] == "Enabled")
    listed = aws("lambda", "list-event-source-mappings", "--event-source-arn", queue.arn).json
    assert [m["UUID"] for m in listed["EventSourceMappings"]] == [uuid]
    # Older clients' models do not have EventSourceMappingArn.
    arn = f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}"
    aws("lambda", "tag-resource", "--resource", arn, "--tags", "team=blue")
    assert aws("lambda", "list-tags", "--resource", arn).json == {"Tags": {"team": "blue"}}
    assert aws("lambda", "delete-event-source-mapping", "--uuid", uuid).json["State"] == "Deleting"


RECURSIVE = """
    import os, boto3

    sqs = boto3.client("sqs")

    def handler(event, context):
        print("ROUND")
        for record in event["Records"]:
            sqs.send_message(QueueUrl=record["body"], MessageBody=record["body"])
"""


def test_circle_is_stopped(client, fast_function, make_queue, make_mapping):
    dead = make_queue()
    queue = make_queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 5}))
    function = fast_function(RECURSIVE)
    make_mapping(function, queue)
    queue.send(queue.url)
    # About sixteen invocations of one chain, then its message goes to the dead-letter queue.
    wait_for(lambda: dead.counts()[0] == 1)
    assert queue.is_empty()
    wait_for(lambda: sum("ROUND" in line for line in function.log_messages()) == 16)

    # Allowed, it goes on: for as long as somebody wants it to.
    client("lambda").put_function_recursion_config(FunctionName=function.name, RecursiveLoop="Allow")
    queue.send(queue.url)
    wait_for(lambda: sum("ROUND" in line for line in function.log_messages()) > 16 + 20)
    function.delete()


def test_stopping_the_server_gives_messages_back(make_server, make_function, make_queue, make_mapping):
    server = make_server()
    function = make_function(
        """
import time
def handler(event, context):
    print("BEGIN", event["Records"][0]["attributes"]["ApproximateReceiveCount"])
    time.sleep(60)
""", server=server, Timeout=100, MemorySize=1769)
    queue = make_queue(server=server, VisibilityTimeout="600")
    make_mapping(function, queue, server=server)
    queue.send("1")
    wait_for(lambda: any("BEGIN" in line for line in function.log_messages()))
    server.restart("stop")
    # Not after ten minutes.
    wait_for(lambda: any(line.strip() == "BEGIN 2" for line in function.log_messages()))
