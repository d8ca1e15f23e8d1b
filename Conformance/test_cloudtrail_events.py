"""Calls of S3's API on the default bus, in CloudTrail's shape: for rules that ask for them, and for nobody else."""

import json

import pytest
from botocore.exceptions import ClientError

from .functions import FAST_MB
from .harness import ACCOUNT, REGION, wait_for

CALLS = "AWS API Call via CloudTrail"


@pytest.fixture
def rule(server, unique):
    """`rule(bucket, …)`: sends calls to a queue; gives a function that receives what has come."""
    made = []

    def make(pattern, account=None):
        events, sqs = server.client("events", account=account), server.client("sqs", account=account)
        name = unique("calls")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{account or ACCOUNT}:{name}"
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
                "Resource": arn}]})})
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        made.append((events, name))
        seen = []

        def receive():
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                seen.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return seen

        return receive

    yield make
    for events, name in made:
        events.remove_targets(Rule=name, Ids=["queue"])
        events.delete_rule(Name=name)


@pytest.fixture
def bucket(client, unique):
    name = unique("trail")
    client("s3").create_bucket(Bucket=name)
    return name


def pattern(bucket, **detail):
    return {"source": ["aws.s3"], "detail-type": [CALLS],
            "detail": {"requestParameters": {"bucketName": [bucket]}, **detail}}


def test_reads_and_writes_of_objects_become_events(client, bucket, rule):
    receive = rule(pattern(bucket))
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="a b", Body=b"hello")
    s3.get_object(Bucket=bucket, Key="a b")
    s3.head_object(Bucket=bucket, Key="a b")
    bodies = []
    s3.meta.events.register("before-parse.s3.ListObjectsV2", lambda response_dict, **_: bodies.append(
        response_dict["body"]))
    s3.list_objects_v2(Bucket=bucket, Prefix="a")
    (listing,) = bodies
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    s3.delete_object(Bucket=bucket, Key="copy")
    s3.delete_object(Bucket=bucket, Key="was never there")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a b"}, {"Key": "big"}]})
    wanted = ["CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "DeleteObject", "DeleteObject",
              "DeleteObjects", "GetObject", "HeadObject", "ListObjects", "PutObject", "UploadPart"]
    wait_for(lambda: len(receive()) >= len(wanted))
    events = receive()
    assert sorted(e["detail"]["eventName"] for e in events) == wanted
    by_name = {e["detail"]["eventName"]: e for e in events}
    put, get = by_name["PutObject"], by_name["GetObject"]
    assert (put["source"], put["detail-type"], put["resources"], put["region"]) == ("aws.s3", CALLS, [], REGION)
    detail = put["detail"]
    assert detail["eventSource"] == "s3.amazonaws.com" and detail["eventType"] == "AwsApiCall"
    assert detail["userIdentity"]["type"] == "Root" and detail["userIdentity"]["accountId"] == ACCOUNT
    assert detail["userIdentity"]["accessKeyId"] == "test"
    assert detail["requestParameters"]["key"] == "a b" and "Host" in detail["requestParameters"]
    assert detail["responseElements"] == {"x-amz-server-side-encryption": "AES256"}
    assert detail["resources"][0] == {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{bucket}/a b"}
    assert detail["resources"][1]["ARN"] == f"arn:aws:s3:::{bucket}"
    assert (detail["readOnly"], get["detail"]["readOnly"]) == (False, True)
    assert detail["userAgent"].startswith("[Boto3/") and detail["sourceIPAddress"] == "127.0.0.1"
    assert detail["eventCategory"] == "Data" and detail["managementEvent"] is False
    assert {"eventVersion", "eventTime", "awsRegion", "requestID", "eventID", "recipientAccountId"} <= set(detail)
    assert get["detail"]["responseElements"] is None
    moved = {name: (event["detail"]["additionalEventData"]["bytesTransferredIn"],
                    event["detail"]["additionalEventData"]["bytesTransferredOut"]) for name, event in by_name.items()}
    assert (moved["GetObject"], moved["HeadObject"], moved["UploadPart"][1]) == ((0, 5), (0, 0), 0)
    assert moved["PutObject"][1] == 0 and moved["ListObjects"][1] == len(listing)
    assert by_name["ListObjects"]["detail"]["requestParameters"]["prefix"] == "a"
    assert not any("Signature" in json.dumps(e["detail"]["requestParameters"]) for e in events)


def test_what_fails_is_recorded_with_its_error(client, bucket, rule):
    receive = rule(pattern(bucket, errorCode=[{"exists": True}]))
    with pytest.raises(ClientError):
        client("s3").get_object(Bucket=bucket, Key="none")
    event = wait_for(receive)[0]["detail"]
    assert (event["eventName"], event["errorCode"]) == ("GetObject", "NoSuchKey")
    assert event["additionalEventData"]["bytesTransferredOut"] > 100
    assert event["responseElements"] is None


def test_only_rules_that_name_the_detail_type_get_calls(client, bucket, rule):
    every, calls = rule({"source": ["aws.s3"], "detail": {"requestParameters": {"bucketName": [bucket]}}}), rule(
        pattern(bucket))
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    wait_for(calls)
    assert every() == []


def test_rules_come_and_go(client, unique, bucket, rule):
    s3, events = client("s3", account="333344445555"), client("events", account="333344445555")
    name = unique("trail")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="before", Body=b"")
    receive = rule(pattern(name), account="333344445555")
    s3.get_object(Bucket=name, Key="before")
    wait_for(receive)
    rules = [r["Name"] for r in events.list_rules()["Rules"]]
    events.disable_rule(Name=rules[0])
    # A write: it is recorded in its own transaction or not at all. A read's record may come after the rule is back.
    s3.put_object(Bucket=name, Key="unseen", Body=b"")
    events.enable_rule(Name=rules[0])
    s3.put_object(Bucket=name, Key="after", Body=b"")
    wait_for(lambda: len(receive()) >= 2)
    assert sorted((e["detail"]["eventName"], e["detail"]["requestParameters"]["key"]) for e in receive()) == [
        ("GetObject", "before"), ("PutObject", "after")]


def test_a_function_that_reads_what_it_is_told_of_is_stopped(client, server, unique, make_function, bucket):
    """It would call itself for ever: the lineage in the calls' trace ends it."""
    function = make_function("""
import boto3, os
s3 = boto3.client("s3")

def handler(event, context):
    print("CALLED", event["detail"]["eventName"])
    s3.get_object(Bucket=os.environ["BUCKET"], Key="k")
""", Environment={"Variables": {"BUCKET": bucket}}, Timeout=20, MemorySize=FAST_MB)
    events, name = client("events"), unique("loop")
    client("s3").put_object(Bucket=bucket, Key="k", Body=b"")
    arn = events.put_rule(Name=name, EventPattern=json.dumps(pattern(bucket, eventName=["GetObject"])))["RuleArn"]
    client("lambda").add_permission(
        FunctionName=function.name, StatementId="rule", Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com", SourceArn=arn)
    events.put_targets(Rule=name, Targets=[{"Id": "f", "Arn": function.arn}])
    try:
        client("s3").get_object(Bucket=bucket, Key="k")
        calls = lambda: sum("CALLED" in line for line in function.log_messages())
        wait_for(lambda: calls() >= 16, 60)
        # Events come at least once: some calls may be told twice.
        assert calls() < 100
    finally:
        events.remove_targets(Rule=name, Ids=["f"])
        events.delete_rule(Name=name)


def test_acknowledged_writes_are_told_over_kill9(make_server, rule):
    server = make_server()
    s3, events, sqs = server.client("s3"), server.client("events"), server.client("sqs")
    s3.create_bucket(Bucket="kept")
    url = sqs.create_queue(QueueName="calls")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:calls"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*",
                                                "Resource": arn}]})})
    events.put_rule(Name="calls", EventPattern=json.dumps(pattern("kept", eventName=["PutObject"])))
    events.put_targets(Rule="calls", Targets=[{"Id": "q", "Arn": arn}])
    server.restart("kill9")
    keys = [f"key-{number}" for number in range(20)]
    for key in keys:
        s3.put_object(Bucket="kept", Key=key, Body=b"x")
    server.restart("kill9")
    told = set()

    def all_told():
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            told.add(json.loads(message["Body"])["detail"]["requestParameters"]["key"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return told == set(keys)

    wait_for(all_told)
