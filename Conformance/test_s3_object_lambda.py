"""S3 access points and Object Lambda: boto3 and raw HTTP against a real server."""

import configparser
import json
import socket
import textwrap
import urllib.error
import urllib.request

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from .functions import FAST_MB
from .harness import ACCOUNT, REGION
from .lambda_helpers import refused

# Needs nothing but what is in a function's runtime anyway.
HELPERS = """
import http.client, json, os, urllib.error, urllib.parse, urllib.request

def fetch(url, method="GET", headers={}):
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()

def respond(context, body=b"", status=None, headers={}, host=None):
    address = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
    name = f"{context['outputRoute']}.{address.hostname}" if host is None else host
    connection = http.client.HTTPConnection(name, address.port)
    all = {"x-amz-request-route": context["outputRoute"], "x-amz-request-token": context["outputToken"], **headers}
    if status:
        all["x-amz-fwd-status"] = str(status)
    connection.request("POST", "/WriteGetObjectResponse", body=body, headers=all,
                       encode_chunked=not isinstance(body, bytes))
    answer = connection.getresponse()
    return answer.status, answer.read().decode()
"""


def source(body):
    return HELPERS + "\n" + textwrap.dedent(body)


UPPER = source("""
    def handler(event, context):
        get = event["getObjectContext"]
        status, headers, body = fetch(get["inputS3Url"])
        print(respond(get, body.upper(), headers={
            "x-amz-fwd-header-Content-Type": "text/loud", "x-amz-meta-seen": event["xAmzRequestId"],
            "x-amz-fwd-header-ETag": '"upper"'}))
        return {"status_code": 200}
""")


def control(server, account=None):
    return server.client("s3control", account=account)


@pytest.fixture(scope="module", autouse=True)
def names():
    """SDKs put accounts, access points and routes in front of the endpoint; such names are this machine."""
    real = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **parameters):
        if isinstance(host, str) and host.endswith((".127.0.0.1", ".localhost")):
            host = "127.0.0.1"
        return real(host, *arguments, **parameters)

    socket.getaddrinfo = getaddrinfo
    yield
    socket.getaddrinfo = real


class Point:
    """A bucket with an access point, and an Object Lambda access point for a function."""

    def __init__(self, server, unique, function=None, actions=("GetObject",), features=(), payload=None):
        self.server = server
        self.s3 = server.client("s3")
        self.control = control(server)
        self.bucket = unique("bucket")
        self.s3.create_bucket(Bucket=self.bucket)
        self.name = unique("ap")
        made = self.control.create_access_point(AccountId=ACCOUNT, Name=self.name, Bucket=self.bucket)
        self.support, self.support_alias = made["AccessPointArn"], made["Alias"]
        if function:
            self.olap = unique("olap")
            transformation = {"FunctionArn": function.arn}
            if payload:
                transformation["FunctionPayload"] = payload
            made = self.control.create_access_point_for_object_lambda(
                AccountId=ACCOUNT, Name=self.olap, Configuration={
                    "SupportingAccessPoint": self.support, "AllowedFeatures": list(features),
                    "TransformationConfigurations": [
                        {"Actions": list(actions), "ContentTransformation": {"AwsLambda": transformation}}
                    ],
                })
            self.arn = made["ObjectLambdaAccessPointArn"]
            self.alias = made["Alias"]["Value"]

    def get(self, key, **parameters):
        return self.s3.get_object(Bucket=self.alias, Key=key, **parameters)


@pytest.fixture
def point(server, unique, make_function):
    def make(text=None, **parameters):
        function = text and make_function(text, Timeout=20, MemorySize=FAST_MB)
        return Point(server, unique, function, **parameters)

    return make


# Access points


def test_access_points_are_made_shown_listed_and_deleted(server, unique, point):
    one = point()
    answer = one.control.get_access_point(AccountId=ACCOUNT, Name=one.name)
    assert answer["Bucket"] == one.bucket
    assert answer["NetworkOrigin"] == "Internet"
    assert answer["AccessPointArn"] == f"arn:aws:s3:{REGION}:{ACCOUNT}:accesspoint/{one.name}"
    assert answer["Alias"] == one.support_alias and one.support_alias.endswith("-s3alias")
    assert len(one.support_alias) <= 63
    assert answer["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] is True
    assert answer["BucketAccountId"] == ACCOUNT
    names = [p["Name"] for p in one.control.list_access_points(AccountId=ACCOUNT, Bucket=one.bucket)["AccessPointList"]]
    assert names == [one.name]
    again = refused(one.control.create_access_point, AccountId=ACCOUNT, Name=one.name, Bucket=one.bucket)
    assert (again.status, again.code) == (409, "AccessPointAlreadyOwnedByYou")
    nowhere = refused(one.control.create_access_point, AccountId=ACCOUNT, Name=unique("ap"), Bucket=unique("none"))
    assert (nowhere.status, nowhere.code) == (404, "NoSuchBucket")
    held = refused(one.s3.delete_bucket, Bucket=one.bucket)
    assert (held.status, held.code) == (409, "BucketHasAccessPointsAttached")
    one.control.delete_access_point(AccountId=ACCOUNT, Name=one.name)
    gone = refused(one.control.get_access_point, AccountId=ACCOUNT, Name=one.name)
    assert (gone.status, gone.code) == (404, "NoSuchAccessPoint")
    one.s3.delete_bucket(Bucket=one.bucket)


def test_access_points_of_others_are_closed(server, point):
    one = point()
    stranger = refused(control(server, "111122223333").get_access_point, AccountId=ACCOUNT, Name=one.name)
    assert (stranger.status, stranger.code) == (403, "AccessDenied")
    other = server.client("s3", account="111122223333")
    through = refused(other.get_object, Bucket=one.support_alias, Key="k")
    assert (through.status, through.code) == (403, "AccessDenied")


def test_lists_of_access_points_page(server, unique):
    account = "222233334444"
    s3, client = server.client("s3", account=account), control(server, account)
    bucket = unique("bucket")
    s3.create_bucket(Bucket=bucket)
    names = sorted(unique("page") for _ in range(5))
    for name in names:
        client.create_access_point(AccountId=account, Name=name, Bucket=bucket)
    seen, token = [], {}
    while True:
        page = client.list_access_points(AccountId=account, MaxResults=2, **token)
        seen += [p["Name"] for p in page["AccessPointList"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert seen == names
    assert refused(client.list_access_points, AccountId=account, NextToken="%%").status == 400


def test_policies_of_access_points_are_kept_and_enforced(server, point):
    one = point()
    one.s3.put_object(Bucket=one.bucket, Key="open", Body=b"1")
    missing = refused(one.control.get_access_point_policy, AccountId=ACCOUNT, Name=one.name)
    assert (missing.status, missing.code) == (404, "NoSuchAccessPointPolicy")
    text = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "s3:GetObject",
        "Resource": one.support + "/object/secret*"}]})
    one.control.put_access_point_policy(AccountId=ACCOUNT, Name=one.name, Policy=text)
    assert one.control.get_access_point_policy(AccountId=ACCOUNT, Name=one.name)["Policy"] == text
    status = one.control.get_access_point_policy_status(AccountId=ACCOUNT, Name=one.name)
    assert status["PolicyStatus"]["IsPublic"] is False
    assert one.s3.get_object(Bucket=one.support_alias, Key="open")["Body"].read() == b"1"
    assert refused(one.s3.get_object, Bucket=one.support_alias, Key="secret.txt").code == "AccessDenied"
    bad = refused(one.control.put_access_point_policy, AccountId=ACCOUNT, Name=one.name, Policy="{")
    assert (bad.status, bad.code) == (400, "MalformedPolicy")
    open_to_all = text.replace('"Deny"', '"Allow"').replace(json.dumps({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), '"*"')
    assert refused(
        one.control.put_access_point_policy, AccountId=ACCOUNT, Name=one.name, Policy=open_to_all
    ).code == "AccessDenied"
    one.control.delete_access_point_policy(AccountId=ACCOUNT, Name=one.name)
    assert one.s3.head_bucket(Bucket=one.support_alias)


def test_policies_of_access_points_are_asked_about_each_object_and_version(server, point):
    one = point()
    one.s3.put_bucket_versioning(Bucket=one.bucket, VersioningConfiguration={"Status": "Enabled"})
    version = one.s3.put_object(Bucket=one.bucket, Key="protected/a", Body=b"1")["VersionId"]
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    one.control.put_access_point_policy(AccountId=ACCOUNT, Name=one.name, Policy=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": root, "Action": ["s3:DeleteObject", "s3:GetObjectVersion"],
             "Resource": one.support + "/object/protected/*"},
            {"Effect": "Deny", "Principal": root, "Action": "s3:ListBucket", "Resource": one.support,
             "Condition": {"StringLike": {"s3:prefix": "protected/*"}}}]}))

    def delete(keys):
        return one.s3.delete_objects(
            Bucket=one.support_alias, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})

    assert refused(delete, keys=["open", "protected/a"]).code == "AccessDenied"
    delete(["open"])
    read = {"Bucket": one.support_alias, "Key": "protected/a"}
    assert one.s3.get_object(**read)["Body"].read() == b"1"
    assert refused(one.s3.get_object, **read, VersionId=version).code == "AccessDenied"
    source = f"{one.support}/object/protected/a?versionId={version}"
    assert refused(one.s3.copy_object, Bucket=one.bucket, Key="c", CopySource=source).code == "AccessDenied"
    assert one.s3.list_objects_v2(Bucket=one.support_alias, Prefix="p")["KeyCount"] == 1
    assert refused(one.s3.list_objects_v2, Bucket=one.support_alias, Prefix="protected/").code == "AccessDenied"


def test_objects_through_an_access_point(server, point):
    one = point()
    s3, alias = one.s3, one.support_alias
    s3.put_object(Bucket=alias, Key="dir/a b", Body=b"hello")
    assert s3.get_object(Bucket=one.bucket, Key="dir/a b")["Body"].read() == b"hello"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=alias)["Contents"]] == ["dir/a b"]
    s3.copy_object(Bucket=alias, Key="copy", CopySource={"Bucket": one.support, "Key": "dir/a b"})
    assert s3.get_object(Bucket=alias, Key="copy", Range="bytes=1-2")["Body"].read() == b"el"
    upload = s3.create_multipart_upload(Bucket=alias, Key="big")["UploadId"]
    part = s3.upload_part(Bucket=alias, Key="big", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        Bucket=alias, Key="big", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    s3.delete_object(Bucket=alias, Key="big")
    assert refused(s3.delete_bucket, Bucket=alias).code == "MethodNotAllowed"
    assert s3.get_object(Bucket=one.support, Key="copy")["Body"].read() == b"hello"
    # As SDKs address the ARN when they are given an endpoint, and as AWS's own names are.
    for host in (f"{one.name}-{ACCOUNT}.localhost", f"{one.name}-{ACCOUNT}.s3-accesspoint.{REGION}.amazonaws.com"):
        request = urllib.request.Request(
            f"{server.url}/copy", headers={"Host": host, **signed("s3")})
        with urllib.request.urlopen(request) as response:
            assert response.read() == b"hello"


def signed(service):
    """As SDKs sign, as far as a server without authentication looks at it."""
    scope = f"test/20260101/{REGION}/{service}/aws4_request"
    return {"x-amz-date": "20260101T000000Z", "Authorization":
            f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=" + "0" * 64}


def test_s3_control_by_the_host_that_sdks_make(server, point):
    one = point()
    request = urllib.request.Request(
        f"{server.url}/v20180820/accesspoint/{one.name}",
        headers={"Host": f"{ACCOUNT}.localhost", "x-amz-account-id": ACCOUNT, **signed("s3")})
    with urllib.request.urlopen(request) as response:
        assert f"<Bucket>{one.bucket}</Bucket>" in response.read().decode()


def test_tags_of_access_points(server, point):
    one = point()
    one.control.tag_resource(AccountId=ACCOUNT, ResourceArn=one.support, Tags=[{"Key": "team", "Value": "birds"}])
    tags = one.control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=one.support)["Tags"]
    assert tags == [{"Key": "team", "Value": "birds"}]
    one.control.untag_resource(AccountId=ACCOUNT, ResourceArn=one.support, TagKeys=["team"])
    assert one.control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=one.support)["Tags"] == []


# Object Lambda


def test_get_goes_through_the_function(server, point):
    one = point(UPPER)
    one.s3.put_object(Bucket=one.bucket, Key="dir/quiet ü.txt", Body=b"hello")
    answer = one.get("dir/quiet ü.txt")
    assert answer["Body"].read() == b"HELLO"
    assert answer["ContentType"] == "text/loud"
    assert answer["ETag"] == '"upper"'
    assert answer["Metadata"]["seen"]
    assert one.s3.get_object(Bucket=one.arn, Key="dir/quiet ü.txt")["Body"].read() == b"HELLO"
    # By the host and the scope of ARNs.
    request = urllib.request.Request(
        f"{server.url}/dir/quiet%20%C3%BC.txt",
        headers={"Host": f"{one.olap}-{ACCOUNT}.localhost", **signed("s3-object-lambda")})
    with urllib.request.urlopen(request) as response:
        assert response.read() == b"HELLO"
    # What has no transformation passes through.
    assert one.s3.head_object(Bucket=one.alias, Key="dir/quiet ü.txt")["ContentLength"] == 5
    one.s3.put_object(Bucket=one.alias, Key="new", Body=b"x")
    assert one.s3.get_object(Bucket=one.bucket, Key="new")["Body"].read() == b"x"


def test_the_event_has_the_documented_shape(point):
    one = point(source("""
        def handler(event, context):
            respond(event["getObjectContext"], json.dumps(event).encode())
    """), payload='{"tone": "loud"}')
    one.s3.put_object(Bucket=one.bucket, Key="k", Body=b"x")
    event = json.loads(one.get("k", ResponseContentType="text/plain")["Body"].read())
    assert list(event) == [
        "xAmzRequestId", "getObjectContext", "configuration", "userRequest", "userIdentity", "protocolVersion"]
    assert list(event["getObjectContext"]) == ["inputS3Url", "outputRoute", "outputToken"]
    assert event["configuration"] == {
        "accessPointArn": one.arn, "supportingAccessPointArn": one.support, "payload": '{"tone": "loud"}'}
    assert event["userRequest"]["url"].endswith(f"/{one.alias}/k?response-content-type=text/plain")
    headers = event["userRequest"]["headers"]
    assert headers["Host"].startswith("127.0.0.1") and "User-Agent" in headers and "Authorization" not in headers
    assert event["userIdentity"]["type"] == "Root" and event["userIdentity"]["accountId"] == ACCOUNT
    assert event["protocolVersion"] == "1.00"
    url = event["getObjectContext"]["inputS3Url"]
    assert "X-Amz-Signature=" in url and "X-Amz-SignedHeaders=host" in url and "response-content-type" in url


def test_a_large_body_streams(point):
    one = point(source("""
        def handler(event, context):
            get = event["getObjectContext"]
            with urllib.request.urlopen(get["inputS3Url"]) as response:
                def pieces():
                    while piece := response.read(65536):
                        yield piece.swapcase()
                return respond(get, pieces())
    """))
    body = b"aBcDefGh" * (1 << 18)
    one.s3.put_object(Bucket=one.bucket, Key="big", Body=body)
    assert one.get("big")["Body"].read() == body.swapcase()


def test_statuses_and_errors_of_the_function_reach_the_caller(point):
    one = point(source("""
        def handler(event, context):
            get, key = event["getObjectContext"], event["userRequest"]["url"].rsplit("/", 1)[1]
            if key == "forbidden":
                respond(get, status=403, headers={"x-amz-fwd-error-code": "MissingRequiredTrainings",
                                                  "x-amz-fwd-error-message": "Take the training first."})
            elif key == "nothing":
                status, headers, body = fetch(get["inputS3Url"])
                respond(get, status=status, headers={"x-amz-fwd-error-code": "NoSuchKey"})
            elif key == "unchanged":
                respond(get, status=304)
            elif key == "page":
                respond(get, b"not here", status=404)
            elif key == "raises":
                raise ValueError("no")
            elif key == "teapot":
                return respond(get, b"x", status=418)
            elif key == "twice":
                first, second = respond(get, b"once"), respond(get, b"again")
                print("SECOND", second)
    """))
    assert (refused(one.get, key="forbidden").code, refused(one.get, key="forbidden").status) == (
        "MissingRequiredTrainings", 403)
    assert refused(one.get, key="forbidden").message == "Take the training first."
    missing = refused(one.get, key="nothing")
    assert (missing.status, missing.code) == (404, "NoSuchKey")
    assert refused(one.get, key="unchanged").status == 304
    with pytest.raises(urllib.error.HTTPError) as page:
        urllib.request.urlopen(f"{one.server.url}/{one.alias}/page")
    assert (page.value.code, page.value.read()) == (404, b"not here")
    raised = refused(one.get, key="raises")
    assert (raised.status, raised.code) == (500, "LambdaRuntimeError")
    silent = refused(one.get, key="silent")
    assert (silent.status, silent.code) == (500, "LambdaResponseNotReceived")
    assert refused(one.get, key="teapot").code == "LambdaInvalidResponse"
    assert one.get("twice")["Body"].read() == b"once"


def test_a_token_is_good_once_and_only_here(server, point):
    one = point(source("""
        def handler(event, context):
            get = event["getObjectContext"]
            wrong = respond({**get, "outputToken": "0" * 64}, b"stolen")
            route = respond({**get, "outputRoute": "io-elsewhere"}, b"stolen", host="127.0.0.1")
            first = respond(get, json.dumps([wrong, route]).encode())
            print(first)
    """))
    one.s3.put_object(Bucket=one.bucket, Key="k", Body=b"x")
    for status, body in json.loads(one.get("k")["Body"].read()):
        assert status == 400 and "<Code>ValidationError</Code>" in body
    s3 = server.client("s3")
    late = refused(s3.write_get_object_response, RequestRoute="io-martlet-001", RequestToken="t", Body=b"x")
    assert (late.status, late.code) == (400, "ValidationError")


def test_a_function_that_ends_in_the_middle_cuts_the_response(point):
    one = point(source("""
        import threading
        def handler(event, context):
            started = threading.Event()
            def pieces():
                for _ in range(16):  # more than sockets hold: the answer has begun then
                    yield b"x" * (1 << 20)
                started.set()
                threading.Event().wait()
            threading.Thread(target=respond, args=(event["getObjectContext"], pieces()), daemon=True).start()
            started.wait()
    """))
    answer = one.get("k")
    with pytest.raises(Exception):
        answer["Body"].read()


def test_ranges_only_where_the_function_knows_them(point):
    text = source("""
        def handler(event, context):
            get, user = event["getObjectContext"], event["userRequest"]
            range = user["headers"].get("Range")
            status, headers, body = fetch(get["inputS3Url"], headers={"Range": range} if range else {})
            more = {"x-amz-fwd-header-Content-Range": headers["Content-Range"]} if "Content-Range" in headers else {}
            more["x-amz-meta-url"] = user["url"]
            respond(get, body.upper(), status=status, headers=more)
    """)
    plain = point(text)
    plain.s3.put_object(Bucket=plain.bucket, Key="k", Body=b"abcdef")
    refusal = refused(plain.get, key="k", Range="bytes=1-2")
    assert (refusal.status, refusal.code) == (501, "NotImplemented")
    assert refused(plain.get, key="k", PartNumber=1).status == 501
    ranged = point(text, features=["GetObject-Range", "GetObject-PartNumber"])
    ranged.s3.put_object(Bucket=ranged.bucket, Key="k", Body=b"abcdef")
    answer = ranged.get("k", Range="bytes=1-2")
    assert answer["Body"].read() == b"BC"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206 and answer["ContentRange"] == "bytes 1-2/6"
    part = ranged.get("k", PartNumber=1)
    assert part["Body"].read() == b"ABCDEF" and part["Metadata"]["url"].endswith("?partNumber=1")


def test_head_and_lists_through_the_function(point):
    one = point(source("""
        import re
        def handler(event, context):
            if "headObjectContext" in event:
                status, headers, body = fetch(event["headObjectContext"]["inputS3Url"], method="HEAD")
                if status >= 400:
                    return {"statusCode": status, "errorCode": "NoSuchKey", "errorMessage": "gone"}
                headers["x-amz-meta-version"] = event["protocolVersion"]
                return {"statusCode": 200, "headers": headers}
            v2 = "listObjectsV2Context" in event
            url = event["listObjectsV2Context" if v2 else "listObjectsContext"]["inputS3Url"]
            status, headers, body = fetch(url)
            text = body.decode()
            if not v2:
                return {"statusCode": 200, "listResultXml": re.sub("<Contents>(?:(?!</Contents>).)*hidden.*?</Contents>", "", text)}
            keys = [key for key in re.findall("<Key>(.*?)</Key>", text) if "hidden" not in key]
            return {"statusCode": 200, "listBucketResult": {
                "name": "shown", "maxKeys": 1000, "keyCount": len(keys), "isTruncated": False,
                "contents": [{"key": key, "size": 1, "eTag": '"e"', "storageClass": "STANDARD",
                              "lastModified": "2026-01-02T03:04:05.000Z"} for key in keys]}}
    """), actions=["GetObject", "HeadObject", "ListObjects", "ListObjectsV2"])
    for key in ("a", "b", "hidden-c"):
        one.s3.put_object(Bucket=one.bucket, Key=key, Body=b"12345")
    head = one.s3.head_object(Bucket=one.alias, Key="a")
    assert head["ContentLength"] == 5 and head["Metadata"] == {"version": "1.01"}
    assert refused(one.s3.head_object, Bucket=one.alias, Key="none").status == 404
    listed = one.s3.list_objects_v2(Bucket=one.alias)
    assert [o["Key"] for o in listed["Contents"]] == ["a", "b"] and listed["Name"] == "shown"
    assert listed["Contents"][0]["LastModified"].year == 2026
    assert [o["Key"] for o in one.s3.list_objects(Bucket=one.alias, Prefix="")["Contents"]] == ["a", "b"]


def test_configurations_are_checked_and_replaced(server, unique, point):
    one = point(UPPER)
    shown = one.control.get_access_point_configuration_for_object_lambda(AccountId=ACCOUNT, Name=one.olap)
    assert shown["Configuration"]["SupportingAccessPoint"] == one.support
    shown["Configuration"]["AllowedFeatures"] = ["GetObject-Range"]
    one.control.put_access_point_configuration_for_object_lambda(
        AccountId=ACCOUNT, Name=one.olap, Configuration=shown["Configuration"])
    again = one.control.get_access_point_configuration_for_object_lambda(AccountId=ACCOUNT, Name=one.olap)
    assert again["Configuration"]["AllowedFeatures"] == ["GetObject-Range"]
    got = one.control.get_access_point_for_object_lambda(AccountId=ACCOUNT, Name=one.olap)
    assert got["Alias"] == {"Value": one.alias, "Status": "READY"} and one.alias.endswith("--ol-s3")
    listed = one.control.list_access_points_for_object_lambda(AccountId=ACCOUNT)["ObjectLambdaAccessPointList"]
    assert one.arn in [item["ObjectLambdaAccessPointArn"] for item in listed]
    wrong = {**shown["Configuration"], "SupportingAccessPoint": one.support + "-none"}
    nowhere = refused(one.control.create_access_point_for_object_lambda, AccountId=ACCOUNT, Name=unique("olap"),
                      Configuration=wrong)
    assert (nowhere.status, nowhere.code) == (400, "InvalidRequest")
    text = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "s3-object-lambda:GetObject", "Resource": one.arn}]})
    one.control.put_access_point_policy_for_object_lambda(AccountId=ACCOUNT, Name=one.olap, Policy=text)
    assert one.control.get_access_point_policy_for_object_lambda(AccountId=ACCOUNT, Name=one.olap)["Policy"] == text
    assert refused(one.get, key="k").code == "AccessDenied"
    one.control.delete_access_point_policy_for_object_lambda(AccountId=ACCOUNT, Name=one.olap)
    one.control.delete_access_point_for_object_lambda(AccountId=ACCOUNT, Name=one.olap)
    assert refused(one.get, key="k").code == "NoSuchBucket"


def test_functions_that_are_gone_or_closed(point, make_function):
    one = point(UPPER)
    one.server.client("lambda").delete_function(FunctionName=one.control.get_access_point_configuration_for_object_lambda(
        AccountId=ACCOUNT, Name=one.olap)["Configuration"]["TransformationConfigurations"][0][
            "ContentTransformation"]["AwsLambda"]["FunctionArn"])
    gone = refused(one.get, key="k")
    assert (gone.status, gone.code) == (404, "LambdaNotFound")


def test_the_url_proves_only_what_was_signed(point):
    """A function cannot use the caller's session in the URL for anything else."""
    one = point(source("""
        def handler(event, context):
            get = event["getObjectContext"]
            other = get["inputS3Url"].replace("/open?", "/secret?")
            pairs = urllib.parse.parse_qs(urllib.parse.urlsplit(get["inputS3Url"]).query)
            session = fetch(get["inputS3Url"].split("?")[0].replace("/open", "/secret"), headers={
                "x-amz-security-token": pairs["X-Amz-Security-Token"][0], "x-amz-date": pairs["X-Amz-Date"][0],
                "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
                "Authorization": "AWS4-HMAC-SHA256 Credential=" + pairs["X-Amz-Credential"][0]
                    + ", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64})
            respond(get, json.dumps([fetch(other)[0], session[0]]).encode())
    """))
    one.s3.put_object(Bucket=one.bucket, Key="open", Body=b"x")
    one.s3.put_object(Bucket=one.bucket, Key="secret", Body=b"x")
    assert json.loads(one.get("open")["Body"].read()) == [403, 403]


WITH_BOTO3 = """
import boto3, urllib.request

s3 = boto3.client("s3")

def handler(event, context):
    get = event["getObjectContext"]
    with urllib.request.urlopen(get["inputS3Url"]) as response:
        s3.write_get_object_response(
            Body=response.read()[::-1], RequestRoute=get["outputRoute"], RequestToken=get["outputToken"],
            ContentType="text/plain", Metadata={"by": "boto3"})
    return {"status_code": 200}
"""


def test_boto3_in_a_function_answers_by_the_route(point):
    """The SDK puts the route in front of the cell's endpoint; the cell resolves it."""
    one = point(WITH_BOTO3)
    one.s3.put_object(Bucket=one.bucket, Key="k", Body=b"abc")
    answer = one.get("k")
    assert (answer["Body"].read(), answer["ContentType"], answer["Metadata"]) == (b"cba", "text/plain", {"by": "boto3"})


def test_with_authentication_on(make_server, make_function, unique, python_runtime):
    """Signatures of S3 Control and of presigned URLs are checked, and the caller's own rights count."""
    server = make_server("--auth", "sigv4")
    parser = configparser.ConfigParser()
    parser.read(server.data_dir / "credentials")
    keys = dict(parser["default"])

    def client(name, **given):
        return boto3.session.Session().client(
            name, endpoint_url=server.url, region_name=REGION,
            config=botocore.config.Config(retries={"total_max_attempts": 1}), **{**keys, **given})

    server.client = lambda name, **_: client(name)
    one = Point(server, unique, make_function(WITH_BOTO3, server=server, Timeout=20, MemorySize=FAST_MB))
    one.s3.put_object(Bucket=one.bucket, Key="a b/ü", Body=b"hello")
    assert one.get("a b/ü")["Body"].read() == b"olleh"
    assert one.s3.get_object(Bucket=one.arn, Key="a b/ü")["Body"].read() == b"olleh"
    one.control.tag_resource(AccountId=ACCOUNT, ResourceArn=one.support, Tags=[{"Key": "a", "Value": "b"}])
    forged = client("s3control", aws_secret_access_key="wrong")
    with pytest.raises(ClientError) as refusal:
        forged.list_access_points(AccountId=ACCOUNT)
    assert refusal.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    # A role needs leave for the access point and for the function.
    iam = client("iam")
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]}))
    session = client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/reader", RoleSessionName="me")["Credentials"]
    role = client("s3", aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"],
                  aws_session_token=session["SessionToken"])
    assert refused(role.get_object, Bucket=one.alias, Key="a b/ü").code == "AccessDenied"

    def allow(*actions):
        iam.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}))

    allow("s3-object-lambda:GetObject")
    assert refused(role.get_object, Bucket=one.alias, Key="a b/ü").code == "LambdaPermissionError"
    allow("s3-object-lambda:GetObject", "lambda:InvokeFunction", "s3:GetObject")
    assert role.get_object(Bucket=one.alias, Key="a b/ü")["Body"].read() == b"olleh"
