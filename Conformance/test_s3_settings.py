"""Sub-resources of buckets and objects: tags, encryption, CORS, lists, and what infrastructure tools read."""

import datetime
import http.client
import urllib.parse

import pytest

from .expect import aws_error
from .harness import wait_for


@pytest.fixture
def s3(client):
    return client("s3")


@pytest.fixture
def bucket(s3, unique):
    name = unique("settings")
    s3.create_bucket(Bucket=name)
    return name


def test_everything_that_tools_read_of_a_new_bucket(s3, bucket):
    """Terraform's aws_s3_bucket, CDK and SAM read all of these, and know only these codes."""
    absent = {
        "get_bucket_cors": "NoSuchCORSConfiguration",
        "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
        "get_bucket_policy": "NoSuchBucketPolicy",
        "get_bucket_policy_status": "NoSuchBucketPolicy",
        "get_bucket_replication": "ReplicationConfigurationNotFoundError",
        "get_bucket_tagging": "NoSuchTagSet",
        "get_bucket_website": "NoSuchWebsiteConfiguration",
        "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    }
    for operation, code in absent.items():
        with aws_error(code, status=404):
            getattr(s3, operation)(Bucket=bucket)
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"] == [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    acl = s3.get_bucket_acl(Bucket=bucket)
    assert [(g["Grantee"]["ID"], g["Permission"]) for g in acl["Grants"]] == [(acl["Owner"]["ID"], "FULL_CONTROL")]
    for operation in ("get_bucket_versioning", "get_bucket_logging", "get_bucket_accelerate_configuration",
                      "get_bucket_notification_configuration"):
        answer = getattr(s3, operation)(Bucket=bucket)
        answer.pop("ResponseMetadata")
        assert answer == {}
    for operation in ("analytics", "inventory", "metrics", "intelligent_tiering"):
        listed = getattr(s3, f"list_bucket_{operation}_configurations")(Bucket=bucket)
        assert listed["IsTruncated"] is False
        with aws_error("NoSuchConfiguration", status=404):
            getattr(s3, f"get_bucket_{operation}_configuration")(Bucket=bucket, Id="x")
    for operation in ("delete_bucket_cors", "delete_bucket_lifecycle", "delete_bucket_policy",
                      "delete_bucket_tagging", "delete_bucket_website", "delete_bucket_replication"):
        answer = getattr(s3, operation)(Bucket=bucket)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204, operation
    with aws_error("NoSuchBucket", status=404):
        s3.get_bucket_cors(Bucket=bucket + "x")


def test_what_terraform_reads_to_refresh_a_bucket(s3, bucket):
    """The calls of aws_s3_bucket, in its order; a code that it does not know ends the plan."""
    def read(operation, absent=None, **more):
        try:
            return getattr(s3, operation)(Bucket=bucket, **more)
        except s3.exceptions.ClientError as error:
            assert (absent, 404) == (
                error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]), operation

    assert read("head_bucket")["BucketRegion"] == "us-east-1"
    assert read("get_bucket_policy", "NoSuchBucketPolicy") is None
    assert len(read("get_bucket_acl")["Grants"]) == 1
    assert read("get_bucket_cors", "NoSuchCORSConfiguration") is None
    assert read("get_bucket_website", "NoSuchWebsiteConfiguration") is None
    assert "Status" not in read("get_bucket_versioning")
    assert "Status" not in read("get_bucket_accelerate_configuration")
    assert read("get_bucket_request_payment")["Payer"] == "BucketOwner"
    assert "LoggingEnabled" not in read("get_bucket_logging")
    assert read("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration") is None
    assert read("get_bucket_replication", "ReplicationConfigurationNotFoundError") is None
    rules = read("get_bucket_encryption")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert read("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError") is None
    assert read("get_bucket_location").get("LocationConstraint") is None
    assert read("get_bucket_tagging", "NoSuchTagSet") is None
    # The resources beside it, as modules have them.
    assert read("get_public_access_block")["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True
    rules = read("get_bucket_ownership_controls")["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert set(read("get_bucket_notification_configuration")) == {"ResponseMetadata"}


def test_settings_come_back(s3, bucket):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [{
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key"},
        "BucketKeyEnabled": True}]})
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"], put["BucketKeyEnabled"]) == ("aws:kms", "key", True)
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")[
        "ServerSideEncryption"] == "AES256"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="u")
    assert upload["ServerSideEncryption"] == "aws:kms"
    s3.delete_bucket_encryption(Bucket=bucket)
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ServerSideEncryption"] == "AES256"
    s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"] == "Enabled"
    s3.delete_public_access_block(Bucket=bucket)
    with aws_error("NoSuchPublicAccessBlockConfiguration", status=404):
        s3.get_public_access_block(Bucket=bucket)
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    with aws_error("OwnershipControlsNotFoundError", status=404):
        s3.get_bucket_ownership_controls(Bucket=bucket)
    rule = {"ID": "r", "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "a", "Value": "b"}]}}, "Status": "Enabled",
            "Expiration": {"Days": 3}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 2, "NewerNoncurrentVersions": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule]
    for operation, arguments in {
        "put_bucket_website": {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "i"}}},
        "put_bucket_logging": {"BucketLoggingStatus": {
            "LoggingEnabled": {"TargetBucket": "b", "TargetPrefix": "p"}}},
        "put_bucket_request_payment": {"RequestPaymentConfiguration": {"Payer": "Requester"}},
        "put_object_lock_configuration": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    }.items():
        with pytest.raises(Exception, match="not implemented"):
            getattr(s3, operation)(Bucket=bucket, **arguments)


def test_tags_of_objects(s3, bucket):
    tags = [{"Key": "a", "Value": "1"}, {"Key": "ü b", "Value": "x=y+z"}]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&%C3%BC%20b=x%3Dy%2Bz")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == tags
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, TaggingDirective="REPLACE", Tagging="n=2")
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "n", "Value": "2"}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags[:1]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags[:1]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    many = [{"Key": str(n), "Value": ""} for n in range(11)]
    with aws_error("BadRequest", "Object tags cannot be greater than 10"):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": many})
    with aws_error("InvalidTag", "Cannot provide multiple Tags with the same key"):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [many[0], many[0]]})
    with aws_error("InvalidTag", "The TagKey you have provided is invalid"):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "<", "Value": ""}]})
    with aws_error("InvalidArgument"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&a=2")
    with aws_error("NoSuchKey", status=404):
        s3.get_object_tagging(Bucket=bucket, Key="none")


def test_tags_of_buckets(s3, bucket, unique):
    tags = [{"Key": "team", "Value": "a"}, {"Key": "b", "Value": ""}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    with aws_error("NoSuchTagSet", "The TagSet does not exist", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    with aws_error("InvalidTag", "System tags cannot be added/updated by requester"):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "aws:x", "Value": ""}]})


def test_access_lists(s3, bucket):
    with aws_error("AccessControlListNotSupported", "The bucket does not allow ACLs"):
        s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    with aws_error("AccessControlListNotSupported", "The bucket does not allow ACLs"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]})
    with aws_error("AccessDenied", status=403):
        s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert [(g["Grantee"]["Type"], g["Permission"]) for g in grants] == [
        ("CanonicalUser", "FULL_CONTROL"), ("Group", "READ")]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    grants = s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert grants[1]["Grantee"]["URI"] == "http://acs.amazonaws.com/groups/global/AllUsers"
    acl = s3.get_object_acl(Bucket=bucket, Key="k")
    acl.pop("ResponseMetadata")
    acl["Grants"] = acl["Grants"][:1]
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=acl)
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Grants"] == acl["Grants"]
    with aws_error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed"):
        s3.put_object_acl(Bucket=bucket, Key="k", ACL="private", GrantRead="uri=\"x\"")
    with aws_error("InvalidArgument", "Invalid id"):
        s3.put_object_acl(Bucket=bucket, Key="k", GrantRead="id=12")


def ask(server, method, path, headers):
    parts = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def test_a_page_copies_only_from_buckets_that_let_it_in(server, s3, bucket, unique):
    other, page = unique("other"), {"Origin": "https://app.example.com", "Content-Length": "0"}
    s3.create_bucket(Bucket=other)
    for name in (bucket, other):
        s3.put_object(Bucket=name, Key="k", Body=b"x")
    rules = {"CORSRules": [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]}]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)
    copy = lambda source: ask(server, "PUT", f"/{bucket}/copy", dict(page, **{"x-amz-copy-source": source}))[0]
    assert copy(f"/{bucket}/k") == 200
    assert copy(f"/{other}/k") == 403 and copy(f"{other}%2Fk") == 403 and copy("/no-such-bucket/k") == 403
    s3.put_bucket_cors(Bucket=other, CORSConfiguration=rules)
    assert copy(f"/{other}/k") == 200
    s3.delete_object(Bucket=other, Key="k")


def test_cors(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    page = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "Content-Type, X-Amz-Meta-A"}
    status, _, text = ask(server, "OPTIONS", f"/{bucket}/k", page)
    assert status == 403 and "CORS is not enabled for this bucket" in text
    # Without authentication a page of another site may change nothing.
    status, _, text = ask(server, "PUT", f"/{bucket}/k", {"Origin": "https://app.example.com", "Content-Length": "0"})
    assert status == 403 and "AccessDenied" in text
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]},
        {"AllowedMethods": ["PUT", "DELETE"], "AllowedOrigins": ["https://*.example.com"],
         "AllowedHeaders": ["content-type", "x-amz-*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}]})
    rules = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert rules[1]["MaxAgeSeconds"] == 60 and rules[0]["AllowedOrigins"] == ["*"]
    status, headers, _ = ask(server, "OPTIONS", f"/{bucket}/k", page)
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example.com"
    assert headers["access-control-allow-methods"] == "PUT, DELETE"
    assert headers["access-control-allow-headers"] == "content-type, x-amz-meta-a"
    assert headers["access-control-max-age"] == "60" and headers["access-control-expose-headers"] == "ETag"
    refused = dict(page, **{"Access-Control-Request-Headers": "x-other"})
    status, _, text = ask(server, "OPTIONS", f"/{bucket}/k", refused)
    assert status == 403 and "AccessForbidden" in text and "<ResourceType>OBJECT</ResourceType>" in text
    assert ask(server, "OPTIONS", f"/{bucket}/k", {})[0] == 400
    status, headers, text = ask(server, "GET", f"/{bucket}/k", {"Origin": "https://elsewhere.org"})
    assert (status, text, headers["access-control-allow-origin"]) == (200, "x", "*")
    status, headers, _ = ask(server, "GET", f"/{bucket}/none", {"Origin": "https://elsewhere.org"})
    assert status == 404 and headers["access-control-allow-origin"] == "*"
    # Now the bucket lets this page in, and no other.
    put = {"Origin": "https://app.example.com", "Content-Length": "0"}
    assert ask(server, "PUT", f"/{bucket}/k", put)[0] == 200
    assert ask(server, "PUT", f"/{bucket}/k", dict(put, Origin="https://evil.org"))[0] == 403
    with aws_error("InvalidRequest"):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [
            {"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}]})
    s3.delete_bucket_cors(Bucket=bucket)
    with aws_error("NoSuchCORSConfiguration", status=404):
        s3.get_bucket_cors(Bucket=bucket)


def test_lifecycle_is_carried_out(s3, client, bucket):
    """Rules with a date in the past work at once; the rest of expiry has Swift tests with their own clock."""
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    for key in ("old/a", "old/b", "new/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging="keep=no" if key == "old/b" else "")
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"ID": "tagged", "Status": "Enabled", "Expiration": {"Date": past},
         "Filter": {"And": {"Prefix": "old/", "Tags": [{"Key": "keep", "Value": "no"}]}}}]})
    wait_for(lambda: [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["new/a", "old/a"])
    head = s3.put_object(Bucket=bucket, Key="old/c", Body=b"x", Tagging="keep=no")
    assert head["Expiration"] == 'expiry-date="Wed, 01 Jan 2020 00:00:00 GMT", rule-id="tagged"'
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"Status": "Enabled", "Expiration": {"Date": past}, "Filter": {"Prefix": "old/"}}]})
    wait_for(lambda: [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["new/a"])
    assert len(s3.list_object_versions(Bucket=bucket, Prefix="old/")["DeleteMarkers"]) == 2
    for rule, code in [
        ({"Filter": {}, "Status": "Enabled"}, "InvalidRequest"),
        ({"Filter": {}, "Status": "Enabled", "Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Filter": {}, "Status": "Enabled", "Expiration": {"Date": past + datetime.timedelta(hours=1)}},
         "InvalidArgument"),
        ({"Filter": {}, "Status": "On", "Expiration": {"Days": 1}}, "MalformedXML"),
        ({"Status": "Enabled", "Expiration": {"Days": 1}}, "MalformedXML"),
    ]:
        with aws_error(code):
            s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
