"""S3, measured on this machine against the release binary: objects of 1 KiB, 1 MiB and 1 GiB put and got, durable; one of 10,000
parts; from a put to the first line of the handler that it triggers; pages of a listing.

    python Benchmarks/s3.py [--quick] [--only "objects large parts event listing"]
"""

import functools
import multiprocessing
import os
import re
import socket
import time

from bench import RUNTIME, Keepalive, http, latencies, make_function, row, run_parts, wrk

MIB = 1 << 20


def objects(server, quick):
    server.client("s3").create_bucket(Bucket="bench")
    seconds = 2 if quick else 6
    for name, size, goals in (("1 KiB", 1 << 10, ("-", "-")), ("1 MiB", MIB, (">= 300 MB/s", ">= 1,000 MB/s"))):
        script = (f'wrk.method = "PUT"\nwrk.body = string.rep("0123456789abcdef", {size // 16})\nlocal n = 0\n'
                  'request = function()\n  n = n + 1\n  return wrk.format(nil, "/bench/object-" .. (n % 64))\nend\n')
        for what, text, goal in (("put", script, goals[0]), ("get", None, goals[1])):
            for clients in (4, 16) if size < MIB else (4,):
                cpu = server.cpu_seconds()
                rate, total, errors = wrk(server.port, "/bench/object-1", clients, seconds, text)
                each = (server.cpu_seconds() - cpu) / max(total, 1) * 1e6
                shown = f"{rate:,.0f} /s" if size < MIB else f"{rate * size / 1e6:,.0f} MB/s"
                row(f"S3 {what} of {name}, {clients} clients", shown, goal, f"server {each:.0f} us each {errors}")
    # What the disk itself does, in the same run.
    block, count = b"x" * MIB, 64
    begin = time.perf_counter()
    for _ in range(count):
        with open(os.path.join(server.data, "raw"), "wb") as file:
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())
    row("  this disk: write 1 MiB and fdatasync, alone", f"{count * MIB / 1e6 / (time.perf_counter() - begin):,.0f} MB/s")


def copy_parts(port, upload, first, count, step):
    """Parts that are ranges of one object, without an SDK; their ETags by number."""
    call, etags = Keepalive(port), []
    for number in range(first, count + 1, step):
        start = 10 * (number - 1)
        call.send(http(
            "PUT", f"/bench/many?partNumber={number}&uploadId={upload}", b"", "x-amz-copy-source: /bench/source\r\n"
            f"x-amz-copy-source-range: bytes={start}-{start + 5 * MIB - 1}\r\n"))
        status, body = call.answer()
        if status != 200:
            raise RuntimeError(f"UploadPartCopy: {status} {body.decode()}")
        etags.append((number, re.search("<ETag>(.*?)</ETag>", body.decode()).group(1).replace("&quot;", '"')))
    return etags


def parts(server, quick):
    s3, count, workers = server.client("s3"), 1_000 if quick else 10_000, 4
    s3.create_bucket(Bucket="bench")
    s3.put_object(Bucket="bench", Key="source", Body=os.urandom(5 * MIB + 10 * count))
    upload = s3.create_multipart_upload(Bucket="bench", Key="many")["UploadId"]
    cpu, begin = server.cpu_seconds(), time.perf_counter()
    with multiprocessing.Pool(workers) as pool:
        shares = pool.starmap(copy_parts, [(server.port, upload, n + 1, count, workers) for n in range(workers)])
    seconds, used = time.perf_counter() - begin, server.cpu_seconds() - cpu
    row(f"S3 {count:,} parts of 5 MiB copied, {workers} clients", f"{count / seconds:,.0f} /s", "-",
        f"{count * 5 * MIB / 1e6 / seconds:,.0f} MB/s are hashed; server {used / count * 1000:.1f} ms each")
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(sum(shares, []))]

    def timed(what, call):
        begin = time.perf_counter()
        answer = call()
        row(f"S3 {what} of {count:,} parts", f"{(time.perf_counter() - begin) * 1000:,.0f} ms", "-",
            f"boto3's own time is in it; memory then {server.memory_mib()[0]:.0f} MiB")
        return answer

    where = {"Bucket": "bench", "Key": "many"}
    timed("completion", lambda: s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": listed}))
    middle = 5 * MIB * (count // 2)
    got = timed("two parts' border", lambda: s3.get_object(**where, Range=f"bytes={middle - 50}-{middle + 49}")["Body"].read())
    assert len(got) == 100
    timed("deletion", lambda: s3.delete_object(**where))


def head_of(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        assert piece, "connection closed"
        data += piece
    head, rest = data.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200"), head
    return len(rest)


def large(server, quick):
    size, name = (MIB * 128, "128 MiB") if quick else (MIB * 1024, "1 GiB")
    server.client("s3").create_bucket(Bucket="bench")
    block = os.urandom(MIB)
    buffer = bytearray(MIB)
    with socket.create_connection(("127.0.0.1", server.port), timeout=300) as connection:
        cpu, begin = server.cpu_seconds(), time.perf_counter()
        connection.sendall(f"PUT /bench/large HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // MIB):
            connection.sendall(block)
        head_of(connection)
        seconds, used = time.perf_counter() - begin, server.cpu_seconds() - cpu
        row(f"S3 put of {name}, durable", f"{size / 1e6 / seconds:,.0f} MB/s", "-",
            f"server CPU {used:.2f} s; memory then {server.memory_mib()[0]:.0f} MiB")
        cpu, begin = server.cpu_seconds(), time.perf_counter()
        connection.sendall(b"GET /bench/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        left = size - head_of(connection)
        while left:
            left -= connection.recv_into(buffer, min(left, MIB))
        seconds, used = time.perf_counter() - begin, server.cpu_seconds() - cpu
        row(f"S3 get of {name}", f"{size / 1e6 / seconds:,.0f} MB/s", "-",
            f"server CPU {used:.2f} s; memory then {server.memory_mib()[0]:.0f} MiB")


def event(server, quick):
    functions, s3 = server.client("lambda"), server.client("s3")
    make_function(functions, "on-put", (
        "import time\ndef handler(event, context):\n"
        "    print('AT', event['Records'][0]['s3']['object']['key'], time.time())\n"), RUNTIME)
    s3.create_bucket(Bucket="bench")
    functions.add_permission(
        FunctionName="on-put", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::bench")
    arn = functions.get_function(FunctionName="on-put")["Configuration"]["FunctionArn"]
    s3.put_bucket_notification_configuration(Bucket="bench", NotificationConfiguration={
        "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
    raw = Keepalive(server.port, b"")

    def bare(key):
        raw.request = http("PUT", f"/bench/{key}", b"x")
        assert raw() == 200

    ways = {"boto3": lambda key: s3.put_object(Bucket="bench", Key=key, Body=b"x"), "bare": bare}
    count, sent, put = 30 if quick else 100, {}, {name: [] for name in ways}
    # By turns, so that a busy machine slows both.
    for number in range(count + 5):
        for name, way in ways.items():
            key = f"{name}-{number}"
            sent[key] = time.time()
            way(key)
            if number >= 5:
                put[name].append((time.time() - sent[key]) * 1000)
            time.sleep(0.02)
    seen = handled(server, len(sent))
    for name, what in (("bare", "put on an open connection"), ("boto3", "boto3's put_object, with its own time")):
        waits = sorted((seen[k] - sent[k]) * 1000 for k in sent
                       if k in seen and k.startswith(name) and int(k.split("-")[1]) >= 5)
        if waits:
            row(f"S3 {what}, to handler runs, p50", f"{waits[len(waits) // 2]:.2f} ms", "<= 3 ms",
                f"p90 {waits[len(waits) * 9 // 10]:.2f} ms; the put itself is answered after "
                f"{sorted(put[name])[len(put[name]) // 2]:.2f} ms; {len(waits)} of {count}")


def handled(server, count):
    """When the handler ran, by key."""
    logs, seen = server.client("logs"), {}
    for _ in range(50):
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/on-put"):
            for one in page["events"]:
                words = one["message"].split()
                if words[:1] == ["AT"]:
                    seen[words[1]] = float(words[2])
        if len(seen) >= count:
            break
        time.sleep(0.1)
    return seen


def fill(port, first, count):
    call = Keepalive(port, b"")
    for number in range(first, first + count):
        call.request = http("PUT", f"/bench/folder-{number % 100:02}/key-{number:07}")
        assert call() == 200


def listing(server, quick):
    server.client("s3").create_bucket(Bucket="bench")
    count, workers = 10_000 if quick else 100_000, 8
    begin = time.perf_counter()
    with multiprocessing.Pool(workers) as pool:
        share = count // workers
        pool.starmap(functools.partial(fill, server.port), [(part * share, share) for part in range(workers)])
    row(f"S3 put of {count:,} empty objects, {workers} clients (Python)", f"{count / (time.perf_counter() - begin):,.0f} /s")
    for what, query in (
        ("the first", ""), ("from the middle", "&start-after=folder-50"), ("of common prefixes", "&delimiter=%2F")
    ):
        call = Keepalive(server.port, http("GET", f"/bench?list-type=2&max-keys=1000{query}"))
        runs = 50 if quick else 200
        cpu = server.cpu_seconds()
        p50, p99 = latencies(call, runs)
        used = (server.cpu_seconds() - cpu) / (runs + 20) * 1000
        row(f"S3 list 1,000 of {count:,} keys, {what}, p50", f"{p50:.2f} ms", "-", f"p99 {p99:.2f} ms; server {used:.2f} ms")
    row("server memory then", f"{server.memory_mib()[0]:.0f} MiB")


if __name__ == "__main__":
    run_parts(__doc__, {"objects": objects, "large": large, "parts": parts, "event": event, "listing": listing})
