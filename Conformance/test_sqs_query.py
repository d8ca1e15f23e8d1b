"""SQS by the query protocol, as SDKs spoke it until 2023, and the errors' headers of the JSON protocol."""

import hashlib
import json
import urllib.parse
import xml.etree.ElementTree as ElementTree

import pytest

from .harness import ACCOUNT
from .raw import exchange, request, scope

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def name(unique):
    return unique("queue")


@pytest.fixture
def call(server):
    """`call("SendMessage", QueueUrl=…)`: the answer, and its XML with the namespace removed."""

    def call(action, path="/", signed=True, method="POST", version="2012-11-05", **parameters):
        form = {"Action": action, **({"Version": version} if version else {}), **parameters}
        text = urllib.parse.urlencode(form)
        headers = {"Authorization": scope("sqs")} if signed else {}
        if method == "GET":
            answer = exchange(server, request("GET", f"{path}?{text}", **headers))
        else:
            answer = exchange(server, request(
                "POST", path, text.encode(), Content_Type="application/x-www-form-urlencoded; charset=utf-8",
                **headers))
        assert answer.headers["content-type"].startswith("text/xml"), answer
        text = answer.body.decode()
        assert NAMESPACE[1:-1] in text
        return answer, ElementTree.fromstring(text.replace(f' xmlns="{NAMESPACE[1:-1]}"', ""))

    return call


@pytest.fixture
def url(call, name):
    answer, root = call("CreateQueue", QueueName=name, **{"Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "0"})
    assert answer.status == 200 and root.tag == "CreateQueueResponse"
    return root.findtext("CreateQueueResult/QueueUrl")


def texts(root, path):
    return [element.text for element in root.findall(path)]


def test_a_message_goes_round(call, url):
    answer, root = call("SendMessage", QueueUrl=url, MessageBody="a <b> & ü", **{
        "MessageAttribute.1.Name": "one", "MessageAttribute.1.Value.DataType": "String",
        "MessageAttribute.1.Value.StringValue": "1",
        "MessageAttribute.2.Name": "two", "MessageAttribute.2.Value.DataType": "Binary",
        "MessageAttribute.2.Value.BinaryValue": "AP8="})
    assert answer.status == 200
    result = root.find("SendMessageResult")
    assert result.findtext("MD5OfMessageBody") == hashlib.md5("a <b> & ü".encode()).hexdigest()
    assert result.findtext("MD5OfMessageAttributes") and result.findtext("MessageId")
    assert root.findtext("ResponseMetadata/RequestId") == answer.headers["x-amzn-requestid"]
    _, root = call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages="10", **{
        "AttributeName.1": "All", "MessageAttributeName.1": "All"})
    (message,) = root.findall("ReceiveMessageResult/Message")
    assert message.findtext("Body") == "a <b> & ü"
    assert "ApproximateReceiveCount" in texts(message, "Attribute/Name")
    assert texts(message, "MessageAttribute/Name") == ["one", "two"]
    assert texts(message, "MessageAttribute/Value/DataType") == ["String", "Binary"]
    assert texts(message, "MessageAttribute/Value/BinaryValue") == ["AP8="]
    answer, root = call("DeleteMessage", QueueUrl=url, ReceiptHandle=message.findtext("ReceiptHandle"))
    assert answer.status == 200 and root.tag == "DeleteMessageResponse"
    assert [child.tag for child in root] == ["ResponseMetadata"]
    _, root = call("ReceiveMessage", QueueUrl=url)
    assert root.findall("ReceiveMessageResult/Message") == []


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_requests_to_the_queues_own_url(call, url, name, signed, method):
    path = f"/{ACCOUNT}/{name}"
    answer, root = call("SendMessage", path, signed, method, MessageBody="x")
    assert answer.status == 200 and root.findtext("SendMessageResult/MessageId")
    answer, root = call("GetQueueAttributes", path, signed, method, **{"AttributeName.1": "ApproximateNumberOfMessages"})
    assert texts(root, "GetQueueAttributesResult/Attribute/Name") == ["ApproximateNumberOfMessages"]
    assert texts(root, "GetQueueAttributesResult/Attribute/Value") == ["1"]


def test_without_a_version(call, url, name):
    answer, root = call("SendMessage", f"/{ACCOUNT}/{name}", False, "GET", None, MessageBody="x")
    assert answer.status == 200 and root.findtext("SendMessageResult/MessageId")


def test_unsigned_requests_to_the_root(call, url):
    for method in ("GET", "POST"):
        answer, root = call("SendMessage", "/", False, method, QueueUrl=url, MessageBody="x")
        assert answer.status == 200 and root.findtext("SendMessageResult/MessageId")


def test_batches(call, url):
    answer, root = call("SendMessageBatch", QueueUrl=url, **{
        "SendMessageBatchRequestEntry.1.Id": "a", "SendMessageBatchRequestEntry.1.MessageBody": "1",
        "SendMessageBatchRequestEntry.2.Id": "b", "SendMessageBatchRequestEntry.2.MessageBody": "\x01"})
    assert answer.status == 200
    assert texts(root, "SendMessageBatchResult/SendMessageBatchResultEntry/Id") == ["a"]
    assert texts(root, "SendMessageBatchResult/BatchResultErrorEntry/Id") == ["b"]
    assert texts(root, "SendMessageBatchResult/BatchResultErrorEntry/SenderFault") == ["true"]
    _, root = call("ReceiveMessage", QueueUrl=url)
    handle = root.findtext("ReceiveMessageResult/Message/ReceiptHandle")
    entry = "ChangeMessageVisibilityBatchRequestEntry.1."
    _, root = call("ChangeMessageVisibilityBatch", QueueUrl=url, **{
        entry + "Id": "a", entry + "ReceiptHandle": handle, entry + "VisibilityTimeout": "60"})
    assert texts(root, "ChangeMessageVisibilityBatchResult/ChangeMessageVisibilityBatchResultEntry/Id") == ["a"]
    entry = "DeleteMessageBatchRequestEntry.1."
    _, root = call("DeleteMessageBatch", QueueUrl=url, **{entry + "Id": "a", entry + "ReceiptHandle": handle})
    assert texts(root, "DeleteMessageBatchResult/DeleteMessageBatchResultEntry/Id") == ["a"]


def test_queues_and_tags(call, url, name):
    _, root = call("ListQueues", QueueNamePrefix=name)
    assert texts(root, "ListQueuesResult/QueueUrl") == [url]
    call("TagQueue", QueueUrl=url, **{"Tag.1.Key": "k", "Tag.1.Value": "v", "Tag.2.Key": "l", "Tag.2.Value": "w"})
    call("UntagQueue", QueueUrl=url, **{"TagKey.1": "l"})
    _, root = call("ListQueueTags", QueueUrl=url)
    assert texts(root, "ListQueueTagsResult/Tag/Key") == ["k"] and texts(root, "ListQueueTagsResult/Tag/Value") == ["v"]
    answer, _ = call("AddPermission", QueueUrl=url, Label="l", **{
        "AWSAccountId.1": "111122223333", "ActionName.1": "SendMessage"})
    assert answer.status == 200
    answer, _ = call("SetQueueAttributes", QueueUrl=url, **{
        "Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "9"})
    _, root = call("GetQueueAttributes", QueueUrl=url, **{"AttributeName.1": "VisibilityTimeout"})
    assert texts(root, "GetQueueAttributesResult/Attribute/Value") == ["9"]
    _, root = call("GetQueueUrl", QueueName=name)
    assert root.findtext("GetQueueUrlResult/QueueUrl") == url
    assert call("DeleteQueue", QueueUrl=url)[0].status == 200


def error(root):
    assert root.tag == "ErrorResponse"
    return tuple(root.findtext("Error/" + part) for part in ("Type", "Code", "Message"))


def test_errors(call, url):
    answer, root = call("SendMessage", QueueUrl=url + "-absent", MessageBody="x")
    assert (answer.status, *error(root)) == (
        400, "Sender", "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist for this wsdl version.")
    assert root.findtext("RequestId") == answer.headers["x-amzn-requestid"]
    answer, root = call("SendMessage", QueueUrl=url)
    assert (answer.status, *error(root)) == (
        400, "Sender", "MissingParameter", "The request must contain the parameter MessageBody.")
    answer, root = call("SendMessage", MessageBody="x")
    assert (answer.status, error(root)[1]) == (400, "MissingParameter")
    answer, root = call("Nonsense", QueueUrl=url)
    assert (answer.status, error(root)[1]) == (400, "InvalidAction")


def json_call(server, operation, body, **headers):
    return exchange(server, request(
        "POST", "/", json.dumps(body).encode(), Content_Type="application/x-amz-json-1.0",
        X_Amz_Target="AmazonSQS." + operation, Authorization=scope("sqs"), **headers))


def test_errors_in_json(server):
    answer = json_call(server, "GetQueueUrl", {"QueueName": "absent"}, x_amzn_query_mode="true")
    assert answer.status == 400
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert json.loads(answer.body) == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."}


def test_members_of_the_wrong_type(server, call, url):
    answer = json_call(server, "SendMessage", {"QueueUrl": url, "MessageBody": "x", "DelaySeconds": "ten"})
    assert answer.status == 400 and answer.is_error_of_ours
    answer, root = call("SendMessage", QueueUrl=url, MessageBody="x", DelaySeconds="ten")
    assert answer.status == 400 and error(root)[0] == "Sender"
