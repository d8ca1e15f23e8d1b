"""Who may do what in S3: bucket policies, roles, public access, access lists; with authentication."""

import configparser
import datetime
import json
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest

from .expect import aws_error
from .harness import REGION, Server
from .test_policies import ACCOUNT, TRUST, document


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("s3-access") / "data", ["--auth", "sigv4"])
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def signed(strict):
    """`signed("s3", credentials)`: a client of the account itself, or of a session; `version="s3"` for signature version 2."""
    parser = configparser.ConfigParser()
    parser.read(strict.data_dir / "credentials")
    root = {
        "AccessKeyId": parser["default"]["aws_access_key_id"],
        "SecretAccessKey": parser["default"]["aws_secret_access_key"],
    }

    def make(service, keys=None, version=None):
        keys = keys or root
        return boto3.session.Session().client(
            service, endpoint_url=strict.url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys.get("SessionToken"),
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, signature_version=version, s3={"addressing_style": "path"}))

    return make


@pytest.fixture
def s3(signed):
    return signed("s3")


@pytest.fixture
def bucket(s3, unique):
    name = unique("access")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"content")
    return name


@pytest.fixture
def role(signed, unique):
    """A role without policies: its S3 client, and what gives it one."""
    iam, name = signed("iam"), unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    keys = signed("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="session")["Credentials"]

    def allow(*arguments, **members):
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*arguments, **members))

    return signed("s3", keys), allow, f"arn:aws:iam::{ACCOUNT}:role/{name}"


def anonymous(strict, path, method="GET", data=None):
    """Status and body of an unsigned request."""
    request = urllib.request.Request(strict.url + path, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def policy(bucket, principal, action, resource="/*", effect="Allow", **members):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": effect, "Principal": principal, "Action": action, "Resource": f"arn:aws:s3:::{bucket}{resource}",
        **members}]})


def test_roles_need_policies(bucket, role, s3):
    client, allow, _ = role
    with aws_error("AccessDenied", status=403) as caught:
        client.get_object(Bucket=bucket, Key="k")
    assert "is not authorized to perform: s3:GetObject" in caught.value.response["Error"]["Message"]
    allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"
    # Whoever may not list is not told whether a key is there.
    with aws_error("AccessDenied", status=403):
        client.get_object(Bucket=bucket, Key="none")
    for call, arguments in [("put_object", {"Key": "k"}), ("delete_object", {"Key": "k"}), ("list_objects_v2", {}),
                            ("get_bucket_policy", {}), ("get_object_tagging", {"Key": "k"})]:
        with aws_error("AccessDenied", status=403):
            getattr(client, call)(Bucket=bucket, **arguments)
    refused = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    assert [e["Code"] for e in refused["Errors"]] == ["AccessDenied"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"


def test_bucket_policies_let_roles_in_and_keep_them_out(bucket, role, s3):
    client, allow, arn = role
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, {"AWS": arn}, ["s3:GetObject", "s3:PutObject"]))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]["Principal"] == {"AWS": arn}
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    client.put_object(Bucket=bucket, Key="mine", Body=b"x")
    with aws_error("AccessDenied", status=403):
        client.delete_object(Bucket=bucket, Key="mine")
    allow("s3:*")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "*", "s3:DeleteObject", effect="Deny"))
    with aws_error("AccessDenied", status=403) as caught:
        client.delete_object(Bucket=bucket, Key="mine")
    assert "explicit deny in a resource-based policy" in caught.value.response["Error"]["Message"]
    # The owner too is denied, but can always repair its policy.
    with aws_error("AccessDenied", status=403):
        s3.delete_object(Bucket=bucket, Key="mine")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "*", "s3:*", effect="Deny"))
    s3.delete_bucket_policy(Bucket=bucket)
    client.delete_object(Bucket=bucket, Key="mine")


def test_conditions(bucket, role, s3):
    client, allow, arn = role
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:ListBucket",
         "Resource": f"arn:aws:s3:::{bucket}", "Condition": {"StringLike": {"s3:prefix": "home/*"}}},
        {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:PutObject",
         "Resource": f"arn:aws:s3:::{bucket}/*", "Condition": {"StringEquals": {
             "s3:x-amz-server-side-encryption": "aws:kms"}}},
        {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject",
         "Resource": f"arn:aws:s3:::{bucket}/*", "Condition": {"StringEquals": {
             "s3:ExistingObjectTag/open": "yes"}}}]}))
    client.list_objects_v2(Bucket=bucket, Prefix="home/x")
    with aws_error("AccessDenied", status=403):
        client.list_objects_v2(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="sealed", Body=b"x", ServerSideEncryption="aws:kms")
    with aws_error("AccessDenied", status=403):
        client.put_object(Bucket=bucket, Key="sealed", Body=b"x")
    with aws_error("AccessDenied", status=403):
        client.get_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "open", "Value": "yes"}]})
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"


def is_denied(call, *arguments, **members):
    """Whether S3 refuses a call; fails for any other refusal."""
    try:
        call(*arguments, **members)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "403"), error
        return True
    return False


def denies(s3, bucket, action, **condition):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": condition}]}))


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_conditions_of_writes(bucket, role, s3):
    """S3 guide, "Enforce conditional writes": a bucket that lets nobody write over an object."""
    client, allow, _ = role
    allow("s3:*")
    denies(s3, bucket, "s3:PutObject", Null={"s3:if-none-match": "true"}, Bool={"s3:ObjectCreationOperation": "true"})
    assert is_denied(client.put_object, Bucket=bucket, Key="n", Body=b"")
    assert is_denied(client.copy_object, Bucket=bucket, Key="n", CopySource=f"{bucket}/k")
    assert not is_denied(client.put_object, Bucket=bucket, Key="n", Body=b"", IfNoneMatch="*")
    upload = {"Bucket": bucket, "Key": "m", "UploadId": client.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]}
    tag = client.upload_part(PartNumber=1, Body=b"x", **upload)["ETag"]
    upload["MultipartUpload"] = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    assert is_denied(client.complete_multipart_upload, **upload)
    assert not is_denied(client.complete_multipart_upload, IfNoneMatch="*", **upload)

    tag = client.head_object(Bucket=bucket, Key="k")["ETag"]
    denies(s3, bucket, ["s3:PutObject", "s3:DeleteObject"], Null={"s3:if-match": "true"})
    assert is_denied(client.put_object, Bucket=bucket, Key="k", Body=b"")
    assert not is_denied(client.put_object, Bucket=bucket, Key="k", Body=b"", IfMatch=tag)
    tag = client.head_object(Bucket=bucket, Key="k")["ETag"]
    assert is_denied(client.delete_object, Bucket=bucket, Key="k")
    assert client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})["Errors"][0]["Code"] == "AccessDenied"
    assert "Errors" not in client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "ETag": tag}]})


def test_conditions_of_signatures(strict, signed, bucket, role, s3, monkeypatch):
    """S3 API reference, "Signature Version 4 authentication specific policy keys"."""
    client, allow, arn = role
    allow("s3:*")
    keys = signed("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    wanted = {"Bucket": bucket, "Key": "k"}

    def presigned(version):
        return signed("s3", keys, version).generate_presigned_url("get_object", Params=wanted, ExpiresIn=3600)

    def presigned_before(minutes):
        now = botocore.auth.get_current_datetime()
        monkeypatch.setattr(
            botocore.auth, "get_current_datetime", lambda *_, **__: now - datetime.timedelta(minutes=minutes))
        request = botocore.awsrequest.AWSRequest("GET", f"{strict.url}/{bucket}/k")
        botocore.auth.S3SigV4QueryAuth(
            botocore.credentials.Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]),
            "s3", REGION, expires=3600).add_auth(request)
        monkeypatch.undo()
        return request.url

    v2, v4, old = presigned("s3"), presigned("s3v4"), presigned_before(20)
    assert [status(url) for url in (v2, v4, old)] == [200, 200, 200]
    denies(s3, bucket, "s3:GetObject", NumericGreaterThan={"s3:signatureAge": "600000"})
    assert [status(url) for url in (v2, v4, old)] == [200, 200, 403]
    assert not is_denied(client.get_object, **wanted)
    denies(s3, bucket, "s3:GetObject", StringNotEquals={"s3:authType": "REST-HEADER"})
    assert [status(url) for url in (v2, v4)] == [403, 403]
    assert not is_denied(client.get_object, **wanted)
    denies(s3, bucket, "s3:GetObject", StringEquals={"s3:authType": "REST-HEADER"})
    assert [status(url) for url in (v2, v4)] == [200, 200] and is_denied(client.get_object, **wanted)
    denies(s3, bucket, "s3:GetObject", StringEquals={"s3:signatureversion": "AWS"})
    assert [status(url) for url in (v2, v4)] == [403, 200]
    denies(s3, bucket, "s3:GetObject", StringEquals={"s3:signatureversion": "AWS4-HMAC-SHA256"})
    assert [status(url) for url in (v2, v4)] == [200, 403] and is_denied(client.get_object, **wanted)


def test_conditions_of_accounts_and_locations(bucket, role, s3, unique):
    client, allow, _ = role
    for key in ("s3:ResourceAccount", "aws:ResourceAccount"):
        for wanted, denied in ((ACCOUNT, False), ("111111111111", True)):
            allow("s3:*", Condition={"StringEquals": {key: wanted}})
            assert is_denied(client.get_object, Bucket=bucket, Key="k") is denied
    allow("s3:*")
    denies(s3, bucket, "s3:GetObject", StringNotEquals={"s3:ResourceAccount": ACCOUNT})
    assert not is_denied(client.get_object, Bucket=bucket, Key="k")
    denies(s3, bucket, "s3:GetObject", StringEquals={"s3:ResourceAccount": ACCOUNT})
    assert is_denied(client.get_object, Bucket=bucket, Key="k")
    allow("s3:CreateBucket", Condition={"StringEquals": {"s3:LocationConstraint": "eu-west-1"}})
    west = {"LocationConstraint": "eu-west-1"}
    assert is_denied(client.create_bucket, Bucket=unique("east"))
    assert is_denied(client.create_bucket, Bucket=unique("south"), CreateBucketConfiguration={"LocationConstraint": "eu-south-1"})
    assert not is_denied(client.create_bucket, Bucket=unique("west"), CreateBucketConfiguration=west)


def test_public_reads(strict, bucket, s3):
    assert anonymous(strict, f"/{bucket}/k")[0] == 403
    public = policy(bucket, "*", "s3:GetObject")
    with aws_error("AccessDenied", status=403) as caught:
        s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert "BlockPublicPolicy" in caught.value.response["Error"]["Message"]
    off = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False}
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=dict(off, RestrictPublicBuckets=False))
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    assert anonymous(strict, f"/{bucket}/k") == (200, b"content")
    assert anonymous(strict, f"/{bucket}/k", "HEAD")[0] == 200
    assert anonymous(strict, f"/{bucket}/none")[0] == 403
    assert anonymous(strict, f"/{bucket}/k", "PUT", b"x")[0] == 403
    assert anonymous(strict, f"/{bucket}/k", "DELETE")[0] == 403
    assert anonymous(strict, f"/{bucket}")[0] == 403 and anonymous(strict, "/")[0] == 403
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=dict(off, RestrictPublicBuckets=True))
    assert anonymous(strict, f"/{bucket}/k")[0] == 403
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"


def test_public_lists(strict, bucket, s3):
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert anonymous(strict, f"/{bucket}/k") == (200, b"content")
    assert anonymous(strict, f"/{bucket}")[0] == 403
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    status, listing = anonymous(strict, f"/{bucket}")
    assert status == 200 and b"<Key>k</Key>" in listing
    assert anonymous(strict, f"/{bucket}/dropped", "PUT", b"from nobody")[0] == 200
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert anonymous(strict, f"/{bucket}/k")[0] == 403
    assert s3.get_object(Bucket=bucket, Key="dropped")["Body"].read() == b"from nobody"


def test_malformed_policies(bucket, s3, unique):
    other = unique("other")
    for text, message in [
        ("[]", "Policies must be valid JSON and the first byte must be '{'"),
        ('{"Statement": []', "Policies must be valid JSON and the first byte must be '{'"),
        ("{}", "Missing required field Statement"),
        (policy(other, {"AWS": ACCOUNT}, "s3:GetObject"), "Policy has invalid resource"),
        (policy(bucket, {"AWS": ACCOUNT}, "sqs:SendMessage"), "Policy has invalid action"),
        ("{" + " " * 21_000 + "}", "Policy exceeds the maximum allowed document size."),
    ]:
        with aws_error("MalformedPolicy", message):
            s3.put_bucket_policy(Bucket=bucket, Policy=text)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls(strict, signed, bucket, version):
    """Of both signature versions; version 2 is what AWS CLI version 1 makes."""
    client = signed("s3", version=version)
    versioned = signed("s3")
    versioned.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = versioned.head_object(Bucket=bucket, Key="k")["VersionId"]
    versioned.put_object(Bucket=bucket, Key="k", Body=b"newer")

    def fetch(operation, method="GET", data=None, expires=60, **parameters):
        url = client.generate_presigned_url(operation, {"Bucket": bucket, **parameters}, ExpiresIn=expires)
        return anonymous(strict, url[len(strict.url):], method, data)

    assert fetch("get_object", Key="k") == (200, b"newer")
    assert fetch("get_object", Key="k", VersionId=old) == (200, b"content")
    assert fetch("get_object", Key="k", ResponseContentType="text/x") == (200, b"newer")
    assert fetch("list_object_versions")[0] == 200
    assert fetch("get_object_tagging", Key="k")[0] == 200
    assert fetch("delete_object", "DELETE", Key="k")[0] == 204
    assert fetch("get_object", Key="k")[0] == 404
    if version == "s3":  # no SDK makes an expired URL of version 4
        assert fetch("get_object", Key="k", expires=-10)[0] == 403
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    assert anonymous(strict, url[len(strict.url):].replace("/k?", "/other?"))[0] == 403
