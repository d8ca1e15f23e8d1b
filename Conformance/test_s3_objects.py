"""S3 objects: boto3 against a real server."""

import base64
import datetime
import hashlib
import http.client
import io
import os
import socket
import urllib.request
import zlib
from urllib.parse import urlsplit

import pytest
import requests

from .raw import scope
from .test_s3_buckets import refused


@pytest.fixture
def bucket(client, unique):
    name = unique("bucket")
    client("s3").create_bucket(Bucket=name)
    return name


def test_put_get_head_delete(client, bucket):
    s3 = client("s3")
    put = s3.put_object(Bucket=bucket, Key="dir/a b+ü&?.txt", Body=b"hello", ContentType="text/plain",
                        CacheControl="max-age=1", ContentDisposition="inline", ContentLanguage="en",
                        Metadata={"Colour": "red", "n": "1"})
    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert put["ServerSideEncryption"] == "AES256"
    assert put["ChecksumType"] == "FULL_OBJECT"
    get = s3.get_object(Bucket=bucket, Key="dir/a b+ü&?.txt")
    assert get["Body"].read() == b"hello"
    head = s3.head_object(Bucket=bucket, Key="dir/a b+ü&?.txt")
    for answer in (get, head):
        assert answer["ContentLength"] == 5
        assert answer["ETag"] == put["ETag"]
        assert answer["ContentType"] == "text/plain"
        assert answer["CacheControl"] == "max-age=1"
        assert answer["ContentDisposition"] == "inline"
        assert answer["ContentLanguage"] == "en"
        assert answer["Metadata"] == {"colour": "red", "n": "1"}
        assert answer["AcceptRanges"] == "bytes"
        assert "StorageClass" not in answer
        age = datetime.datetime.now(datetime.timezone.utc) - answer["LastModified"]
        assert abs(age.total_seconds()) < 60
    deleted = s3.delete_object(Bucket=bucket, Key="dir/a b+ü&?.txt")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="dir/a b+ü&?.txt")
    assert error["Message"] == "The specified key does not exist."
    assert error["Key"] == "dir/a b+ü&?.txt"
    refused("404", 404, s3.head_object, Bucket=bucket, Key="none")
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_defaults_and_overrides(client, bucket):
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    got = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="image/png", ResponseContentDisposition="attachment",
                        ResponseExpires=datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc))
    assert got["Body"].read() == b""
    assert got["ContentType"] == "image/png"
    assert got["ContentDisposition"] == "attachment"
    assert "2030" in got["ResponseMetadata"]["HTTPHeaders"]["expires"]
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_048_576, 20_000_003])
def test_sizes(client, bucket, size):
    s3, body = client("s3"), os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_ranges(client, bucket):
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")

    def get(value):
        return s3.get_object(Bucket=bucket, Key="k", Range=value)

    for value, body, content_range in [
        ("bytes=0-0", b"0", "bytes 0-0/10"), ("bytes=3-", b"3456789", "bytes 3-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"), ("bytes=8-100", b"89", "bytes 8-9/10"),
    ]:
        got = get(value)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert (got["Body"].read(), got["ContentRange"], got["ContentLength"]) == (body, content_range, len(body))
    for value in ["bytes=5-2", "bytes=0-1,3-4", "words=1-2"]:
        got = get(value)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert got["Body"].read() == b"0123456789"
    error = refused("InvalidRange", 416, s3.get_object, Bucket=bucket, Key="k", Range="bytes=10-")
    assert error["ActualObjectSize"] == "10"
    assert error["RangeRequested"] == "bytes=10-"
    head = s3.head_object(Bucket=bucket, Key="k", Range="bytes=2-3")
    assert (head["ResponseMetadata"]["HTTPStatusCode"], head["ContentLength"]) == (206, 2)


def test_conditional_reads(client, bucket):
    s3 = client("s3")
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - datetime.timedelta(hours=1), modified + datetime.timedelta(hours=1)
    for good in [
        {"IfMatch": etag}, {"IfMatch": "*"}, {"IfNoneMatch": '"x"'}, {"IfModifiedSince": before},
        {"IfUnmodifiedSince": after}, {"IfMatch": etag, "IfUnmodifiedSince": before},
        {"IfNoneMatch": '"x"', "IfModifiedSince": modified},
    ]:
        assert s3.get_object(Bucket=bucket, Key="k", **good)["Body"].read() == b"x"
    for same in [{"IfNoneMatch": etag}, {"IfModifiedSince": modified}, {"IfNoneMatch": etag, "IfModifiedSince": before}]:
        refused("304", 304, s3.get_object, Bucket=bucket, Key="k", **same)
        refused("304", 304, s3.head_object, Bucket=bucket, Key="k", **same)
    error = refused("PreconditionFailed", 412, s3.get_object, Bucket=bucket, Key="k", IfMatch='"x"')
    assert error["Condition"] == "If-Match"
    refused("PreconditionFailed", 412, s3.get_object, Bucket=bucket, Key="k", IfUnmodifiedSince=before)
    refused("412", 412, s3.head_object, Bucket=bucket, Key="k", IfMatch='"x"')


def test_conditional_writes(client, bucket):
    s3 = client("s3")
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    error = refused("PreconditionFailed", 412, s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert error["Condition"] == "If-None-Match"
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    refused("PreconditionFailed", 412, s3.put_object, Bucket=bucket, Key="k", Body=b"4", IfMatch=etag)
    refused("NoSuchKey", 404, s3.put_object, Bucket=bucket, Key="none", Body=b"", IfMatch=etag)
    refused("NotImplemented", 501, s3.put_object, Bucket=bucket, Key="k", Body=b"", IfNoneMatch=etag)
    refused("PreconditionFailed", 412, s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


def crc32(body):
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def test_checksums(client, bucket):
    s3, body = client("s3"), b"hello"
    for name, value in [
        ("CRC32", crc32(body)), ("SHA1", base64.b64encode(hashlib.sha1(body).digest()).decode()),
        ("SHA256", base64.b64encode(hashlib.sha256(body).digest()).decode()),
    ]:
        member = "Checksum" + name
        assert s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=name)[member] == value  # in a trailer
        assert s3.put_object(Bucket=bucket, Key="k", Body=body, **{member: value})[member] == value  # in a header
        head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert (head[member], head["ChecksumType"]) == (value, "FULL_OBJECT")
        assert member not in s3.head_object(Bucket=bucket, Key="k")
        assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == body
    error = refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=body, ChecksumCRC32=crc32(b"other"))
    assert error["Message"] == "The CRC32 you specified did not match the calculated checksum."
    refused("InvalidRequest", 400, s3.put_object, Bucket=bucket, Key="k", Body=body, ChecksumCRC32="AAAA")
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=body, ContentMD5=md5)
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=body, ContentMD5=other)
    refused("InvalidDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=body, ContentMD5="nonsense")


def test_a_checksum_is_made_when_none_is_sent(server, bucket):
    old = server.client("s3", request_checksum_calculation="when_required")
    put = old.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    assert put["ChecksumCRC64NVME"] == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()
    head = old.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == put["ChecksumCRC64NVME"]


def test_limits(client, bucket):
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="k" * 1024, Body=b"")
    error = refused("KeyTooLongError", 400, s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"")
    assert error["MaxSizeAllowed"] == "1024"
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2047})
    refused("MetadataTooLarge", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2048})
    refused("InvalidStorageClass", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"", StorageClass="NOPE")
    s3.put_object(Bucket=bucket, Key="k", Body=b"", StorageClass="STANDARD_IA")
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"


def raw(server, method, path, headers, body=b""):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_lengths_on_the_wire(server, client, bucket):
    status, text = raw(server, "PUT", f"/{bucket}/k", {"Content-Length": str((5 << 30) + 1)})
    assert status == 400 and "<Code>EntityTooLarge</Code>" in text
    status, text = raw(server, "PUT", f"/{bucket}/k", {"Transfer-Encoding": "chunked"}, b"1\r\nx\r\n0\r\n\r\n")
    assert status == 411 and "<Code>MissingContentLength</Code>" in text
    refused("NoSuchKey", 404, client("s3").get_object, Bucket=bucket, Key="k")


def test_keys_on_the_wire(server, client, bucket):
    for path in ["%ff", "a%c3", "%ed%a0%80"]:
        status, text = raw(server, "PUT", f"/{bucket}/{path}", {"Content-Length": "1"}, b"x")
        assert status == 400 and "<Code>InvalidURI</Code>" in text
    s3 = client("s3")
    for key in ["\ufffd", "a//b", "/a", "..", "a/../b", "%41", "a+b", "#?&=;", "tab\there", "日本/😀"]:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 10


def test_presigned_urls(server, client, bucket):
    s3 = client("s3")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    assert urllib.request.urlopen(urllib.request.Request(url, data=b"presigned", method="PUT"), timeout=10).status == 200
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    assert urllib.request.urlopen(url, timeout=10).read() == b"presigned"


def test_forms_of_browsers_are_refused_by_name(client, bucket):
    form = client("s3").generate_presigned_post(bucket, "upload", ExpiresIn=60)
    answer = requests.post(form["url"], data=form["fields"], files={"file": b"bytes"}, timeout=10)
    assert answer.status_code == 501 and "<Code>NotImplemented</Code>" in answer.text
    assert "Uploads by POST policy" in answer.text
    assert "Contents" not in client("s3").list_objects_v2(Bucket=bucket)


def test_presigned_urls_with_headers_in_the_query(server, client, bucket):
    """As the JavaScript presigner makes them; the checksum is that of the body that it does not have yet."""
    query = ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"
             "&X-Amz-Credential=test%2F20261123%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261123T000000Z"
             "&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
             "&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject"
             "&x-amz-meta-colour=dark%20red&x-amz-storage-class=STANDARD_IA")
    request = urllib.request.Request(f"{server.url}/{bucket}/k?{query}", data=b"hello", method="PUT")
    assert urllib.request.urlopen(request, timeout=10).status == 200
    head = client("s3").head_object(Bucket=bucket, Key="k")
    assert (head["Metadata"], head["StorageClass"]) == ({"colour": "dark red"}, "STANDARD_IA")
    evil = urllib.request.Request(f"{server.url}/{bucket}/k?{query}&x-amz-meta-x=a%0d%0aEvil:%201", data=b"", method="PUT")
    assert urllib.request.urlopen(evil, timeout=10).status == 200
    assert "evil" not in client("s3").head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]


def test_virtual_hosts(server, bucket):
    s3 = server.client("s3")
    s3.put_object(Bucket=bucket, Key="dir/k", Body=b"x")
    port = urlsplit(server.url).port
    for host in [f"{bucket}.localhost:{port}", f"{bucket}.s3.localhost.localstack.cloud:{port}", f"{bucket}.s3.amazonaws.com"]:
        assert raw(server, "GET", "/dir/k", {"Host": host}) == (200, "x")


def test_delete_objects(client, bucket):
    s3 = client("s3")
    for key in ["a", "b", "ü&<"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in ["a", "none", "ü&<"]]})
    assert [d["Key"] for d in answer["Deleted"]] == ["a", "none", "ü&<"]
    assert "Errors" not in answer
    answer = s3.delete_objects(Bucket=bucket, Delete={"Quiet": True, "Objects": [
        {"Key": "b", "VersionId": "other"}, {"Key": "b", "ETag": "x"}]})
    assert "Deleted" not in answer
    assert [e["Code"] for e in answer["Errors"]] == ["NoSuchVersion", "PreconditionFailed"]
    refused("MalformedXML", 400, s3.delete_objects, Bucket=bucket,
            Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["b"]


def test_attributes(client, bucket):
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="CRC32")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "ObjectSize", "Checksum", "StorageClass"])
    assert got["ETag"] == "5d41402abc4b2a76b9719d911017c592"
    assert got["ObjectSize"] == 5
    assert got["StorageClass"] == "STANDARD"
    assert got["Checksum"] == {"ChecksumCRC32": crc32(b"hello"), "ChecksumType": "FULL_OBJECT"}


def test_a_body_of_no_bytes_is_asked_for_too(client, bucket):
    """botocore sends `Expect: 100-continue` with every file. An answer that no 100 precedes ends the connection's use for it: the
    next answer on it is read wrongly."""
    s3 = client("s3", max_pool_connections=1, read_timeout=10)
    for content in (b"", b"some", b"", b"more"):
        s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(content))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"more"


def test_a_hundred_comes_before_the_answer(server, bucket):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for content in (b"", b"some"):
            connection.sendall(
                f"PUT /{bucket}/expected HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                f"Authorization: {scope('s3')}\r\nContent-Length: {len(content)}\r\n\r\n".encode())
            reader = connection.makefile("rb")
            assert reader.readline() == b"HTTP/1.1 100 Continue\r\n" and reader.readline() == b"\r\n"
            connection.sendall(content)
            assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
            while reader.readline() != b"\r\n":
                pass
