"""Listing a bucket of very many keys: every key once, in order, by every kind of listing, in bounded memory.

MARTLET_KEYS=1000000 takes a million keys; then the times of pages are worth reading (-s).
"""

import datetime
import os
import re
import sqlite3
import statistics
import time
import urllib.parse
import urllib.request

from .harness import wait_for

KEYS = int(os.environ.get("MARTLET_KEYS", 20_000))
FOLDERS = 100
GROWTH_MIB = 40


def peak_mib(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def key(number):
    return f"d{number * FOLDERS // KEYS:03}/{number:07}"


def fill(server, s3, bucket):
    """One object with two versions is stored as clients do; its rows are then multiplied with the server stopped."""
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        s3.put_object(Bucket=bucket, Key="template", Body=b"")
    server.stop()
    database = sqlite3.connect(server.data_dir / "store" / "martlet.db")
    database.create_function("name", 1, lambda number: key(number).encode(), deterministic=True)
    with database:
        # Every tenth key has an older version.
        for table, step in {"s3_object": 1, "s3_version": 10}.items():
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            values = ", ".join("name(i)" if column == "key" else column for column in columns)
            database.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + {step} FROM n WHERE i + {step} < {KEYS}) "
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}, n WHERE bucket = ? "
                "ORDER BY i", (bucket,))
    database.close()
    server.start()


class Pages:
    """Follows a listing to its end."""

    def __init__(self, server, bucket):
        self.server, self.bucket = server, bucket

    def __call__(self, follow, **parameters):
        times, pages = [], 0
        while True:
            query = urllib.parse.urlencode(parameters)
            start = time.monotonic()
            with urllib.request.urlopen(f"{self.server.url}/{self.bucket}?{query}", timeout=60) as answer:
                page = answer.read().decode()
            times.append(time.monotonic() - start)
            pages += 1
            yield page
            if "<IsTruncated>true</IsTruncated>" not in page:
                break
            parameters.update(follow(page))
        tenth = max(1, len(times) // 10)
        print(f"{list(parameters)[:2]}: {pages} pages, first tenth {statistics.median(times[:tenth]) * 1000:.1f} ms, "
              f"last tenth {statistics.median(times[-tenth:]) * 1000:.1f} ms, peak {peak_mib(self.server):.0f} MiB")


def only(page, tag):
    return re.search(f"<{tag}>([^<]*)</{tag}>", page)[1]


def keys_of(pages):
    for page in pages:
        yield from re.findall("<Key>([^<]*)</Key>", page)


def test_every_listing_of_many_keys(make_server, unique):
    server, bucket = make_server(), unique("many")
    s3 = server.client("s3")
    start = time.monotonic()
    fill(server, s3, bucket)
    pages, before = Pages(server, bucket), peak_mib(server)
    print(f"filled in {time.monotonic() - start:.1f} s; {before:.0f} MiB")
    expected = [key(number) for number in range(KEYS)] + ["template"]

    v2 = pages(lambda page: {"continuation-token": only(page, "NextContinuationToken")}, **{"list-type": "2"})
    assert list(keys_of(v2)) == expected
    v1 = pages(lambda page: {"marker": re.findall("<Key>([^<]*)</Key>", page)[-1]}, prefix="")
    assert list(keys_of(v1)) == expected

    # A delimiter reads folders, not what is in them; a page of three.
    folders = [
        folder
        for page in pages(lambda page: {"marker": only(page, "NextMarker")}, delimiter="/", **{"max-keys": "3"})
        for folder in re.findall("<CommonPrefixes><Prefix>([^<]*)</Prefix>", page)]
    assert folders == [f"d{number:03}/" for number in range(FOLDERS)]
    # One that is in no key reads all.
    plain = pages(lambda page: {"marker": only(page, "NextMarker")}, delimiter="|")
    assert sum(1 for _ in keys_of(plain)) == len(expected)

    def behind(page):
        return {"key-marker": only(page, "NextKeyMarker"), "version-id-marker": only(page, "NextVersionIdMarker")}

    versions = list(keys_of(pages(behind, versions="")))
    assert len(versions) == KEYS + (KEYS + 9) // 10 + 2 and versions == sorted(versions)
    assert sorted(set(versions)) == expected

    # The lifecycle walks over all of it for the last folder.
    start = time.monotonic()
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [{
        "ID": "last", "Status": "Enabled", "Filter": {"Prefix": f"d{FOLDERS - 1:03}/"},
        "Expiration": {"Date": datetime.datetime(2020, 1, 1)}}]})
    last = {"Bucket": bucket, "Prefix": f"d{FOLDERS - 1:03}/", "MaxKeys": 1}
    wait_for(lambda: s3.list_objects_v2(**last)["KeyCount"] == 0, 110)
    left = KEYS - KEYS // FOLDERS
    print(f"lifecycle in {time.monotonic() - start:.1f} s, peak {peak_mib(server):.0f} MiB")
    final = pages(lambda page: {"continuation-token": only(page, "NextContinuationToken")}, **{"list-type": "2"})
    assert list(keys_of(final)) == expected[:left] + ["template"]
    grown = peak_mib(server) - before
    assert grown < GROWTH_MIB, f"{grown:.0f} MiB more for {KEYS} keys"
