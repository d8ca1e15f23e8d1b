"""kill -9 while objects are put, uploaded in parts, copied, deleted and expired: what was answered holds, and no reference
outlives what held it. MARTLET_SEED and MARTLET_KILLS make other runs."""

import datetime
import os
import random
import sqlite3
import threading

import botocore.exceptions

from .harness import wait_for

SEED = int(os.environ.get("MARTLET_SEED", 5))
KILLS = int(os.environ.get("MARTLET_KILLS", 2))
WRITERS = 4
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
GONE = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


class Writer:
    """Changes its own keys, and knows what each may hold: one content, or two while an answer is missing. None: no object."""

    def __init__(self, server, bucket, number):
        self.server, self.bucket, self.number = server, bucket, number
        self.random = random.Random(SEED * 100 + number)
        self.may = {f"w{number}/{n}": {None} for n in range(3)}
        self.done = 0
        self.failure = None

    def run(self, stop):
        s3 = self.server.client("s3")
        while not stop.is_set():
            key = self.random.choice(list(self.may))
            body = self.random.randbytes(self.random.choice([0, 1, 3_000, 90_000]))
            try:
                self.change(s3, key, body, self.random.randrange(5))
                self.done += 1
            except GONE as error:
                code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code")
                if code not in (None, "ServiceUnavailable", "InternalError"):
                    self.failure = error
                return

    def change(self, s3, key, body, how):
        where = {"Bucket": self.bucket, "Key": key}
        if how == 0:
            after = None
            self.may[key] = self.may[key] | {after}
            s3.delete_object(**where)
        elif how == 1:
            source = self.random.choice(list(self.may))
            if None in self.may[source] or len(self.may[source]) > 1:
                return
            (after,) = self.may[source]
            self.may[key] = self.may[key] | {after}
            s3.copy_object(**where, CopySource={"Bucket": self.bucket, "Key": source}, MetadataDirective="REPLACE")
        elif how == 2:
            # So many changes of an upload that its parts go behind the completion.
            upload = s3.create_multipart_upload(**where)["UploadId"]
            for _ in range(self.random.choice([1, 1, 1, 110])):
                part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=body)
            after = body
            self.may[key] = self.may[key] | {after}
            s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={
                "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        else:
            after = body
            self.may[key] = self.may[key] | {after}
            s3.put_object(**where, Body=body)
        self.may[key] = {after}

    def check(self):
        s3 = self.server.client("s3")
        assert self.failure is None, self.failure
        for key, may in self.may.items():
            try:
                found = s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                found = None
            assert found in may, f"{key}: {found and len(found)} bytes, seed {SEED}"
            self.may[key] = {found}


def lifecycle(s3, bucket):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"Status": "Enabled", "Expiration": {"Date": PAST}, "Filter": {"Prefix": "old/"}}]})


def test_what_was_answered_survives_kill9(make_server):
    server = make_server()
    s3 = server.client("s3")
    bucket = "crash"
    s3.create_bucket(Bucket=bucket)
    writers = [Writer(server, bucket, number) for number in range(WRITERS)]
    chance = random.Random(SEED)
    for round in range(KILLS):
        stop, before = threading.Event(), sum(w.done for w in writers)
        for number in range(60):
            s3.put_object(Bucket=bucket, Key=f"old/{round}-{number}", Body=b"old")
        lifecycle(s3, bucket)
        threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
        for thread in threads:
            thread.start()
        enough = before + chance.randrange(15, 50)
        wait_for(lambda: sum(w.done for w in writers) >= enough or not any(t.is_alive() for t in threads), 45)
        server.kill9()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
        for writer in writers:
            writer.check()
    assert sum(w.done for w in writers) >= KILLS * 15
    # The lifecycle goes on where it was.
    lifecycle(s3, bucket)
    wait_for(lambda: "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="old/"))
    # With all objects and uploads no blob is referenced any more.
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    database = sqlite3.connect(f"file:{server.data_dir}/store/martlet.db?mode=ro", uri=True)
    left = lambda sql: database.execute(sql).fetchone()[0]
    wait_for(lambda: left("SELECT COUNT(*) FROM s3_leftover") == 0)
    assert left("SELECT COUNT(*) FROM s3_part") == 0
    assert left("SELECT COALESCE(SUM(refs), 0) FROM blobs_blobs") == 0
    database.close()
    assert server.stop() == 0
