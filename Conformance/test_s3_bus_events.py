"""What S3 tells EventBridge: each kind of event, key by key, delivered to a function (semantics 6.1; S3 guide,
"EventBridge event message structure")."""

import datetime
import json
import re

from .harness import ACCOUNT, REGION, wait_for

RECEIVER = "import json\ndef handler(event, context):\n    print('got ' + json.dumps(event), flush=True)\n"
NOTHING = "d41d8cd98f00b204e9800998ecf8427e"
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


def listen(client, function, bucket):
    """Every event of the bucket goes to the function."""
    events, name = client("events"), bucket
    rule = events.put_rule(Name=name, EventPattern=json.dumps({
        "source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"exists": True}]}}}))
    function.client.add_permission(
        FunctionName=function.name, StatementId=name, Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com", SourceArn=rule["RuleArn"])
    events.put_targets(Rule=name, Targets=[{"Id": "f", "Arn": function.arn}])


def test_every_kind_of_event_reaches_a_function(client, fast_function, unique):
    s3, bucket, function = client("s3"), unique("bus-events"), fast_function(RECEIVER)
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}
    listen(client, function, bucket)

    put = s3.put_object(Bucket=bucket, Key="a b", Body=b"hello")
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"part")
    whole = s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    s3.put_object_tagging(Bucket=bucket, Key="a b", Tagging={"TagSet": [{"Key": "t", "Value": "1"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="a b")
    s3.put_object_acl(Bucket=bucket, Key="a b", ACL="private")
    marker = s3.delete_object(Bucket=bucket, Key="a b")
    s3.delete_object(Bucket=bucket, Key="a b", VersionId=put["VersionId"])
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "big", "VersionId": whole["VersionId"]}]})
    # The lifecycle marks what is current.
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"Status": "Enabled", "Expiration": {"Date": PAST}, "Filter": {"Prefix": "copy"}}]})

    def received():
        return [json.loads(m[4:]) for m in function.log_messages() if m.startswith("got ")]

    wait_for(lambda: len({event["id"] for event in received()}) >= 10)
    found = {}
    for event in received():
        assert list(event) == ["version", "id", "detail-type", "source", "account", "time", "region", "resources",
                               "detail"]
        assert (event["version"], event["source"], event["account"], event["region"], event["resources"]) == (
            "0", "aws.s3", ACCOUNT, REGION, [f"arn:aws:s3:::{bucket}"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"])
        detail = event["detail"]
        assert detail.pop("version") == "0" and detail.pop("bucket") == {"name": bucket}
        assert re.fullmatch("[0-9A-Z]{16}", detail.pop("request-id"))
        told = detail.get("object", {})
        if event["detail-type"] in ("Object Created", "Object Deleted"):
            assert re.fullmatch("[0-9A-F]{16,18}", told.pop("sequencer"))
        found[(event["detail-type"], told["key"], detail.pop("deletion-type", None))] = detail

    def by_user(version, reason=None, **told):
        return {"object": {**told, "version-id": version}, "requester": ACCOUNT, "source-ip-address": "127.0.0.1",
                **({"reason": reason} if reason else {})}

    bare = lambda answer: answer["ETag"].strip('"')
    created, deleted, forever, marked = "Object Created", "Object Deleted", "Permanently Deleted", "Delete Marker Created"
    version = put["VersionId"]
    of_copy = s3.list_object_versions(Bucket=bucket, Prefix="copy")
    expired = found.pop((deleted, "copy", marked))
    assert found == {
        (created, "a b", None): by_user(version, "PutObject", key="a b", size=5, etag=bare(put)),
        (created, "copy", None): by_user(
            copy["VersionId"], "CopyObject", key="copy", size=5, etag=bare(copy["CopyObjectResult"])),
        (created, "big", None): by_user(
            whole["VersionId"], "CompleteMultipartUpload", key="big", size=4, etag=bare(whole)),
        ("Object Tags Added", "a b", None): by_user(version, key="a b", etag=bare(put)),
        ("Object Tags Deleted", "a b", None): by_user(version, key="a b", etag=bare(put)),
        ("Object ACL Updated", "a b", None): by_user(version, key="a b", etag=bare(put)),
        (deleted, "a b", marked): by_user(marker["VersionId"], "DeleteObject", key="a b", etag=NOTHING),
        (deleted, "a b", forever): by_user(version, "DeleteObject", key="a b"),
        (deleted, "big", forever): by_user(whole["VersionId"], "DeleteObject", key="big"),
    }
    # Nobody's address stands behind the lifecycle.
    assert expired == {
        "object": {"key": "copy", "etag": NOTHING, "version-id": of_copy["DeleteMarkers"][0]["VersionId"]},
        "requester": "s3.amazonaws.com", "reason": "Lifecycle Expiration"}
