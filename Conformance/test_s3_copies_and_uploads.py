"""S3 copies and multipart uploads: boto3 against a real server."""

import base64
import concurrent.futures
import hashlib
import os

import pytest

from .test_s3_buckets import refused
from .test_s3_objects import bucket, crc32  # noqa: F401 (a fixture)

MIB = 1 << 20


def test_copy(client, bucket):  # noqa: F811
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"hello", ContentType="text/plain", Metadata={"m": "1"})
    source = {"Bucket": bucket, "Key": "a b/ü"}
    result = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)["CopyObjectResult"]
    assert result["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"hello", "text/plain", {"m": "1"})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"},
                   ContentType="image/png")
    got = s3.head_object(Bucket=bucket, Key="copy")
    assert (got["ContentType"], got["Metadata"]) == ("image/png", {"n": "2"})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")
    got = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert got["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"hello").digest()).decode()


def test_copy_refusals(client, bucket):  # noqa: F811
    s3 = client("s3")
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    error = refused("InvalidRequest", 400, s3.copy_object, Bucket=bucket, Key="k", CopySource=f"{bucket}/k")
    assert error["Message"].startswith("This copy request is illegal")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", MetadataDirective="REPLACE")
    refused("NoSuchKey", 404, s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/none")
    refused("NoSuchBucket", 404, s3.copy_object, Bucket=bucket, Key="c", CopySource="no-such-bucket-at-all/k")
    refused("InvalidArgument", 400, s3.copy_object, Bucket=bucket, Key="c", CopySource="nonsense")
    for condition in [{"CopySourceIfMatch": '"x"'}, {"CopySourceIfNoneMatch": etag}]:
        refused("PreconditionFailed", 412, s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/k", **condition)
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", CopySourceIfMatch=etag)


def etag_of(*parts):
    return f'"{hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()}-{len(parts)}"'


def test_multipart(client, bucket):  # noqa: F811
    s3 = client("s3")
    parts = [os.urandom(5 * MIB), os.urandom(6 * MIB), b"end"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big", ContentType="video/mp4", Metadata={"a": "b"})["UploadId"]
    target = {"Bucket": bucket, "Key": "big", "UploadId": upload}
    sent = [s3.upload_part(PartNumber=n, Body=p, **target) for n, p in enumerate(parts, 1)]
    assert sent[2]["ETag"] == f'"{hashlib.md5(b"end").hexdigest()}"'
    listed = s3.list_parts(**target)
    assert [(p["PartNumber"], p["Size"]) for p in listed["Parts"]] == [(1, 5 * MIB), (2, 6 * MIB), (3, 3)]
    pages = list(s3.get_paginator("list_parts").paginate(PaginationConfig={"PageSize": 2}, **target))
    assert [len(p["Parts"]) for p in pages] == [2, 1]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="big")
    done = s3.complete_multipart_upload(
        MultipartUpload={"Parts": [{"PartNumber": n, "ETag": p["ETag"]} for n, p in enumerate(sent, 1)]}, **target)
    assert done["ETag"] == etag_of(*parts)
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == b"".join(parts)
    assert (got["ContentType"], got["Metadata"]) == ("video/mp4", {"a": "b"})
    edge = s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")["Body"].read()
    assert edge == parts[0][-2:] + parts[1][:2]
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"]) == (parts[1], 3)
    refused("InvalidPartNumber", 416, s3.get_object, Bucket=bucket, Key="big", PartNumber=4)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    # A copy is a plain object again.
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/big")
    assert s3.head_object(Bucket=bucket, Key="copy")["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}"'


def test_multipart_checksums(client, server, bucket):  # noqa: F811
    s3 = server.client("s3", request_checksum_calculation="when_required")
    parts = [os.urandom(5 * MIB), b"end"]

    def upload(**parameters):
        target = {"Bucket": bucket, "Key": "k"}
        target["UploadId"] = s3.create_multipart_upload(**target, **parameters)["UploadId"]
        return target

    # Composite: the checksum of the parts' checksums.
    target = upload(ChecksumAlgorithm="SHA256")
    sent = [s3.upload_part(PartNumber=n, Body=p, ChecksumAlgorithm="SHA256", **target) for n, p in enumerate(parts, 1)]
    plain = [{"PartNumber": n, "ETag": p["ETag"]} for n, p in enumerate(sent, 1)]
    error = refused("InvalidRequest", 400, s3.complete_multipart_upload, MultipartUpload={"Parts": plain}, **target)
    assert error["Message"].startswith("The upload was created using a sha256 checksum.")
    full = [{**p, "ChecksumSHA256": s["ChecksumSHA256"]} for p, s in zip(plain, sent)]
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": full}, **target)
    digest = hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in parts)).digest()
    assert done["ChecksumSHA256"] == base64.b64encode(digest).decode() + "-2"
    assert done["ChecksumType"] == "COMPOSITE"

    # Full object: combined from the parts.
    target = upload(ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    sent = [s3.upload_part(PartNumber=n, Body=p, ChecksumAlgorithm="CRC32", **target) for n, p in enumerate(parts, 1)]
    plain = [{"PartNumber": n, "ETag": p["ETag"]} for n, p in enumerate(sent, 1)]
    refused("BadDigest", 400, s3.complete_multipart_upload, MultipartUpload={"Parts": plain},
            ChecksumCRC32=crc32(b"other"), ChecksumType="FULL_OBJECT", **target)
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": plain}, ChecksumCRC32=crc32(b"".join(parts)),
                                        ChecksumType="FULL_OBJECT", **target)
    assert done["ChecksumCRC32"] == crc32(b"".join(parts))
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (done["ChecksumCRC32"], "FULL_OBJECT")

    refused("InvalidRequest", 400, s3.create_multipart_upload, Bucket=bucket, Key="k", ChecksumAlgorithm="SHA1",
            ChecksumType="FULL_OBJECT")


def test_multipart_refusals(client, bucket):  # noqa: F811
    s3 = client("s3")
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    small = s3.upload_part(PartNumber=1, Body=b"small", **target)["ETag"]
    last = s3.upload_part(PartNumber=2, Body=b"last", **target)["ETag"]

    def complete(*parts):
        return {"MultipartUpload": {"Parts": [{"PartNumber": n, "ETag": e} for n, e in parts]}, **target}

    error = refused("EntityTooSmall", 400, s3.complete_multipart_upload, **complete((1, small), (2, last)))
    assert error["MinSizeAllowed"] == "5242880"
    refused("InvalidPartOrder", 400, s3.complete_multipart_upload, **complete((2, last), (1, small)))
    refused("InvalidPart", 400, s3.complete_multipart_upload, **complete((3, last)))
    refused("InvalidPart", 400, s3.complete_multipart_upload, **complete((1, last)))
    refused("MalformedXML", 400, s3.complete_multipart_upload, **complete())
    refused("InvalidArgument", 400, s3.upload_part, PartNumber=10001, Body=b"", **target)
    s3.complete_multipart_upload(**complete((2, last)))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"last"
    s3.complete_multipart_upload(**complete((2, last)))  # the answer may have been lost: success again
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, **target)
    refused("NoSuchUpload", 404, s3.upload_part, PartNumber=1, Body=b"", **target)


def test_abort(client, bucket):  # noqa: F811
    s3 = client("s3")
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    s3.upload_part(PartNumber=1, Body=b"x", **target)
    assert s3.abort_multipart_upload(**target)["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("NoSuchUpload", 404, s3.list_parts, **target)


def test_upload_part_copy(client, bucket):  # noqa: F811
    s3, body = client("s3"), os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    source = f"{bucket}/source"
    one = s3.upload_part_copy(PartNumber=1, CopySource=source, CopySourceRange=f"bytes=0-{5 * MIB - 1}", **target)
    two = s3.upload_part_copy(PartNumber=2, CopySource=source, CopySourceRange=f"bytes={5 * MIB}-{6 * MIB - 1}", **target)
    assert one["CopyPartResult"]["ETag"] == f'"{hashlib.md5(body[: 5 * MIB]).hexdigest()}"'
    refused("InvalidArgument", 400, s3.upload_part_copy, PartNumber=3, CopySource=source,
            CopySourceRange=f"bytes=0-{6 * MIB}", **target)
    s3.complete_multipart_upload(MultipartUpload={"Parts": [
        {"PartNumber": n, "ETag": p["CopyPartResult"]["ETag"],
         **{k: v for k, v in p["CopyPartResult"].items() if k.startswith("ChecksumCRC")}}
        for n, p in enumerate([one, two], 1)]}, **target)
    s3.delete_object(Bucket=bucket, Key="source")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_very_many_parts(client, bucket):  # noqa: F811
    """Parts are ranges of one object, each at its own place. MARTLET_PARTS=10000 takes as many as S3 allows."""
    s3, count = client("s3"), int(os.environ.get("MARTLET_PARTS", 40))
    source = os.urandom(5 * MIB + 10 * count)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    where = {"Bucket": bucket, "Key": "k"}
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    copy = {"CopySource": {"Bucket": bucket, "Key": "source"}}

    def part(number, **upload):
        first = 10 * (number - 1)
        return s3.upload_part_copy(
            **upload, **copy, PartNumber=number, CopySourceRange=f"bytes={first}-{first + 5 * MIB - 1}")

    def content(number):
        return source[10 * (number - 1):10 * (number - 1) + 5 * MIB]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        etags = [answer["CopyPartResult"]["ETag"] for answer in pool.map(lambda n: part(n, **upload), range(1, count + 1))]
    pages = s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": max(7, count // 20)})
    listed = [(p["PartNumber"], p["ETag"], p["Size"]) for page in pages for p in page["Parts"]]
    assert listed == [(number, etag, 5 * MIB) for number, etag in enumerate(etags, 1)]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={
        "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]})
    assert done["ETag"].endswith(f'-{count}"')
    head = s3.head_object(**where, PartNumber=count)
    assert (head["ContentLength"], head["PartsCount"]) == (5 * MIB, count)
    assert s3.head_object(**where)["ContentLength"] == 5 * MIB * count
    for number in (1, count // 2, count - 1):
        border = 5 * MIB * number
        answer = s3.get_object(**where, Range=f"bytes={border - 100}-{border + 99}")
        assert answer["Body"].read() == content(number)[-100:] + content(number + 1)[:100]
        assert answer["ContentRange"] == f"bytes {border - 100}-{border + 99}/{5 * MIB * count}"
    assert s3.get_object(**where, PartNumber=count)["Body"].read() == content(count)
    # What is not needed any more goes at once, and its bytes with the last of it.
    s3.delete_object(Bucket=bucket, Key="source")
    assert s3.get_object(**where, PartNumber=2)["Body"].read() == content(2)
    s3.delete_object(**where)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_list_uploads(client, bucket):  # noqa: F811
    s3 = client("s3")
    ids = {}
    for key in ["a", "a", "d/1", "d/2", "z"]:
        ids.setdefault(key, []).append(s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"])
    listed = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [(u["Key"], u["UploadId"]) for u in listed["Uploads"]] == [("a", ids["a"][0]), ("a", ids["a"][1]), ("z", ids["z"][0])]
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["d/"]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert [u["UploadId"] for page in pages for u in page.get("Uploads", [])] == sum(ids.values(), [])


@pytest.mark.parametrize("size", [3 * MIB, 23 * MIB + 7])
def test_transfers(client, bucket, tmp_path, size):  # noqa: F811
    s3, body = client("s3"), os.urandom(size)
    (tmp_path / "up").write_bytes(body)
    s3.upload_file(str(tmp_path / "up"), bucket, "k")
    s3.download_file(bucket, "k", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == body
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
