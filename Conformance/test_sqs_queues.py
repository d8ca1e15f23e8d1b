"""SQS: queues: attributes, names, tags, permissions, purges, move tasks, and what requests look like."""

import json
import re
import time
import urllib.error

import pytest

from .expect import answer, aws_error
from .harness import ACCOUNT, REGION, wait_for
from .test_sqs_messages import counts, receive


@pytest.fixture
def sqs(client):
    return client("sqs")


@pytest.fixture
def name(unique):
    return unique("queue")


@pytest.fixture
def queue(sqs, name):
    return sqs.create_queue(QueueName=name)["QueueUrl"]


def attributes(sqs, queue, *names):
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names or ["All"]).get("Attributes", {})


def arn(name):
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


# Attributes


def test_a_new_queue(server, sqs, name):
    before = int(time.time())
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    assert url == f"http://127.0.0.1:{server.port}/{ACCOUNT}/{name}"
    shown = attributes(sqs, url)
    for key in ("CreatedTimestamp", "LastModifiedTimestamp"):
        assert before <= int(shown.pop(key)) <= time.time() + 1
    assert shown == {
        "QueueArn": arn(name), "ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0", "VisibilityTimeout": "30", "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600", "DelaySeconds": "0", "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
    }
    assert attributes(sqs, url, "QueueArn", "DelaySeconds") == {"QueueArn": arn(name), "DelaySeconds": "0"}
    assert answer(sqs.get_queue_attributes(QueueUrl=url)) == (200, {})
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"] == url


def test_a_new_fifo_queue(sqs, name):
    url = sqs.create_queue(QueueName=name + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    shown = attributes(sqs, url)
    assert {key: shown[key] for key in ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope",
                                        "FifoThroughputLimit")} == {
        "FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue"}


def test_creating_again(sqs, name):
    url = sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "1"})["QueueUrl"]
    assert sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "1"})["QueueUrl"] == url
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == url
    with aws_error("QueueAlreadyExists", "A queue already exists with the same name and a different value for "
                                         "attribute DelaySeconds"):
        sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "2"})


def test_attributes_change(sqs, queue):
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={
        "VisibilityTimeout": "7", "MessageRetentionPeriod": "60", "KmsMasterKeyId": "alias/key"})
    shown = attributes(sqs, queue)
    assert (shown["VisibilityTimeout"], shown["MessageRetentionPeriod"]) == ("7", "60")
    assert (shown["KmsMasterKeyId"], shown["KmsDataKeyReusePeriodSeconds"]) == ("alias/key", "300")
    assert shown["SqsManagedSseEnabled"] == "false"


@pytest.mark.parametrize("given, code, text", [
    ({"VisibilityTimeout": "43201"}, "InvalidAttributeValue", "Invalid value for the parameter VisibilityTimeout."),
    ({"VisibilityTimeout": "-1"}, "InvalidAttributeValue", re.compile("VisibilityTimeout")),
    ({"VisibilityTimeout": "x"}, "InvalidAttributeValue", re.compile("VisibilityTimeout")),
    ({"DelaySeconds": "901"}, "InvalidAttributeValue", re.compile("DelaySeconds")),
    ({"MaximumMessageSize": "1023"}, "InvalidAttributeValue", re.compile("MaximumMessageSize")),
    ({"MaximumMessageSize": "1048577"}, "InvalidAttributeValue", re.compile("MaximumMessageSize")),
    ({"MessageRetentionPeriod": "59"}, "InvalidAttributeValue", re.compile("MessageRetentionPeriod")),
    ({"ReceiveMessageWaitTimeSeconds": "21"}, "InvalidAttributeValue", re.compile("ReceiveMessageWaitTimeSeconds")),
    ({"Nonsense": "1"}, "InvalidAttributeName", "Unknown Attribute Nonsense."),
    ({"QueueArn": "1"}, "InvalidAttributeName", "Unknown Attribute QueueArn."),
    ({"FifoQueue": "true"}, "InvalidAttributeName", "Unknown Attribute FifoQueue."),
    ({"ContentBasedDeduplication": "true"}, "InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication."),
    ({"DeduplicationScope": "queue"}, "InvalidAttributeName",
     "You can specify the DeduplicationScope only when FifoQueue is set to true."),
    ({"FifoThroughputLimit": "perQueue"}, "InvalidAttributeName",
     "You can specify the FifoThroughputLimit only when FifoQueue is set to true."),
    ({"Policy": "{"}, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
    ({"RedrivePolicy": "{"}, "InvalidParameterValue", re.compile("RedrivePolicy is invalid")),
    ({"RedrivePolicy": "{}"}, "InvalidParameterValue", re.compile("mandatory attribute: deadLetterTargetArn")),
    ({"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn("absent"), "maxReceiveCount": 1})},
     "InvalidParameterValue", re.compile("Dead letter target does not exist.")),
    ({"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn("absent"), "maxReceiveCount": 1001})},
     "InvalidParameterValue", re.compile("valid values are from 1 to 1000 both inclusive.")),
    ({"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn("absent")})},
     "InvalidParameterValue", re.compile("mandatory attribute: maxReceiveCount")),
    ({"RedriveAllowPolicy": '{"redrivePermission": "some"}'}, "InvalidParameterValue", re.compile("redrivePermission")),
])
def test_attributes_that_are_refused(sqs, queue, given, code, text):
    before = attributes(sqs, queue)
    with aws_error(code, text):
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=given)
    assert attributes(sqs, queue) == before


def test_unknown_attributes_are_not_shown(sqs, queue):
    with aws_error("InvalidAttributeName", "Unknown Attribute Nonsense."):
        attributes(sqs, queue, "Nonsense")
    with aws_error("InvalidAttributeName", "Unknown Attribute Nonsense."):
        receive(sqs, queue, AttributeNames=["Nonsense"])


def test_fifo_rules(sqs, name):
    with aws_error("InvalidParameterValue", re.compile("must end with .fifo suffix")):
        sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    with aws_error("InvalidParameterValue", re.compile("Can only include alphanumeric")):
        sqs.create_queue(QueueName=name + ".fifo")
    with aws_error("InvalidAttributeValue", re.compile("perMessageGroupId")):
        sqs.create_queue(QueueName=name + ".fifo", Attributes={
            "FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"})
    url = sqs.create_queue(QueueName=name + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    with aws_error("InvalidAttributeValue", "Invalid value for the parameter FifoQueue. Reason: Modifying queue type "
                                            "is not supported."):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"FifoQueue": "false"})


@pytest.mark.parametrize("bad", ["a b", "x" * 81, "a.b", "ü", ""])
def test_names_are_checked(sqs, bad):
    with aws_error("MissingParameter" if bad == "" else "InvalidParameterValue"):
        sqs.create_queue(QueueName=bad)


def test_redrive_rules(sqs, name):
    dead = sqs.create_queue(QueueName=name + "-dead", Attributes={
        "RedriveAllowPolicy": json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn(name + "-yes")]})})
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn(name + "-dead"), "maxReceiveCount": 3})}
    url = sqs.create_queue(QueueName=name + "-yes", Attributes=policy)["QueueUrl"]
    assert attributes(sqs, url)["RedrivePolicy"] == policy["RedrivePolicy"]
    with aws_error("InvalidParameterValue", re.compile("not allowed")):
        sqs.create_queue(QueueName=name + "-no", Attributes=policy)
    with aws_error("InvalidParameterValue", re.compile("same type")):
        sqs.create_queue(QueueName=name + ".fifo", Attributes={"FifoQueue": "true", **policy})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead["QueueUrl"])["queueUrls"] == [url]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert "RedrivePolicy" not in attributes(sqs, url)
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead["QueueUrl"])["queueUrls"] == []


# Which queue


def test_queues_that_are_not_there(sqs, queue):
    url = queue + "-absent"
    text = "The specified queue does not exist."
    with aws_error("AWS.SimpleQueueService.NonExistentQueue", text) as caught:
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert caught.type.__name__ == "QueueDoesNotExist"
    for call in (lambda: sqs.get_queue_url(QueueName="absent"), lambda: sqs.receive_message(QueueUrl=url),
                 lambda: sqs.delete_queue(QueueUrl=url), lambda: attributes(sqs, url)):
        with aws_error("AWS.SimpleQueueService.NonExistentQueue", text):
            call()
    with aws_error("InvalidAddress", re.compile("not valid for this endpoint"), 404):
        sqs.send_message(QueueUrl="just-a-name", MessageBody="x")


def test_any_host_will_do(sqs, queue, name):
    for url in (f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{name}", f"/{ACCOUNT}/{name}",
                f"http://localhost:4566/queue/us-east-1/{ACCOUNT}/{name}"):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert counts(sqs, queue)[0] == 3


def test_accounts_and_regions_are_apart(server, name):
    here = server.client("sqs")
    there = server.client("sqs", region="eu-west-1")
    other = server.client("sqs", account="111122223333")
    urls = [one.create_queue(QueueName=name)["QueueUrl"] for one in (here, there, other)]
    here.send_message(QueueUrl=urls[0], MessageBody="x")
    assert [counts(one, url)[0] for one, url in zip((here, there, other), urls)] == [1, 0, 0]
    # Nobody but the owner may, without a policy.
    with aws_error("AccessDenied", re.compile("sqs:receivemessage"), 403):
        other.receive_message(QueueUrl=urls[0])


def test_listing(sqs, unique):
    prefix = unique("list")
    urls = [sqs.create_queue(QueueName=f"{prefix}-{i}")["QueueUrl"] for i in range(5)]
    assert sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"] == urls
    pages = [page["QueueUrls"] for page in sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2})]
    assert pages == [urls[:2], urls[2:4], urls[4:]]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=prefix + "-none")
    with aws_error("InvalidParameterValue"):
        sqs.list_queues(NextToken="%%%", MaxResults=2)
    with aws_error("InvalidParameterValue"):
        sqs.list_queues(MaxResults=1001)


def test_deleting(sqs, queue, name):
    sqs.send_message(QueueUrl=queue, MessageBody="old")
    sqs.delete_queue(QueueUrl=queue)
    with aws_error("AWS.SimpleQueueService.NonExistentQueue"):
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    sqs.create_queue(QueueName=name)
    assert counts(sqs, queue) == (0, 0, 0)
    assert receive(sqs, queue) == []


def test_purging(sqs, queue, name):
    for i in range(3):
        sqs.send_message_batch(QueueUrl=queue, Entries=[
            {"Id": str(j), "MessageBody": "x" * 3000 if j else "x", "DelaySeconds": j % 2} for j in range(10)])
    receive(sqs, queue)
    sqs.purge_queue(QueueUrl=queue)
    assert counts(sqs, queue) == (0, 0, 0)
    with aws_error("AWS.SimpleQueueService.PurgeQueueInProgress",
                   f"Only one PurgeQueue operation on {name} is allowed every 60 seconds.", 403):
        sqs.purge_queue(QueueUrl=queue)
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    assert counts(sqs, queue) == (1, 0, 0)


# Tags


def test_tags(sqs, name):
    url = sqs.create_queue(QueueName=name, tags={"a": "1"})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"b": "ü", "a": "2"})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "2", "b": "ü"}
    sqs.untag_queue(QueueUrl=url, TagKeys=["a", "absent"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "ü"}
    with aws_error("InvalidParameterValue"):
        sqs.tag_queue(QueueUrl=url, Tags={str(i): "x" for i in range(50)})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "ü"}


# Permissions


def test_permissions(server, sqs, queue, name):
    other = server.client("sqs", account="111122223333")
    sqs.add_permission(QueueUrl=queue, Label="crossaccountpermission", AWSAccountIds=["111122223333"],
                       Actions=["SendMessage", "ReceiveMessage"])
    policy = json.loads(attributes(sqs, queue)["Policy"])
    assert policy == {
        "Version": "2012-10-17", "Id": arn(name) + "/SQSDefaultPolicy",
        "Statement": [{
            "Sid": "crossaccountpermission", "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Action": ["SQS:SendMessage", "SQS:ReceiveMessage"], "Resource": arn(name)}],
    }
    other.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = receive(other, queue, AttributeNames=["SenderId"])
    assert message["Attributes"] == {"SenderId": "111122223333"}
    with aws_error("AccessDenied", re.compile("sqs:deletemessage"), 403):
        other.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    with aws_error("InvalidParameterValue", "Value crossaccountpermission for parameter Label is invalid. Reason: "
                                            "Already exists."):
        sqs.add_permission(QueueUrl=queue, Label="crossaccountpermission", AWSAccountIds=["111122223333"],
                           Actions=["*"])
    with aws_error("InvalidParameterValue", "Value crossaccountpermission2 for parameter Label is invalid. Reason: "
                                            "can't find label."):
        sqs.remove_permission(QueueUrl=queue, Label="crossaccountpermission2")
    sqs.remove_permission(QueueUrl=queue, Label="crossaccountpermission")
    assert "Policy" not in attributes(sqs, queue)
    with aws_error("AccessDenied", None, 403):
        other.send_message(QueueUrl=queue, MessageBody="x")


def test_a_policy_can_deny_the_owner(sqs, queue, name):
    policy = json.dumps({"Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn(name)}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    assert attributes(sqs, queue, "Policy") == {"Policy": policy}
    with aws_error("AccessDenied", re.compile("explicit deny in a resource-based policy"), 403):
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": ""})
    sqs.send_message(QueueUrl=queue, MessageBody="x")


# Moving


@pytest.fixture
def pair(sqs, name):
    """A queue and its dead-letter queue with messages that were moved there."""
    dead = sqs.create_queue(QueueName=name + "-dead")["QueueUrl"]
    url = sqs.create_queue(QueueName=name, Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn(name + "-dead"), "maxReceiveCount": 1})})["QueueUrl"]

    def fill(count):
        for start in range(0, count, 10):
            sqs.send_message_batch(QueueUrl=url, Entries=[
                {"Id": str(i), "MessageBody": str(start + i)} for i in range(min(10, count - start))])
        for _ in range(2):
            while receive(sqs, url, VisibilityTimeout=0):
                pass
        assert counts(sqs, url) == (0, 0, 0) and counts(sqs, dead) == (count, 0, 0)

    return url, dead, fill


def test_moving_back(sqs, name, pair):
    url, dead, fill = pair
    fill(25)
    source = arn(name + "-dead")
    handle = sqs.start_message_move_task(SourceArn=source)["TaskHandle"]
    assert handle
    task = wait_for(lambda: next(
        (t for t in sqs.list_message_move_tasks(SourceArn=source)["Results"] if t["Status"] == "COMPLETED"), None))
    assert task["ApproximateNumberOfMessagesMoved"] == 25 and task["ApproximateNumberOfMessagesToMove"] == 25
    assert task["SourceArn"] == source and "DestinationArn" not in task and "TaskHandle" not in task
    assert counts(sqs, url) == (25, 0, 0) and counts(sqs, dead) == (0, 0, 0)
    (message,) = receive(sqs, url, MaxNumberOfMessages=1, AttributeNames=["All"])
    assert "DeadLetterQueueSourceArn" not in message["Attributes"]


def test_moving_slowly_and_stopping(sqs, name, pair):
    url, dead, fill = pair
    fill(20)
    source = arn(name + "-dead")
    handle = sqs.start_message_move_task(
        SourceArn=source, DestinationArn=arn(name), MaxNumberOfMessagesPerSecond=2)["TaskHandle"]
    with aws_error("InvalidParameterValue", "There is already a task running. Only one active task is allowed for a "
                                            "source queue arn at a given time."):
        sqs.start_message_move_task(SourceArn=source)
    (task,) = sqs.list_message_move_tasks(SourceArn=source)["Results"]
    assert (task["Status"], task["TaskHandle"], task["MaxNumberOfMessagesPerSecond"]) == ("RUNNING", handle, 2)
    assert sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] < 20
    wait_for(lambda: sqs.list_message_move_tasks(SourceArn=source)["Results"][0]["Status"] == "CANCELLED")
    assert sum(counts(sqs, one)[0] for one in (url, dead)) == 20 and counts(sqs, dead)[0] > 10
    with aws_error("InvalidParameterValue"):
        sqs.cancel_message_move_task(TaskHandle=handle)


def test_moves_that_are_refused(sqs, queue, name):
    with aws_error("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."):
        sqs.start_message_move_task(SourceArn=arn(name))
    with aws_error("ResourceNotFoundException",
                   "The resource that you specified for the SourceArn parameter doesn't exist.", 404):
        sqs.start_message_move_task(SourceArn=arn("absent"))
    with aws_error("InvalidParameterValue", "Value for parameter TaskHandle is invalid."):
        sqs.cancel_message_move_task(TaskHandle="garbage")
    assert sqs.list_message_move_tasks(SourceArn=arn(name)).get("Results", []) == []


def test_a_move_goes_on_after_a_kill(make_server):
    server = make_server()
    sqs = server.client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    url = sqs.create_queue(QueueName="queue", Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 1})})["QueueUrl"]
    for _ in range(3):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "x"} for i in range(10)])
    for _ in range(2):
        while receive(sqs, url, VisibilityTimeout=0):
            pass
    sqs.start_message_move_task(SourceArn=arn("dead"), MaxNumberOfMessagesPerSecond=20)
    server.restart("kill9")
    wait_for(lambda: sqs.list_message_move_tasks(SourceArn=arn("dead"))["Results"][0]["Status"] == "COMPLETED")
    assert counts(sqs, url) == (30, 0, 0) and counts(sqs, dead) == (0, 0, 0)


# From inside a function


def test_a_function_sends_and_receives(sqs, queue, runner):
    """Through the endpoint in its cell, by the URL from outside; answers' URLs are those of the cell."""
    answer = runner(f"""
        import http.client, json
        def call(operation, **members):
            api = http.client.HTTPConnection("127.0.0.1", 4566, timeout=20)
            api.request("POST", "/", json.dumps(members), {{
                "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + operation}})
            return json.loads(api.getresponse().read() or b"{{}}")
        call("SendMessage", QueueUrl={queue!r}, MessageBody="from a cell")
        name = {queue!r}.rsplit("/", 1)[1]
        result = call("GetQueueUrl", QueueName=name)["QueueUrl"]
    """).json
    assert answer == "http://127.0.0.1:4566/" + "/".join(queue.split("/")[3:])
    (message,) = receive(sqs, queue, AttributeNames=["SenderId"])
    assert message["Body"] == "from a cell"
    assert re.fullmatch("AROA[A-Z2-7]{17}:.+", message["Attributes"]["SenderId"])


# With signatures


def test_with_authentication(make_server):
    """Both protocols with real signatures; without one nothing goes."""
    import configparser
    import urllib.request

    import boto3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    server = make_server("--auth", "sigv4")
    with aws_error("UnrecognizedClientException"):
        server.client("sqs").list_queues()
    parser = configparser.ConfigParser()
    parser.read(server.data_dir / "credentials")
    keys = parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]
    sqs = boto3.session.Session().client(
        "sqs", endpoint_url=server.url, region_name=REGION, aws_access_key_id=keys[0], aws_secret_access_key=keys[1])
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    request = AWSRequest(
        "POST", url, data=b"Action=SendMessage&Version=2012-11-05&MessageBody=signed",
        headers={"Content-Type": "application/x-www-form-urlencoded"})
    SigV4Auth(Credentials(*keys), "sqs", REGION).add_auth(request)
    done = urllib.request.urlopen(urllib.request.Request(url, request.data, dict(request.headers)))
    assert b"<MessageId>" in done.read()
    assert [message["Body"] for message in receive(sqs, url)] == ["signed"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, b"Action=SendMessage&Version=2012-11-05&MessageBody=unsigned")
    assert refused.value.code in (400, 403)
    assert counts(sqs, url) == (0, 1, 0)


def test_the_command_line(aws, sqs, queue):
    sent = aws("sqs", "send-message", "--queue-url", queue, "--message-body", "hello").json
    assert receive(sqs, queue)[0]["MessageId"] == sent["MessageId"]
    shown = aws("sqs", "get-queue-attributes", "--queue-url", queue, "--attribute-names", "All").json
    assert shown["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1"
    result = aws("sqs", "get-queue-url", "--queue-name", "absent", check=False)
    assert "AWS.SimpleQueueService.NonExistentQueue" in result.error
