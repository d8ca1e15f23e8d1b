"""S3 listings and event notifications' configuration: boto3 and the AWS CLI against a real server."""

import json

import pytest

from .harness import wait_for
from .test_s3_buckets import refused
from .test_s3_objects import bucket  # noqa: F401 (a fixture)

KEYS = ["a.txt", "b c.txt", "dir/", "dir/1", "dir/sub/2", "dir/sub/3", "ü", "z+z"]


@pytest.fixture
def full(client, bucket):  # noqa: F811
    for key in KEYS:
        client("s3").put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def test_v2(client, full):
    s3 = client("s3")
    listed = s3.list_objects_v2(Bucket=full)
    assert [o["Key"] for o in listed["Contents"]] == sorted(KEYS, key=lambda k: k.encode())
    assert (listed["KeyCount"], listed["MaxKeys"], listed["IsTruncated"]) == (8, 1000, False)
    first = listed["Contents"][0]
    assert (first["Size"], first["StorageClass"]) == (5, "STANDARD")
    assert "Owner" not in first
    assert len(s3.list_objects_v2(Bucket=full, FetchOwner=True)["Contents"][0]["Owner"]["ID"]) == 64
    root = s3.list_objects_v2(Bucket=full, Delimiter="/")
    assert [p["Prefix"] for p in root["CommonPrefixes"]] == ["dir/"]
    assert [o["Key"] for o in root["Contents"]] == ["a.txt", "b c.txt", "z+z", "ü"]
    inside = s3.list_objects_v2(Bucket=full, Delimiter="/", Prefix="dir/")
    assert [o["Key"] for o in inside["Contents"]] == ["dir/", "dir/1"]
    assert [p["Prefix"] for p in inside["CommonPrefixes"]] == ["dir/sub/"]
    after = s3.list_objects_v2(Bucket=full, StartAfter="dir/sub/2")
    assert [o["Key"] for o in after["Contents"]] == ["dir/sub/3", "z+z", "ü"]
    assert s3.list_objects_v2(Bucket=full, MaxKeys=0)["KeyCount"] == 0
    assert "Contents" not in s3.list_objects_v2(Bucket=full, Prefix="none")


def test_pages(client, full):
    s3 = client("s3")
    for version in ["list_objects_v2", "list_objects"]:
        for delimiter in ["", "/"]:
            for size in [1, 2, 3]:
                pages = list(s3.get_paginator(version).paginate(
                    Bucket=full, Delimiter=delimiter, PaginationConfig={"PageSize": size}))
                keys = [o["Key"] for page in pages for o in page.get("Contents", [])]
                prefixes = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])]
                assert all(len(p.get("Contents", [])) + len(p.get("CommonPrefixes", [])) <= size for p in pages)
                expected = [k for k in KEYS if not (delimiter and "/" in k)]
                assert keys == sorted(expected, key=lambda k: k.encode())
                assert prefixes == (["dir/"] if delimiter else [])


def test_v1(client, full):
    s3 = client("s3")
    listed = s3.list_objects(Bucket=full, MaxKeys=3, Delimiter="/")
    assert (listed["IsTruncated"], listed["NextMarker"]) == (True, "dir/")
    assert listed["Contents"][0]["Owner"]["ID"]
    rest = s3.list_objects(Bucket=full, Marker="dir/", Delimiter="/")
    assert [o["Key"] for o in rest["Contents"]] == ["z+z", "ü"]
    assert "CommonPrefixes" not in rest


def test_refusals(client, bucket):  # noqa: F811
    s3 = client("s3")
    error = refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=bucket, ContinuationToken="nonsense!")
    assert error["Message"] == "The continuation token provided is incorrect"
    refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=bucket, MaxKeys=-1)
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="no-such-bucket-at-all")


def test_command_line(aws, bucket, tmp_path):  # noqa: F811
    """`aws s3` in daily use: cp, ls, sync, mv, rm, presign."""
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/one.txt").write_text("one")
    (tmp_path / "tree/sub/two three.txt").write_text("two three")
    (tmp_path / "big").write_bytes(bytes(range(256)) * 80_000)  # 20 MB: several parts
    aws("s3", "cp", tmp_path / "big", f"s3://{bucket}/big")
    aws("s3", "cp", f"s3://{bucket}/big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "big").read_bytes()
    aws("s3", "sync", tmp_path / "tree", f"s3://{bucket}/tree")
    assert "upload" not in aws("s3", "sync", tmp_path / "tree", f"s3://{bucket}/tree").text
    listing = aws("s3", "ls", f"s3://{bucket}/tree/").text
    assert "PRE sub/" in listing and "one.txt" in listing
    assert len(aws("s3", "ls", "--recursive", f"s3://{bucket}").text.splitlines()) == 3
    aws("s3", "mv", f"s3://{bucket}/tree/one.txt", f"s3://{bucket}/moved.txt")
    assert aws("s3", "cp", f"s3://{bucket}/moved.txt", "-").text == "one"
    aws("s3", "cp", "-", f"s3://{bucket}/piped", stdin=b"from a pipe")
    assert aws("s3", "cp", f"s3://{bucket}/piped", "-").bytes == b"from a pipe"
    aws("s3", "cp", f"s3://{bucket}/big", f"s3://{bucket}/big2")
    aws("s3", "sync", f"s3://{bucket}/tree", tmp_path / "down")
    assert (tmp_path / "down/sub/two three.txt").read_text() == "two three"
    failed = aws("s3", "cp", f"s3://{bucket}/none", "-", check=False)
    assert failed.code != 0 and "404" in failed.error
    assert aws("s3", "rb", f"s3://{bucket}", check=False).code != 0
    aws("s3", "rm", "--recursive", f"s3://{bucket}")
    assert aws("s3", "ls", f"s3://{bucket}").text == ""
    aws("s3", "rb", f"s3://{bucket}")


SAY = """
import json
def handler(event, context):
    print("GOT " + json.dumps(event))
"""


def allow(function, bucket):  # noqa: F811
    function.client.add_permission(
        FunctionName=function.name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}", SourceAccount="000000000000")


def events_of(function):
    return [json.loads(m.split("GOT ", 1)[1]) for m in function.log_messages() if "GOT " in m]


def test_notifications(client, bucket, make_function):  # noqa: F811
    s3, function = client("s3"), make_function(SAY)
    configuration = {"LambdaFunctionConfigurations": [{
        "LambdaFunctionArn": function.arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".jpg"}]}}}]}
    put = s3.put_bucket_notification_configuration
    error = refused("InvalidArgument", 400, put, Bucket=bucket, NotificationConfiguration=configuration)
    assert error["Message"] == "Unable to validate the following destination configurations"
    allow(function, bucket)
    put(Bucket=bucket, NotificationConfiguration=configuration)
    shown = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"][0]
    assert shown["Id"]
    assert [r["Name"] for r in shown["Filter"]["Key"]["FilterRules"]] == ["Prefix", "Suffix"]
    s3.put_object(Bucket=bucket, Key="in/no.png", Body=b"x")
    s3.put_object(Bucket=bucket, Key="in/my photo@1.jpg", Body=b"hello")
    s3.delete_object(Bucket=bucket, Key="in/my photo@1.jpg")
    wait_for(lambda: len(events_of(function)) == 2)
    records = sorted((e["Records"][0] for e in events_of(function)), key=lambda r: r["s3"]["object"]["sequencer"])
    assert [r["eventName"] for r in records] == ["ObjectCreated:Put", "ObjectRemoved:Delete"]
    made = records[0]
    assert list(made) == ["eventVersion", "eventSource", "awsRegion", "eventTime", "eventName", "userIdentity",
                          "requestParameters", "responseElements", "s3"]
    assert made["s3"]["configurationId"] == shown["Id"]
    assert made["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    assert made["s3"]["object"]["key"] == "in/my+photo%401.jpg"
    assert made["s3"]["object"]["size"] == 5
    assert made["s3"]["object"]["eTag"] == "5d41402abc4b2a76b9719d911017c592"
    assert "size" not in records[1]["s3"]["object"]
    put(Bucket=bucket, NotificationConfiguration={})
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_notification_refusals(client, bucket):  # noqa: F811
    put = client("s3").put_bucket_notification_configuration
    arn = "arn:aws:lambda:us-east-1:000000000000:function:no-such-function"

    def one(arn=arn, **more):
        return {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], **more}

    def fails(*configurations, **parameters):
        return refused("InvalidArgument", 400, put, Bucket=bucket,
                       NotificationConfiguration={"LambdaFunctionConfigurations": list(configurations)}, **parameters)

    error = fails(one())
    assert error["Message"] == "Unable to validate the following destination configurations"
    assert error["ArgumentName"] == arn
    assert error["ArgumentValue"] == "The destination Lambda does not exist"
    assert fails(one("nonsense"))["Message"] == "The ARN could not be parsed"
    assert fails(one(), one(), SkipDestinationValidation=True)["Message"].startswith("Configurations overlap.")
    refused("NoSuchBucket", 404, put, Bucket="no-such-bucket-at-all", NotificationConfiguration={})
    put(Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [one()]}, SkipDestinationValidation=True)


def test_objects_survive_kill9(make_server, tmp_path):
    server = make_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="bucket")
    bodies = {f"k{n}": bytes([n]) * (n * 1000) for n in range(40)}
    for key, body in bodies.items():
        s3.put_object(Bucket="bucket", Key=key, Body=body)
    server.restart("kill9")
    for key, body in bodies.items():
        assert server.client("s3").get_object(Bucket="bucket", Key=key)["Body"].read() == body
