"""S3 versions: boto3 against a real server."""

import json

import pytest

from .expect import aws_error
from .harness import wait_for


@pytest.fixture
def s3(client):
    return client("s3")


@pytest.fixture
def bucket(s3, unique):
    """With versioning."""
    name = unique("versions")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def body(answer):
    return answer["Body"].read()


def test_versions_of_a_key(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"two")["VersionId"]
    assert first != second
    get = s3.get_object(Bucket=bucket, Key="k")
    assert (body(get), get["VersionId"]) == (b"two", second)
    assert body(s3.get_object(Bucket=bucket, Key="k", VersionId=first)) == b"one"
    assert s3.head_object(Bucket=bucket, Key="k", VersionId=first)["ContentLength"] == 3
    deleted = s3.delete_object(Bucket=bucket, Key="k")
    assert deleted["DeleteMarker"] is True
    with aws_error("NoSuchKey", "The specified key does not exist.", 404) as caught:
        s3.get_object(Bucket=bucket, Key="k")
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true" and headers["x-amz-version-id"] == deleted["VersionId"]
    with aws_error("MethodNotAllowed", "The specified method is not allowed against this resource.", 405) as caught:
        s3.get_object(Bucket=bucket, Key="k", VersionId=deleted["VersionId"])
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["allow"] == "DELETE"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    gone = s3.delete_object(Bucket=bucket, Key="k", VersionId=deleted["VersionId"])
    assert gone["DeleteMarker"] is True and gone["VersionId"] == deleted["VersionId"]
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"two"
    gone = s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert "DeleteMarker" not in gone
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"one"


def test_null_versions(s3, unique):
    name = unique("nulls")
    s3.create_bucket(Bucket=name)
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    assert "VersionId" not in s3.put_object(Bucket=name, Key="k", Body=b"before")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert s3.head_object(Bucket=name, Key="k")["VersionId"] == "null"
    s3.put_object(Bucket=name, Key="k", Body=b"kept")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=name, Key="k", Body=b"suspended")
    versions = s3.list_object_versions(Bucket=name)["Versions"]
    assert [(v["VersionId"] == "null", v["IsLatest"], v["Size"]) for v in versions] == [(True, True, 9), (False, False, 4)]
    marker = s3.delete_object(Bucket=name, Key="k")
    assert (marker["VersionId"], marker["DeleteMarker"]) == ("null", True)
    listed = s3.list_object_versions(Bucket=name)
    assert [v["Size"] for v in listed["Versions"]] == [4]
    assert [(m["VersionId"], m["IsLatest"]) for m in listed["DeleteMarkers"]] == [("null", True)]
    s3.delete_object(Bucket=name, Key="k", VersionId="null")
    assert body(s3.get_object(Bucket=name, Key="k")) == b"kept"


def test_listing_pages_of_versions(s3, bucket):
    for key in ("a/1", "a/2", "b", "c"):
        for text in (b"x", b"xy", b"xyz"):
            s3.put_object(Bucket=bucket, Key=key, Body=text)
    s3.delete_object(Bucket=bucket, Key="b")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    seen = []
    for page in pages:
        assert len(page.get("Versions", [])) + len(page.get("DeleteMarkers", [])) <= 2
        seen += [(v["Key"], v["Size"]) for v in page.get("Versions", [])]
        seen += [(m["Key"], None) for m in page.get("DeleteMarkers", [])]
    assert len(seen) == 13
    assert [size for key, size in seen if key == "a/2"] == [3, 2, 1]
    rolled = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in rolled["CommonPrefixes"]] == ["a/"]
    assert {v["Key"] for v in rolled["Versions"]} == {"b", "c"}
    assert len(s3.list_object_versions(Bucket=bucket, Prefix="a/1")["Versions"]) == 3


def test_wrong_version_ids(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with aws_error("InvalidArgument", "Invalid version id specified"):
        s3.get_object(Bucket=bucket, Key="k", VersionId="nonsense")
    version = s3.put_object(Bucket=bucket, Key="other", Body=b"x")["VersionId"]
    with aws_error("NoSuchVersion", "The specified version does not exist.", 404):
        s3.get_object(Bucket=bucket, Key="k", VersionId=version)
    with aws_error("NotImplemented", status=501):
        s3.put_bucket_versioning(
            Bucket=bucket, MFA="serial 123456", VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"})
    with aws_error("IllegalVersioningConfigurationException"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={})


def test_copies_and_uploads_have_versions(s3, bucket):
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old", Tagging="a=1")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    copied = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k", "VersionId": old})
    assert copied["CopySourceVersionId"] == old and copied["VersionId"]
    assert body(s3.get_object(Bucket=bucket, Key="copy")) == b"old"
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "a", "Value": "1"}]
    # An old version is restored by copying it over itself.
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": old})
    assert body(s3.get_object(Bucket=bucket, Key="k")) == b"old"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"parts")["ETag"]
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert s3.head_object(Bucket=bucket, Key="k")["VersionId"] == done["VersionId"]
    assert len(s3.list_object_versions(Bucket=bucket, Prefix="k")["Versions"]) == 4


def test_deleting_many_versions(s3, bucket):
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"] for _ in range(3)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [
        {"Key": "k", "VersionId": versions[0]}, {"Key": "fresh"}, {"Key": "k", "VersionId": "nonsense"}]})
    assert answer["Deleted"][0] == {"Key": "k", "VersionId": versions[0]}
    assert answer["Deleted"][1]["DeleteMarker"] is True and answer["Deleted"][1]["DeleteMarkerVersionId"]
    assert [e["Code"] for e in answer["Errors"]] == ["NoSuchVersion"]
    with aws_error("BucketNotEmpty", status=409):
        s3.delete_bucket(Bucket=bucket)
    listed = s3.list_object_versions(Bucket=bucket)
    rest = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in listed["Versions"] + listed["DeleteMarkers"]]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": rest, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)


def test_events_of_every_kind(s3, client, bucket):
    """Records of versions, tags and access lists, at a queue."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=bucket)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn}]})})
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [{
        "Id": "all", "QueueArn": arn, "Events": [
            "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"]}]})
    put = s3.put_object(Bucket=bucket, Key="a b", Body=b"abc")
    s3.put_object_tagging(Bucket=bucket, Key="a b", Tagging={"TagSet": [{"Key": "t", "Value": "1"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="a b")
    s3.put_object_acl(Bucket=bucket, Key="a b", ACL="private")
    marker = s3.delete_object(Bucket=bucket, Key="a b")
    s3.delete_object(Bucket=bucket, Key="a b", VersionId=put["VersionId"])
    records = {}

    def receive():
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            for record in json.loads(message["Body"]).get("Records", []):
                records[record["eventName"]] = record
        return len(records) >= 6

    wait_for(receive)
    etag = put["ETag"].strip('"')
    version = put["VersionId"]

    def shown(name):
        record = records[name]
        found = dict(record["s3"]["object"])
        has_sequencer = found.pop("sequencer", None) is not None
        return record["eventVersion"], has_sequencer, found

    assert shown("ObjectCreated:Put") == (
        "2.1", True, {"key": "a+b", "size": 3, "eTag": etag, "versionId": version})
    for name in ("ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put"):
        assert shown(name) == ("2.3", False, {"key": "a+b", "eTag": etag, "versionId": version})
    assert shown("ObjectRemoved:DeleteMarkerCreated") == (
        "2.1", True, {"key": "a+b", "eTag": "d41d8cd98f00b204e9800998ecf8427e", "versionId": marker["VersionId"]})
    assert shown("ObjectRemoved:Delete") == ("2.1", True, {"key": "a+b", "versionId": version})


def test_versions_survive_kill9(make_server, unique):
    server = make_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    acknowledged = {}
    for number in range(40):
        text = f"{number}".encode()
        acknowledged[s3.put_object(Bucket="kept", Key=f"k{number % 3}", Body=text)["VersionId"]] = text
        if number % 7 == 0:
            s3.delete_object(Bucket="kept", Key="k1")
        if number == 25:
            server.restart("kill9")
            s3 = server.client("s3")
    server.restart("kill9")
    s3 = server.client("s3")
    listed = s3.list_object_versions(Bucket="kept")
    versions = {v["VersionId"]: v["Key"] for v in listed["Versions"]}
    assert set(versions) >= set(acknowledged)
    for version, text in acknowledged.items():
        assert body(s3.get_object(Bucket="kept", Key=versions[version], VersionId=version)) == text
    latest = [v for v in listed["Versions"] + listed["DeleteMarkers"] if v["IsLatest"]]
    assert sorted(v["Key"] for v in latest) == ["k0", "k1", "k2"]
