"""What a topic sends: to queues and functions, filtered, in order, and over the death of the server."""

import json

import pytest

from .harness import unique, wait_for
from .sns_helpers import Queue, verify

RECORD = """
import json

def handler(event, context):
    print("EVENT " + json.dumps(event), flush=True)
"""


@pytest.fixture
def sns(client):
    return client("sns")


@pytest.fixture
def topic(sns):
    return sns.create_topic(Name=unique("topic"))["TopicArn"]


def subscribe(sns, topic, queue, **attributes):
    return sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=attributes)["SubscriptionArn"]


def test_a_queue_gets_the_notification(server, sns, topic):
    queue = Queue(server)
    arn = subscribe(sns, topic, queue)
    published = sns.publish(
        TopicArn=topic, Message="hä\n\"quoted\"", Subject="Subject",
        MessageAttributes={"n": {"DataType": "Number", "StringValue": "3"},
                           "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}})
    [message] = queue.messages(1)
    body = json.loads(message["Body"])
    assert list(body) == ["Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion",
                          "Signature", "SigningCertURL", "UnsubscribeURL", "MessageAttributes"]
    assert body["MessageId"] == published["MessageId"] and body["Message"] == "hä\n\"quoted\""
    assert body["MessageAttributes"] == {"n": {"Type": "Number", "Value": "3"}, "b": {"Type": "Binary", "Value": "AP8="}}
    assert body["UnsubscribeURL"].endswith(f"/?Action=Unsubscribe&SubscriptionArn={arn}")
    assert "MessageAttributes" not in message
    verify(body)


def test_raw_delivery(server, sns, topic):
    queue = Queue(server)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="plain", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    [message] = queue.messages(1)
    assert message["Body"] == "plain"
    assert message["MessageAttributes"] == {"a": {"DataType": "String", "StringValue": "b"}}


@pytest.mark.parametrize("version", ["1", "2"])
def test_functions_get_events(sns, topic, fast_function, server, version):
    function = fast_function(RECORD)
    server.client("lambda").add_permission(
        FunctionName=function.name, StatementId="sns", Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com", SourceArn=topic)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    arn = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function.arn)["SubscriptionArn"]
    sns.publish(TopicArn=topic, Message="to a function",
                MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    line = wait_for(lambda: next((m for m in function.log_messages() if m.startswith("EVENT")), None))
    [record] = json.loads(line[6:])["Records"]
    assert (record["EventSource"], record["EventVersion"], record["EventSubscriptionArn"]) == ("aws:sns", "1.0", arn)
    body = record["Sns"]
    assert body["Message"] == "to a function" and body["Subject"] is None
    assert body["MessageAttributes"] == {"a": {"Type": "String", "Value": "b"}}
    assert body["SignatureVersion"] == version
    body = {name: value for name, value in body.items() if value is not None}
    verify({**body, "SigningCertURL": body["SigningCertUrl"]})


def test_a_text_for_each_protocol(server, sns, topic):
    queue = Queue(server)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, MessageStructure="json", Message=json.dumps({"default": "d", "sqs": "for queues"}))
    assert [m["Body"] for m in queue.messages(1)] == ["for queues"]


def attribute(value):
    if isinstance(value, list):
        return {"DataType": "String.Array", "StringValue": json.dumps(value)}
    if isinstance(value, (int, float)):
        return {"DataType": "Number", "StringValue": str(value)}
    return {"DataType": "String", "StringValue": value}


@pytest.mark.parametrize("policy, passing, stopped", [
    ({"a": ["x", "y"]}, [{"a": "x"}, {"a": ["z", "y"]}], [{"a": "z"}, {}, {"b": "x"}]),
    ({"a": [{"prefix": "al"}]}, [{"a": "alpha"}], [{"a": "beta"}]),
    ({"a": [{"suffix": "pha"}]}, [{"a": "alpha"}], [{"a": "beta"}]),
    ({"a": [{"equals-ignore-case": "AlPhA"}]}, [{"a": "alpha"}], [{"a": "beta"}]),
    ({"a": [{"anything-but": ["x", "y"]}]}, [{"a": "z"}], [{"a": "x"}, {}]),
    ({"a": [{"anything-but": {"prefix": "x"}}]}, [{"a": "z"}], [{"a": "xyz"}]),
    ({"n": [{"numeric": [">", 0, "<=", 5]}]}, [{"n": 5}, {"n": 0.5}], [{"n": 0}, {"n": 6}, {"n": "3"}]),
    ({"n": [{"numeric": ["=", 3.5]}]}, [{"n": 3.5}], [{"n": 3}]),
    ({"a": [{"exists": True}]}, [{"a": "x"}], [{"b": "x"}]),
    ({"a": [{"exists": False}]}, [{"b": "x"}, {}], [{"a": "x"}]),
    ({"ip": [{"cidr": "10.0.0.0/24"}]}, [{"ip": "10.0.0.7"}], [{"ip": "10.0.1.7"}]),
    ({"a": ["x"], "b": ["y"]}, [{"a": "x", "b": "y"}], [{"a": "x"}, {"b": "y"}]),
    ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, [{"a": "x"}, {"b": "y"}], [{"a": "y"}]),
])
def test_filters(server, sns, topic, policy, passing, stopped):
    queue = Queue(server)
    subscribe(sns, topic, queue, FilterPolicy=json.dumps(policy), RawMessageDelivery="true")
    for number, attributes in enumerate(stopped + passing):
        sns.publish(TopicArn=topic, Message=str(number),
                    MessageAttributes={name: attribute(value) for name, value in attributes.items()})
    expected = {str(number) for number in range(len(stopped), len(stopped) + len(passing))}
    assert {m["Body"] for m in queue.messages(len(passing))} == expected
    assert queue.is_empty()


def test_filters_on_the_body(server, sns, topic):
    queue = Queue(server)
    policy = {"order": {"size": [{"numeric": [">=", 10]}], "tags": ["new"]}}
    subscribe(sns, topic, queue, FilterPolicy=json.dumps(policy), FilterPolicyScope="MessageBody",
              RawMessageDelivery="true")
    good = json.dumps({"order": {"size": 12, "tags": ["old", "new"]}})
    for text in ["plain", "[]", json.dumps({"order": {"size": 9, "tags": ["new"]}}), good]:
        sns.publish(TopicArn=topic, Message=text)
    assert [m["Body"] for m in queue.messages(1)] == [good]
    assert queue.is_empty()


def test_fifo_topics_keep_order_and_drop_duplicates(server, sns):
    topic = sns.create_topic(
        Name=unique("topic") + ".fifo", Attributes={"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    )["TopicArn"]
    fifo, standard = Queue(server, FifoQueue="true"), Queue(server)
    subscribe(sns, topic, fifo)
    subscribe(sns, topic, standard, RawMessageDelivery="true")
    texts = [f"{group}{number}" for number in range(10) for group in "ab"]
    sequence = []
    for text in texts + texts[:4]:
        sequence.append(sns.publish(TopicArn=topic, Message=text, MessageGroupId=text[0])["SequenceNumber"])
    assert sequence[:20] == sorted(sequence[:20]) and sequence[20:] == sequence[:4]
    messages = fifo.messages(20)
    for group in "ab":
        got = [json.loads(m["Body"])["Message"] for m in messages if m["Attributes"]["MessageGroupId"] == group]
        assert got == [text for text in texts if text[0] == group]
    assert "Signature" not in json.loads(messages[0]["Body"])
    assert sorted(m["Body"] for m in standard.messages(20)) == sorted(texts)
    assert fifo.is_empty()


def test_a_deleted_queue_ends_in_the_dead_letter_queue(server, sns, topic):
    gone, dead = Queue(server), Queue(server)
    policy = json.dumps({"deadLetterTargetArn": dead.arn})
    subscribe(sns, topic, gone, RedrivePolicy=policy)
    gone.sqs.delete_queue(QueueUrl=gone.url)
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{unique('none')}"
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function, Attributes={"RedrivePolicy": policy})
    sns.publish(TopicArn=topic, Message="lost")
    for body in dead.bodies(2):
        assert body["Type"] == "Notification" and body["Message"] == "lost"
        verify(body)


def test_batches(server, sns, topic):
    queue = Queue(server)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": "1", "Message": "one"},
        {"Id": "2", "Message": "{}", "MessageStructure": "json"},
        {"Id": "3", "Message": "three", "MessageAttributes": {"a": {"DataType": "String", "StringValue": "b"}}},
    ])
    assert [entry["Id"] for entry in answer["Successful"]] == ["1", "3"]
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("2", "InvalidParameter", True)
    assert sorted(m["Body"] for m in queue.messages(2)) == ["one", "three"]


def test_large_messages(server, sns, topic):
    queue = Queue(server)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue="1048576")
    text = "m" * 1_000_000
    sns.publish(TopicArn=topic, Message=text)
    assert queue.messages(1)[0]["Body"] == text


def test_other_accounts_queues_are_asked(server, sns, topic):
    queue = Queue(server, account="111122223333")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    [body] = queue.bodies(1)
    assert body["Type"] == "SubscriptionConfirmation"
    verify(body)
    sns.publish(TopicArn=topic, Message="early")
    sns.confirm_subscription(TopicArn=topic, Token=body["Token"])
    sns.publish(TopicArn=topic, Message="late")
    assert [body["Message"] for body in queue.bodies(1)] == ["late"]


def allow(sns, topic, service, source):
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": service}, "Action": "SNS:Publish", "Resource": topic,
            "Condition": {"ArnLike": {"aws:SourceArn": source}}}]}))


def test_buckets_publish(server, client, sns, topic):
    s3, bucket, queue = client("s3"), unique("bucket"), Queue(server)
    s3.create_bucket(Bucket=bucket)
    configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    with pytest.raises(s3.exceptions.ClientError):  # the topic's policy does not let it
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    allow(sns, topic, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}")
    subscribe(sns, topic, queue)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    s3.put_object(Bucket=bucket, Key="photo.jpg", Body=b"x")
    bodies = []
    while not any("Records" in json.loads(body["Message"]) for body in bodies):  # a test event comes first
        bodies += queue.bodies(1)
    assert {body["Subject"] for body in bodies} == {"Amazon S3 Notification"}
    assert json.loads(bodies[-1]["Message"])["Records"][0]["s3"]["object"]["key"] == "photo.jpg"
    verify(bodies[-1])


def test_destinations_of_functions(server, client, sns, topic, fast_function):
    queue = Queue(server)
    subscribe(sns, topic, queue)
    function = fast_function("def handler(event, context):\n    return {'done': event}")
    client("lambda").put_function_event_invoke_config(
        FunctionName=function.name, DestinationConfig={"OnSuccess": {"Destination": topic}})
    function.invoke({"a": 1}, InvocationType="Event")
    [body] = queue.bodies(1)
    record = json.loads(body["Message"])
    assert record["requestPayload"] == {"a": 1} and record["responsePayload"] == {"done": {"a": 1}}


def test_policies_decide_who_publishes(sns, topic, client):
    other = client("sns", account="111122223333")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": topic},
            {"Effect": "Deny", "Principal": {"AWS": "444455556666"}, "Action": "sns:*", "Resource": topic}]}))
    other.publish(TopicArn=topic, Message="m")
    denied = client("sns", account="444455556666")
    with pytest.raises(denied.exceptions.AuthorizationErrorException):
        denied.publish(TopicArn=topic, Message="m")
