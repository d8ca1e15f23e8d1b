"""Programs that store things in S3, as their users run them: AWS CLI, rclone, s3cmd, restic, smart_open, s3transfer."""

import concurrent.futures
import hashlib
import os
import random
import shutil
import subprocess
import time
import urllib.parse

import boto3.s3.transfer
import pytest

from .expect import aws_error

CLIENT_S = 60


@pytest.fixture
def s3(client):
    return client("s3")


@pytest.fixture
def bucket(s3, unique):
    name = unique("clients")
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def tree(tmp_path):
    """Files with awkward names and sizes."""
    root = tmp_path / "tree"
    (root / "deep" / "er").mkdir(parents=True)
    chance = random.Random(20)
    for name, size in {"empty": 0, "a b+c&d=ü.txt": 100, "deep/one": 70_000, "deep/er/two": 1, "big": 9_000_000}.items():
        (root / name).write_bytes(chance.randbytes(size))
    return root


def run(*command, environment=None, code=0):
    inherited = {k: v for k, v in os.environ.items() if k != "AWS_CA_BUNDLE"}  # rclone stumbles over it
    done = subprocess.run(
        [str(part) for part in command], env={**inherited, **(environment or {})}, capture_output=True, text=True,
        timeout=CLIENT_S)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: Tools/setup installs it")


def same(one, other):
    def content(root):
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in root.rglob("*") if p.is_file()}
    assert content(one) == content(other)


def test_aws_cli_sync(aws, s3, bucket, tree, tmp_path):
    # Below the CLI's threshold: on a busy machine Debian's CLI now and then waits for ever for its own parts, all answered.
    (tree / "big").write_bytes(bytes(7_000_000))
    # The CLI compares times of files with LastModified, which is in whole seconds: files of this second would be newer.
    for path in tree.rglob("*"):
        os.utime(path, (time.time() - 60,) * 2)
    aws("s3", "sync", str(tree), f"s3://{bucket}/t")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 5
    (tree / "empty").unlink()
    again = aws("s3", "sync", str(tree), f"s3://{bucket}/t", "--delete").text
    assert "delete:" in again and "upload:" not in again
    aws("s3", "cp", f"s3://{bucket}/t/", f"s3://{bucket}/copy/", "--recursive")
    aws("s3", "sync", f"s3://{bucket}/copy", str(tmp_path / "back"))
    same(tree, tmp_path / "back")
    aws("s3", "mv", f"s3://{bucket}/copy/deep/one", f"s3://{bucket}/moved")
    aws("s3", "rm", f"s3://{bucket}/", "--recursive")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_rclone(server, bucket, tree, tmp_path):
    need("rclone")
    remote = {
        "RCLONE_CONFIG": str(tmp_path / "none"), "RCLONE_CONFIG_M_TYPE": "s3", "RCLONE_CONFIG_M_PROVIDER": "Other",
        "RCLONE_CONFIG_M_ACCESS_KEY_ID": "test", "RCLONE_CONFIG_M_SECRET_ACCESS_KEY": "test",
        "RCLONE_CONFIG_M_ENDPOINT": server.url, "RCLONE_CONFIG_M_REGION": "us-east-1",
        "RCLONE_CONFIG_M_FORCE_PATH_STYLE": "true", "RCLONE_CONFIG_M_UPLOAD_CUTOFF": "5M",
        "RCLONE_CONFIG_M_CHUNK_SIZE": "5M"}
    run("rclone", "sync", tree, f"m:{bucket}/t", environment=remote)
    run("rclone", "check", "--download", tree, f"m:{bucket}/t", environment=remote)
    run("rclone", "copy", f"m:{bucket}/t", f"m:{bucket}/copy", environment=remote)
    run("rclone", "sync", f"m:{bucket}/copy", tmp_path / "back", environment=remote)
    same(tree, tmp_path / "back")
    assert "deep/er/two" in run("rclone", "lsf", "-R", f"m:{bucket}/t", environment=remote)
    run("rclone", "purge", f"m:{bucket}/t", environment=remote)


def test_s3cmd(server, bucket, tree, tmp_path):
    need("s3cmd")
    host = urllib.parse.urlsplit(server.url).netloc
    (tmp_path / "s3cfg").write_text("[default]\n")
    base = ["s3cmd", "-c", tmp_path / "s3cfg", "--access_key=test", "--secret_key=test", f"--host={host}",
            f"--host-bucket={host}", "--no-ssl", "--region=us-east-1", "--no-progress"]
    run(*base, "sync", f"{tree}/", f"s3://{bucket}/t/", "--multipart-chunk-size-mb=5")
    assert "9000000" in run(*base, "ls", "-r", f"s3://{bucket}/t/")
    run(*base, "info", f"s3://{bucket}/t/big")
    run(*base, "info", f"s3://{bucket}")
    run(*base, "cp", f"s3://{bucket}/t/big", f"s3://{bucket}/big2")
    (tmp_path / "back").mkdir()
    run(*base, "sync", f"s3://{bucket}/t/", f"{tmp_path}/back/")
    same(tree, tmp_path / "back")
    run(*base, "del", "-r", "-f", f"s3://{bucket}/t/")
    assert run(*base, "ls", f"s3://{bucket}/t/") == ""


def test_restic(server, bucket, tree, tmp_path):
    need("restic")
    where = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "RESTIC_PASSWORD": "secret",
             "RESTIC_REPOSITORY": f"s3:{server.url}/{bucket}/backups", "RESTIC_CACHE_DIR": str(tmp_path / "cache")}
    run("restic", "init", environment=where)
    run("restic", "backup", tree, environment=where)
    (tree / "deep" / "one").write_bytes(b"changed")
    run("restic", "backup", tree, environment=where)
    run("restic", "check", "--read-data", environment=where)
    run("restic", "restore", "latest", "--target", tmp_path / "back", environment=where)
    same(tree, tmp_path / "back" / tree.relative_to("/"))
    run("restic", "forget", "--keep-last", "1", "--prune", environment=where)
    run("restic", "check", environment=where)


def test_smart_open(s3, bucket):
    smart_open = pytest.importorskip("smart_open")
    chance = random.Random(21)
    data = chance.randbytes(12_000_000)
    with smart_open.open(f"s3://{bucket}/k", "wb", transport_params={"client": s3, "min_part_size": 5 << 20}) as out:
        for start in range(0, len(data), 1_000_000):
            out.write(data[start:start + 1_000_000])
    with smart_open.open(f"s3://{bucket}/k", "rb", transport_params={"client": s3}) as file:
        assert file.read() == data
        file.seek(7_000_000)
        assert file.read(10) == data[7_000_000:7_000_010]
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].strip('"').endswith("-3")


def test_s3transfer(s3, bucket, tmp_path):
    config = boto3.s3.transfer.TransferConfig(
        multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=4)
    data = random.Random(22).randbytes(17_000_000)
    (tmp_path / "up").write_bytes(data)
    s3.upload_file(str(tmp_path / "up"), bucket, "k", Config=config, ExtraArgs={"Tagging": "a=b", "ACL": "private"})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Config=config)
    s3.download_file(bucket, "copy", str(tmp_path / "down"), Config=config)
    assert (tmp_path / "down").read_bytes() == data


def test_one_of_many_writers_wins(s3, client, bucket):
    """Put if absent, and put if unchanged, from many at once: one of each round succeeds."""
    def attempt(number, **condition):
        try:
            return client("s3").put_object(Bucket=bucket, Key="lock", Body=str(number).encode(), **condition)["ETag"]
        except s3.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        condition = {"IfNoneMatch": "*"}
        for _ in range(4):
            won = [etag for etag in pool.map(lambda n: attempt(n, **condition), range(8)) if etag]
            # A writer of the very bytes that are there matches too.
            assert len(won) >= 1 and len(set(won)) == len(won)
            current = s3.head_object(Bucket=bucket, Key="lock")["ETag"]
            assert current in won
            condition = {"IfMatch": current}
    with aws_error("PreconditionFailed", status=412):
        s3.put_object(Bucket=bucket, Key="lock", Body=b"x", IfNoneMatch="*")
