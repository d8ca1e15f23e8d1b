"""Kinesis by hand: CBOR as Java's SDKs speak it, and what no client sends."""

import json
import struct

from . import raw

FIRST = "shardId-000000000000"


def encode(value):
    """CBOR of the few kinds that requests have."""
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, Milliseconds):
        return b"\xc1" + head(0, value.number)
    return head(5, len(value)) + b"".join(encode(name) + encode(one) for name, one in value.items())


class Milliseconds:
    """A time as Java's SDKs write it: tag 1, in milliseconds."""

    def __init__(self, number):
        self.number = number


def head(major, number):
    for limit, info, form in ((24, None, ""), (2**8, 24, ">B"), (2**16, 25, ">H"), (2**32, 26, ">I"), (2**64, 27, ">Q")):
        if number < limit:
            return bytes([major << 5 | (number if info is None else info)]) + (struct.pack(form, number) if form else b"")
    raise ValueError(number)


def decode(data):
    value, rest = item(data)
    assert not rest
    return value


def item(data):
    major, info, data = data[0] >> 5, data[0] & 31, data[1:]
    if major == 7:
        return ({20: False, 21: True, 22: None}[info] if info < 24 else struct.unpack(">d", data[:8])[0]), data[8 * (info == 27):]
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    number, data = (int.from_bytes(data[:size], "big") if size else info), data[size:]
    if major == 0:
        return number, data
    if major in (2, 3):
        piece = data[:number]
        return (piece if major == 2 else piece.decode()), data[number:]
    if major == 4:
        values = []
        for _ in range(number):
            value, data = item(data)
            values.append(value)
        return values, data
    if major == 5:
        fields = {}
        for _ in range(number):
            name, data = item(data)
            fields[name], data = item(data)
        return fields, data
    if major == 6:
        assert number == 1
        value, data = item(data)
        return Milliseconds(value), data
    raise ValueError(major)


def call(server, operation, **members):
    answer = raw.exchange(server, raw.request(
        "POST", "/", encode(members), Authorization=raw.scope("kinesis"), Content_Type="application/x-amz-cbor-1.1",
        X_Amz_Target=f"Kinesis_20131202.{operation}"))
    assert answer.headers["content-type"] == "application/x-amz-cbor-1.1", answer
    return answer.status, decode(answer.body) if answer.body else {}


def test_cbor_as_javas_sdks_speak_it(server, unique):
    name = unique("cbor")
    assert call(server, "CreateStream", StreamName=name, ShardCount=1) == (200, {})
    data = bytes(range(256)) * 10
    status, put = call(server, "PutRecords", StreamName=name, Records=[{"PartitionKey": "k", "Data": data}])
    assert status == 200 and put["FailedRecordCount"] == 0
    status, found = call(server, "GetShardIterator", StreamName=name, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")
    status, got = call(server, "GetRecords", ShardIterator=found["ShardIterator"])
    (record,) = got["Records"]
    assert record["Data"] == data
    assert record["SequenceNumber"] == put["Records"][0]["SequenceNumber"]
    arrival = record["ApproximateArrivalTimestamp"].number
    assert arrival > 1_700_000_000_000, "milliseconds"
    status, found = call(
        server, "GetShardIterator", StreamName=name, ShardId=FIRST, ShardIteratorType="AT_TIMESTAMP",
        Timestamp=Milliseconds(arrival))
    assert status == 200
    assert len(call(server, "GetRecords", ShardIterator=found["ShardIterator"])[1]["Records"]) == 1
    status, error = call(server, "DescribeStream", StreamName=name + "-not")
    assert status == 400 and error["__type"].endswith("ResourceNotFoundException")
    assert error["message"].endswith("not found.")


def test_hostile_bodies_are_refused(server, unique):
    name = unique("hostile")
    server.client("kinesis").create_stream(StreamName=name, ShardCount=1)
    bodies = [
        b"\xff", b"\xbf", b"\x9b" + b"\xff" * 8, b"\x81" * 5000, b"\x5b" + b"\x7f" + b"\xff" * 7,
        encode({"StreamName": name, "Records": []}),
        encode({"StreamName": name, "Records": [{"PartitionKey": "", "Data": b"x"}]}),
        encode({"StreamName": name, "Records": [{"PartitionKey": "k", "Data": "text"}]}),
        encode({"StreamName": name, "Records": {"PartitionKey": "k"}}),
    ]
    for body in bodies:
        answer = raw.exchange(server, raw.request(
            "POST", "/", body, Authorization=raw.scope("kinesis"), Content_Type="application/x-amz-cbor-1.1",
            X_Amz_Target="Kinesis_20131202.PutRecords"))
        assert answer.status == 400, (body[:40], answer)
    for members in (
        {"StreamName": name, "Records": [{"PartitionKey": "k", "Data": "!!"}]},
        {"StreamName": name, "Records": [{"PartitionKey": "k"}]},
        {"StreamName": name, "Records": [{"PartitionKey": "k", "Data": "eA==", "ExplicitHashKey": "-1"}]},
        {"StreamName": name, "Records": [{"PartitionKey": "k" * 257, "Data": "eA=="}]},
        {"StreamName": name, "Records": [{"PartitionKey": "k", "Data": "eA=="}] * 501},
        {"Records": [{"PartitionKey": "k", "Data": "eA=="}]},
        {"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/", "Records": [{"PartitionKey": "k", "Data": "eA=="}]},
    ):
        answer = raw.exchange(server, raw.request(
            "POST", "/", json.dumps(members).encode(), Authorization=raw.scope("kinesis"),
            Content_Type="application/x-amz-json-1.1", X_Amz_Target="Kinesis_20131202.PutRecords"))
        assert answer.status == 400, (members, answer)
    assert server.is_healthy()
