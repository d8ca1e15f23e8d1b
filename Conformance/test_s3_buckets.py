"""S3 buckets: boto3 against a real server."""

import pytest
from botocore.exceptions import ClientError


def refused(code, status, call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return response["Error"]


def test_create_head_locate_delete(client, unique):
    s3, name = client("s3"), unique("bucket")
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    assert s3.create_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200  # us-east-1: no error
    head = s3.head_bucket(Bucket=name)
    assert head["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert s3.delete_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refused("NoSuchBucket", 404, s3.get_bucket_location, Bucket=name)
    assert error["Message"] == "The specified bucket does not exist"
    assert error["BucketName"] == name
    refused("404", 404, s3.head_bucket, Bucket=name)
    refused("NoSuchBucket", 404, s3.delete_bucket, Bucket=name)


def test_regions(server, unique):
    west = server.client("s3", region="eu-west-1")
    name = unique("bucket")
    error = refused("IllegalLocationConstraintException", 400, west.create_bucket, Bucket=name)
    assert error["Message"].startswith("The unspecified location constraint is incompatible")
    place = {"LocationConstraint": "eu-west-1"}
    west.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    assert west.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    assert west.head_bucket(Bucket=name)["BucketRegion"] == "eu-west-1"
    error = refused("BucketAlreadyOwnedByYou", 409, west.create_bucket, Bucket=name, CreateBucketConfiguration=place)
    assert error["BucketName"] == name
    east = server.client("s3")
    refused("InvalidLocationConstraint", 400, east.create_bucket, Bucket=unique("bucket"),
            CreateBucketConfiguration={"LocationConstraint": "us-east-1"})


def test_names(client):
    s3 = client("s3")
    for bad in ["Upper-Case", "a_b_c", "ab", "192.168.1.1", "xn--abc"]:
        error = refused("InvalidBucketName", 400, s3.create_bucket, Bucket=bad)
        assert error["BucketName"] == bad


def test_other_accounts(server, unique):
    mine, theirs, name = server.client("s3"), server.client("s3", account="111122223333"), unique("bucket")
    mine.create_bucket(Bucket=name)
    refused("BucketAlreadyExists", 409, theirs.create_bucket, Bucket=name)
    refused("403", 403, theirs.head_bucket, Bucket=name)
    refused("AccessDenied", 403, theirs.list_objects_v2, Bucket=name)
    refused("AccessDenied", 403, mine.list_objects_v2, Bucket=name, ExpectedBucketOwner="111122223333")
    assert name not in [b["Name"] for b in theirs.list_buckets()["Buckets"]]


def test_list_buckets(server, unique):
    s3 = server.client("s3", account="444455556666")
    prefix = unique("list")
    names = [f"{prefix}-{n}" for n in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    listed = s3.list_buckets()
    assert [b["Name"] for b in listed["Buckets"]] == names
    assert len(listed["Owner"]["ID"]) == 64
    assert listed["Buckets"][0]["CreationDate"].tzinfo is not None
    pages = list(s3.get_paginator("list_buckets").paginate(Prefix=f"{prefix}-", PaginationConfig={"PageSize": 2}))
    assert [len(page["Buckets"]) for page in pages] == [2, 2, 1]
    assert [b["Name"] for page in pages for b in page["Buckets"]] == names
    assert s3.list_buckets(Prefix=names[3])["Buckets"][0]["Name"] == names[3]
    refused("InvalidArgument", 400, s3.list_buckets, ContinuationToken="nonsense!")


def test_delete_refuses_a_bucket_with_objects(client, unique):
    s3, name = client("s3"), unique("bucket")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=name)["BucketName"] == name
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)


def test_what_is_missing_says_so(client, unique):
    s3, name = client("s3"), unique("bucket")
    s3.create_bucket(Bucket=name)
    refused("NotImplemented", 501, s3.put_object, Bucket=name, Key="k", Body=b"", ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=2000000000)
    refused("AccessControlListNotSupported", 400, s3.put_object, Bucket=name, Key="k", Body=b"", ACL="public-read")
    refused("NotImplemented", 501, s3.create_bucket, Bucket=unique("bucket"), ObjectLockEnabledForBucket=True)
    with pytest.raises(ClientError, match="PutBucketWebsite"):
        s3.put_bucket_website(Bucket=name, WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}})
    s3.put_object(Bucket=name, Key="k", Body=b"", ACL="bucket-owner-full-control")
