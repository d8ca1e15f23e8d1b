"""Kinesis Data Streams with boto3 and the AWS CLI: streams, records, iterators, shards, consumers, settings."""

import collections
import datetime
import json
import re
import threading
import time

import pytest

from .expect import assert_not_implemented, aws_error
from .harness import ACCOUNT, REGION, wait_for

FIRST = "shardId-000000000000"
TOP = 2**128


@pytest.fixture
def kinesis(client):
    return client("kinesis")


@pytest.fixture
def make_stream(kinesis, unique):
    made = []

    def make(shards=1, **parameters):
        name = unique("stream")
        if "StreamModeDetails" not in parameters:
            parameters["ShardCount"] = shards
        kinesis.create_stream(StreamName=name, **parameters)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        made.append(name)
        return name

    yield make
    for name in made:
        try:
            kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
        except kinesis.exceptions.ResourceNotFoundException:
            pass


def arn(name):
    return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"


def read_all(kinesis, name, shard, start="TRIM_HORIZON", **parameters):
    """Records from there to the tip or the shard's end; and the last answer."""
    iterator = kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard, ShardIteratorType=start, **parameters)["ShardIterator"]
    records = []
    while True:
        answer = kinesis.get_records(ShardIterator=iterator)
        records += answer["Records"]
        iterator = answer.get("NextShardIterator")
        if iterator is None or (answer["MillisBehindLatest"] == 0 and not answer["Records"]):
            return records, answer


def shards_of(kinesis, name, **parameters):
    return kinesis.list_shards(StreamName=name, **parameters)["Shards"]


def test_a_streams_life(kinesis, make_stream):
    name = make_stream(2, Tags={"team": "blue"})
    description = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert description["StreamARN"] == arn(name)
    assert description["StreamStatus"] == "ACTIVE"
    assert description["RetentionPeriodHours"] == 24
    assert description["EncryptionType"] == "NONE"
    assert description["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert [shard["HashKeyRange"] for shard in description["Shards"]] == [
        {"StartingHashKey": "0", "EndingHashKey": str(TOP // 2 - 1)},
        {"StartingHashKey": str(TOP // 2), "EndingHashKey": str(TOP - 1)}]
    summary = kinesis.describe_stream_summary(StreamARN=arn(name))["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["ConsumerCount"]) == (2, 0)
    names = [one for page in kinesis.get_paginator("list_streams").paginate(Limit=1) for one in page["StreamNames"]]
    assert name in names
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == [{"Key": "team", "Value": "blue"}]
    with aws_error("ResourceInUseException", f"Stream {name} under account {ACCOUNT} already exists."):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.delete_stream(StreamName=name)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    with aws_error("ResourceNotFoundException", f"Stream {name} under account {ACCOUNT} not found."):
        kinesis.describe_stream(StreamName=name)
    with aws_error("ResourceNotFoundException"):
        kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"x")


def test_records_in_order_with_their_keys(kinesis, make_stream):
    name = make_stream(3)
    before = datetime.datetime.now(datetime.timezone.utc)
    sent = collections.defaultdict(list)
    for start in range(0, 600, 100):
        answer = kinesis.put_records(StreamName=name, Records=[
            {"PartitionKey": f"key-{i % 17}", "Data": f"{i}".encode()} for i in range(start, start + 100)])
        assert answer["FailedRecordCount"] == 0
        for i, record in zip(range(start, start + 100), answer["Records"]):
            assert re.fullmatch(r"49\d{54}", record["SequenceNumber"])
            sent[record["ShardId"]].append((record["SequenceNumber"], str(i)))
    one = kinesis.put_record(StreamName=name, PartitionKey="é" * 256, Data=b"\x00\xff" * 1000)
    sent[one["ShardId"]].append((one["SequenceNumber"], None))
    assert len(sent) == 3
    keys = collections.defaultdict(set)
    for shard, wanted in sent.items():
        records, answer = read_all(kinesis, name, shard)
        assert answer["MillisBehindLatest"] == 0
        assert [record["SequenceNumber"] for record in records] == [number for number, _ in wanted]
        assert all(a < b for a, b in zip(map(int, (n for n, _ in wanted)), map(int, (n for n, _ in wanted[1:]))))
        for record, (_, text) in zip(records, wanted):
            keys[record["PartitionKey"]].add(shard)
            assert record["Data"] == (text.encode() if text else b"\x00\xff" * 1000)
            lag = (record["ApproximateArrivalTimestamp"] - before).total_seconds()
            assert -1 < lag < 120
    assert all(len(where) == 1 for where in keys.values())


def test_iterators_of_every_type(kinesis, make_stream):
    name = make_stream()
    latest = kinesis.get_shard_iterator(StreamName=name, ShardId=FIRST, ShardIteratorType="LATEST")["ShardIterator"]
    numbers = []
    for i in range(6):
        numbers.append(kinesis.put_record(StreamName=name, PartitionKey="k", Data=str(i).encode())["SequenceNumber"])
        time.sleep(0.003)
    data = lambda records: b"".join(record["Data"] for record in records)
    assert data(kinesis.get_records(ShardIterator=latest, StreamARN=arn(name))["Records"]) == b"012345"
    assert data(read_all(kinesis, name, FIRST)[0]) == b"012345"
    assert data(read_all(kinesis, name, FIRST, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2])[0]) == b"2345"
    assert data(read_all(kinesis, name, FIRST, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2])[0]) == b"345"
    arrivals = [record["ApproximateArrivalTimestamp"] for record in read_all(kinesis, name, FIRST)[0]]
    assert data(read_all(kinesis, name, FIRST, "AT_TIMESTAMP", Timestamp=arrivals[4])[0]) == b"45"
    old = datetime.datetime(2001, 1, 1)
    assert data(read_all(kinesis, name, FIRST, "AT_TIMESTAMP", Timestamp=old)[0]) == b"012345"
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")
    answer = kinesis.get_records(ShardIterator=iterator["ShardIterator"], Limit=2)
    assert data(answer["Records"]) == b"01" and answer["MillisBehindLatest"] >= 0
    start = kinesis.describe_stream(StreamName=name)["StreamDescription"]["Shards"][0]["SequenceNumberRange"]
    assert data(read_all(
        kinesis, name, FIRST, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=start["StartingSequenceNumber"])[0]) == b"012345"

    with aws_error("InvalidArgumentException", "Invalid ShardIterator."):
        kinesis.get_records(ShardIterator=answer["NextShardIterator"][:-6] + "AAAAAA")
    with aws_error("InvalidArgumentException", "Invalid ShardIterator."):
        kinesis.get_records(ShardIterator="nonsense")
    with aws_error("ResourceNotFoundException", f"Shard shardId-000000000007 in stream {name} under account {ACCOUNT} "
                   "does not exist"):
        kinesis.get_shard_iterator(StreamName=name, ShardId="shardId-000000000007", ShardIteratorType="LATEST")
    with aws_error("InvalidArgumentException", re.compile("AFTER_SEQUENCE_NUMBER and no StartingSequenceNumber")):
        kinesis.get_shard_iterator(StreamName=name, ShardId=FIRST, ShardIteratorType="AFTER_SEQUENCE_NUMBER")
    with aws_error("InvalidArgumentException", re.compile("timestampInMillis parameter cannot be greater")):
        kinesis.get_shard_iterator(
            StreamName=name, ShardId=FIRST, ShardIteratorType="AT_TIMESTAMP", Timestamp=datetime.datetime(2222, 1, 1))
    with aws_error("InvalidArgumentException", re.compile("is invalid")):
        kinesis.get_shard_iterator(
            StreamName=name, ShardId=FIRST, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber="123")


def test_explicit_hash_keys_and_large_records(kinesis, make_stream):
    name = make_stream(2)
    where = [kinesis.put_record(StreamName=name, PartitionKey="same", ExplicitHashKey=str(key), Data=b"x")["ShardId"]
             for key in (0, TOP // 2 - 1, TOP // 2, TOP - 1)]
    assert where == [FIRST, FIRST, "shardId-000000000001", "shardId-000000000001"]
    with aws_error("InvalidArgumentException", re.compile(r"must be in the range: \[0, 2\^128-1\]")):
        kinesis.put_record(StreamName=name, PartitionKey="k", ExplicitHashKey=str(TOP), Data=b"x")
    largest = bytes(range(256)) * 4096
    kinesis.put_record(StreamName=name, PartitionKey="k", ExplicitHashKey="0", Data=largest[:-1])
    assert read_all(kinesis, name, FIRST)[0][-1]["Data"] == largest[:-1]
    with aws_error("ValidationException", re.compile("'data' failed to satisfy constraint.*1048576")):
        kinesis.put_record(StreamName=name, PartitionKey="k", Data=largest)
    kinesis.update_max_record_size(StreamARN=arn(name), MaxRecordSizeInKiB=2048)
    number = kinesis.put_record(StreamName=name, PartitionKey="k", ExplicitHashKey="0", Data=largest + b"!")
    records, _ = read_all(
        kinesis, name, FIRST, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number["SequenceNumber"])
    assert records[0]["Data"] == largest + b"!"


def test_a_large_backlog_comes_in_pages(kinesis, make_stream):
    name = make_stream()
    for _ in range(6):
        kinesis.put_records(StreamName=name, Records=[
            {"PartitionKey": str(i), "Data": bytes(500_000)} for i in range(5)])
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")
    answer = kinesis.get_records(ShardIterator=iterator["ShardIterator"])
    assert 10 <= len(answer["Records"]) <= 20, "10 MB at a time"
    assert len(read_all(kinesis, name, FIRST)[0]) == 30


def test_splitting_and_merging(kinesis, make_stream):
    name = make_stream()
    half = TOP // 2
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"before")
    kinesis.split_shard(StreamName=name, ShardToSplit=FIRST, NewStartingHashKey=str(half))
    for key in (0, half):
        kinesis.put_record(StreamName=name, PartitionKey="k", ExplicitHashKey=str(key), Data=b"split")
    records, end = read_all(kinesis, name, FIRST)
    assert [record["Data"] for record in records] == [b"before"]
    assert "NextShardIterator" not in end
    assert [(child["ShardId"], child["ParentShards"]) for child in end["ChildShards"]] == [
        ("shardId-000000000001", [FIRST]), ("shardId-000000000002", [FIRST])]
    kinesis.merge_shards(
        StreamName=name, ShardToMerge="shardId-000000000002", AdjacentShardToMerge="shardId-000000000001")
    merged = shards_of(kinesis, name)[3]
    assert merged["ParentShardId"] == "shardId-000000000002"
    assert merged["AdjacentParentShardId"] == "shardId-000000000001"
    assert merged["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(TOP - 1)}
    assert "EndingSequenceNumber" not in merged["SequenceNumberRange"]
    parents = shards_of(kinesis, name)[:3]
    assert all(int(one["SequenceNumberRange"]["EndingSequenceNumber"])
               < int(merged["SequenceNumberRange"]["StartingSequenceNumber"]) for one in parents)
    assert [one["ShardId"] for one in shards_of(kinesis, name, ShardFilter={"Type": "AT_LATEST"})] == [merged["ShardId"]]
    assert len(shards_of(kinesis, name, ShardFilter={"Type": "FROM_TRIM_HORIZON"})) == 4
    assert [one["ShardId"] for one in shards_of(kinesis, name, ShardFilter={"Type": "AT_TRIM_HORIZON"})] == [FIRST]
    assert len(shards_of(
        kinesis, name, ShardFilter={"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"})) == 2
    first = kinesis.list_shards(StreamName=name, MaxResults=3)
    rest = kinesis.list_shards(NextToken=first["NextToken"])
    assert [one["ShardId"][-1] for one in first["Shards"] + rest["Shards"]] == ["0", "1", "2", "3"]
    with aws_error("InvalidArgumentException", "NextToken and StreamName cannot be provided together."):
        kinesis.list_shards(StreamName=name, NextToken=first["NextToken"])
    with aws_error("InvalidArgumentException", re.compile("has already been merged or split")):
        kinesis.split_shard(StreamName=name, ShardToSplit=FIRST, NewStartingHashKey="100")
    with aws_error("ResourceNotFoundException", re.compile("Could not find shard shardId-000000000099")):
        kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000099", NewStartingHashKey="1")
    with aws_error("InvalidArgumentException", re.compile("is not both greater than one plus")):
        kinesis.split_shard(StreamName=name, ShardToSplit=merged["ShardId"], NewStartingHashKey="1")
    kinesis.split_shard(StreamName=name, ShardToSplit=merged["ShardId"], NewStartingHashKey=str(half))
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000005", NewStartingHashKey=str(half + half // 2))
    with aws_error("InvalidArgumentException", re.compile("are not an adjacent pair of shards eligible for merging")):
        kinesis.merge_shards(
            StreamName=name, ShardToMerge="shardId-000000000004", AdjacentShardToMerge="shardId-000000000007")


def test_shard_counts(kinesis, make_stream):
    name = make_stream(3)
    answer = kinesis.update_shard_count(StreamName=name, TargetShardCount=5, ScalingType="UNIFORM_SCALING")
    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (3, 5)
    open_shards = shards_of(kinesis, name, ShardFilter={"Type": "AT_LATEST"})
    starts = sorted(int(one["HashKeyRange"]["StartingHashKey"]) for one in open_shards)
    assert starts == [i * (TOP // 5) for i in range(5)]
    for target in (11, 2):
        with aws_error("InvalidArgumentException", re.compile(
                f"Current open shard count: 5 Target shard count: {target}")):
            kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
    with aws_error("LimitExceededException"):
        kinesis.update_shard_count(StreamName=name, TargetShardCount=1_000_000_000, ScalingType="UNIFORM_SCALING")
    with aws_error("LimitExceededException", re.compile("would exceed the shard limit for the account")):
        kinesis.create_stream(StreamName=name + "-x", ShardCount=2**31 - 1)
    limits = kinesis.describe_limits()
    assert limits["OpenShardCount"] >= 5 and limits["ShardLimit"] > 5


def test_resharding_under_load(kinesis, server, make_stream):
    """Writers go on while shards split and merge: nothing lost, and each key in order along the lineage."""
    name = make_stream(2)
    stop = threading.Event()
    sent, problems = collections.defaultdict(list), []

    def write(writer):
        client = server.client("kinesis", user_agent_extra=f"writer/{writer}")
        number = 0
        while not stop.is_set() or number < 20:
            answer = client.put_records(StreamName=name, Records=[
                {"PartitionKey": f"{writer}-{i}", "Data": f"{number + i // 10}".encode()} for i in range(20)])
            problems.extend(record for record in answer["Records"] if "ErrorCode" in record)
            for i in range(20):
                sent[f"{writer}-{i}"].append(f"{number + i // 10}")
            number += 20

    threads = [threading.Thread(target=write, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for target in (4, 3, 5, 3, 2, 4):
        kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems
    got = collections.defaultdict(list)
    done = set()
    shards = {shard["ShardId"]: shard for shard in shards_of(kinesis, name)}
    while len(done) < len(shards):
        for shard in shards.values():
            parents = {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} - {None}
            if shard["ShardId"] in done or not parents <= done:
                continue
            records, end = read_all(kinesis, name, shard["ShardId"])
            assert ("NextShardIterator" in end) == ("EndingSequenceNumber" not in shard["SequenceNumberRange"])
            for record in records:
                got[record["PartitionKey"]].append(record["Data"].decode())
            done.add(shard["ShardId"])
    assert got == sent


def test_settings(kinesis, make_stream):
    name = make_stream()
    kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    with aws_error("InvalidArgumentException", re.compile("can not be shorter than existing retention period")):
        kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=25)
    with aws_error("InvalidArgumentException", re.compile("too long")):
        kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=8761)
    with aws_error("InvalidArgumentException", re.compile("can not be longer than existing retention period")):
        kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=72)
    kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=24)
    with aws_error("InvalidArgumentException", re.compile("too short")):
        kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=23)
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    put = kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"x")
    assert put["EncryptionType"] == "KMS"
    assert read_all(kinesis, name, FIRST)[0][0]["EncryptionType"] == "KMS"
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert (summary["EncryptionType"], summary["KeyId"]) == ("KMS", "alias/aws/kinesis")
    kinesis.stop_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    answer = kinesis.enable_enhanced_monitoring(
        StreamName=name, ShardLevelMetrics=["OutgoingBytes", "IncomingBytes"])
    assert answer["CurrentShardLevelMetrics"] == []
    assert set(answer["DesiredShardLevelMetrics"]) == {"IncomingBytes", "OutgoingBytes"}
    answer = kinesis.disable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=["OutgoingBytes"])
    assert answer["DesiredShardLevelMetrics"] == ["IncomingBytes"]
    kinesis.update_stream_mode(StreamARN=arn(name), StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert summary["EncryptionType"] == "NONE"
    with aws_error("ValidationException", re.compile("On-Demand mode")):
        kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    demand = make_stream(StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert len(shards_of(kinesis, demand)) == 4


def test_tags_by_both_apis(kinesis, make_stream):
    name = make_stream()
    kinesis.add_tags_to_stream(StreamName=name, Tags={"a": "1", "b": "2"})
    kinesis.tag_resource(ResourceARN=arn(name), Tags={"c": "3", "a": "4"})
    kinesis.untag_resource(ResourceARN=arn(name), TagKeys=["b"])
    wanted = [{"Key": "a", "Value": "4"}, {"Key": "c", "Value": "3"}]
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == wanted
    assert kinesis.list_tags_for_resource(ResourceARN=arn(name))["Tags"] == wanted
    page = kinesis.list_tags_for_stream(StreamName=name, Limit=1)
    assert page["HasMoreTags"] is True
    assert kinesis.list_tags_for_stream(StreamName=name, ExclusiveStartTagKey="a")["Tags"] == wanted[1:]
    kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["a", "c"])
    assert kinesis.list_tags_for_stream(StreamName=name)["Tags"] == []
    with aws_error("InvalidArgumentException", re.compile("more than 50 tags")):
        kinesis.tag_resource(ResourceARN=arn(name), Tags={f"k{i}": "" for i in range(51)})


def test_policies_let_other_accounts_in(kinesis, client, make_stream):
    name = make_stream()
    other = client("kinesis", account="111122223333")
    with aws_error("AccessDeniedException", re.compile("is not authorized to perform: kinesis:PutRecord")):
        other.put_record(StreamARN=arn(name), PartitionKey="k", Data=b"x")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kinesis:Put*", "Resource": arn(name)}]})
    kinesis.put_resource_policy(ResourceARN=arn(name), Policy=policy)
    assert kinesis.get_resource_policy(ResourceARN=arn(name))["Policy"] == policy
    other.put_record(StreamARN=arn(name), PartitionKey="k", Data=b"x")
    kinesis.delete_resource_policy(ResourceARN=arn(name))
    with aws_error("AccessDeniedException"):
        other.put_record(StreamARN=arn(name), PartitionKey="k", Data=b"x")
    with aws_error("ResourceNotFoundException"):
        other.put_record(StreamName=name, PartitionKey="k", Data=b"x")


def test_consumers(kinesis, make_stream):
    name = make_stream()
    made = kinesis.register_stream_consumer(StreamARN=arn(name), ConsumerName="c")["Consumer"]
    assert re.fullmatch(re.escape(arn(name)) + r"/consumer/c:\d+", made["ConsumerARN"])
    with aws_error("ResourceInUseException"):
        kinesis.register_stream_consumer(StreamARN=arn(name), ConsumerName="c")
    described = kinesis.describe_stream_consumer(StreamARN=arn(name), ConsumerName="c")["ConsumerDescription"]
    assert described["ConsumerStatus"] == "ACTIVE" and described["StreamARN"] == arn(name)
    for i in range(19):
        kinesis.register_stream_consumer(StreamARN=arn(name), ConsumerName=f"x{i}")
    with aws_error("LimitExceededException"):
        kinesis.register_stream_consumer(StreamARN=arn(name), ConsumerName="one-more")
    pages = kinesis.get_paginator("list_stream_consumers").paginate(
        StreamARN=arn(name), PaginationConfig={"PageSize": 7})
    assert sum(len(page["Consumers"]) for page in pages) == 20
    with aws_error("ResourceInUseException"):
        kinesis.delete_stream(StreamName=name)
    kinesis.deregister_stream_consumer(ConsumerARN=made["ConsumerARN"])
    with aws_error("ResourceNotFoundException"):
        kinesis.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])


def test_a_subscription_is_pushed_to(kinesis, server, make_stream):
    name = make_stream()
    consumer = kinesis.register_stream_consumer(StreamARN=arn(name), ConsumerName="c")["Consumer"]["ConsumerARN"]
    kinesis.put_record(StreamName=name, PartitionKey="k", Data=b"0")
    events = kinesis.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=FIRST, StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
    with aws_error("ResourceInUseException"):
        server.client("kinesis", user_agent_extra="second").subscribe_to_shard(
            ConsumerARN=consumer, ShardId=FIRST, StartingPosition={"Type": "LATEST"})
    got, continuations, children = [], [], None
    writer = server.client("kinesis", user_agent_extra="writer")
    for event in events:
        event = event["SubscribeToShardEvent"]
        got += [record["Data"].decode() for record in event["Records"]]
        if "ChildShards" in event:
            children = [child["ShardId"] for child in event["ChildShards"]]
            continue
        continuations.append(event["ContinuationSequenceNumber"])
        if len(got) < 5:
            writer.put_record(StreamName=name, PartitionKey="k", Data=str(len(got)).encode())
        elif len(got) == 5:
            writer.split_shard(StreamName=name, ShardToSplit=FIRST, NewStartingHashKey=str(TOP // 2))
    assert got == ["0", "1", "2", "3", "4"]
    assert children == ["shardId-000000000001", "shardId-000000000002"]
    assert continuations == sorted(continuations, key=int)
    # Where it ended, the next one goes on.
    again = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=FIRST, StartingPosition={
        "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": continuations[1]})["EventStream"]
    first = next(iter(again))["SubscribeToShardEvent"]
    assert [record["Data"] for record in first["Records"]] == [b"2", b"3", b"4"]


def test_the_command_line(aws, unique):
    name = unique("cli")
    aws("kinesis", "create-stream", "--stream-name", name, "--shard-count", 1)
    put = aws("kinesis", "put-record", "--stream-name", name, "--partition-key", "k", "--data", "aGVsbG8=").json
    assert put["ShardId"] == FIRST
    iterator = aws("kinesis", "get-shard-iterator", "--stream-name", name, "--shard-id", FIRST,
                   "--shard-iterator-type", "TRIM_HORIZON", "--query", "ShardIterator", "--output", "text").text.strip()
    records = aws("kinesis", "get-records", "--shard-iterator", iterator).json["Records"]
    assert [record["Data"] for record in records] == ["aGVsbG8="]
    aws("kinesis", "update-shard-count", "--stream-name", name, "--target-shard-count", 2,
        "--scaling-type", "UNIFORM_SCALING")
    assert len(aws("kinesis", "list-shards", "--stream-name", name).json["Shards"]) == 3


def test_what_is_missing_says_so(kinesis):
    assert_not_implemented(lambda: kinesis.describe_account_settings(), "DescribeAccountSettings")
    assert_not_implemented(lambda: kinesis.list_queues(), "ListQueues")
    assert_not_implemented(lambda: kinesis.list_channels(), "ListChannels")


def test_throughput_limits(make_server):
    server = make_server("--kinesis-limits", "on")
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    failed = 0
    for _ in range(8):
        answer = kinesis.put_records(StreamName="s", Records=[
            {"PartitionKey": str(i), "Data": bytes(8_000)} for i in range(400)])
        failed += answer["FailedRecordCount"]
        errors = {record.get("ErrorCode") for record in answer["Records"]} - {None}
        assert errors <= {"ProvisionedThroughputExceededException"}
    # 25 MB: 1 MB a second passes.
    assert failed > 0
    iterator = kinesis.get_shard_iterator(StreamName="s", ShardId=FIRST, ShardIteratorType="LATEST")["ShardIterator"]

    def is_refused():
        try:
            kinesis.get_records(ShardIterator=iterator)
        except kinesis.exceptions.ProvisionedThroughputExceededException:
            return True

    wait_for(is_refused, interval_s=0)
