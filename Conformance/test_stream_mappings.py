"""Event source mappings with Kinesis and DynamoDB streams: real functions, real streams."""

import json

import pytest
from botocore.exceptions import ClientError

from .harness import wait_for
from .stream_helpers import (  # noqa: F401 (fixtures)
    PRINT, bodies, data, get, make_destination, make_stream, make_stream_mapping, seen,
)

DUMP = """
    import json

    def handler(event, context):
        print("EVENT", json.dumps(event))
"""


def events(function):
    return [json.loads(line[6:]) for line in function.log_messages() if line.startswith("EVENT ")]


def test_kinesis_record(client, fast_function, make_stream, make_stream_mapping):
    function = fast_function(DUMP)
    stream = make_stream()
    made = make_stream_mapping(function, stream, StartingPosition="LATEST")
    assert made["State"] == "Creating"
    assert made["StateTransitionReason"] == "User action"
    assert made["LastProcessingResult"] == "No records processed"
    assert made["DestinationConfig"] == {"OnFailure": {}}
    assert (made["BatchSize"], made["MaximumRetryAttempts"], made["MaximumRecordAgeInSeconds"]) == (100, -1, -1)
    assert (made["ParallelizationFactor"], made["TumblingWindowInSeconds"]) == (1, 0)
    assert made["BisectBatchOnFunctionError"] is False
    [sequence] = stream.put(b"\x00\xffhello", key="the key")
    wait_for(lambda: events(function))
    [record] = events(function)[0]["Records"]
    assert list(record) == [
        "kinesis", "eventSource", "eventVersion", "eventID", "eventName", "invokeIdentityArn", "awsRegion",
        "eventSourceARN",
    ]
    assert list(record["kinesis"]) == [
        "kinesisSchemaVersion", "partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp",
    ]
    assert record["kinesis"]["data"] == "AP9oZWxsbw=="
    assert record["kinesis"]["partitionKey"] == "the key"
    assert record["kinesis"]["sequenceNumber"] == sequence
    assert record["eventID"] == f"shardId-000000000000:{sequence}"
    assert record["eventSourceARN"] == stream.arn
    wait_for(lambda: get(client("lambda"), made)["LastProcessingResult"] == "OK")


def test_dynamodb_records(client, fast_function, make_stream_mapping, unique):
    function = fast_function(DUMP)
    tables = client("dynamodb")
    name = unique("table")
    made = tables.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})["TableDescription"]
    tables.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    make_stream_mapping(
        function, made["LatestStreamArn"], FilterCriteria={
            "Filters": [{"Pattern": json.dumps({"dynamodb": {"Keys": {"id": {"S": ["a"]}}}})}]})
    for key in ("a", "b"):
        tables.put_item(TableName=name, Item={"id": {"S": key}, "n": {"N": "1"}, "b": {"B": b"\x01"}})
        tables.put_item(TableName=name, Item={"id": {"S": key}, "n": {"N": "2"}})
        tables.delete_item(TableName=name, Key={"id": {"S": key}})

    def records():
        return [record for event in events(function) for record in event["Records"]]

    wait_for(lambda: len(records()) >= 3)
    found = records()
    assert [record["eventName"] for record in found] == ["INSERT", "MODIFY", "REMOVE"]
    first = found[0]
    assert list(first) == [
        "eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb", "eventSourceARN"]
    assert first["eventSource"] == "aws:dynamodb"
    assert first["eventVersion"] == "1.1"
    assert first["dynamodb"]["Keys"] == {"id": {"S": "a"}}
    assert first["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "n": {"N": "1"}, "b": {"B": "AQ=="}}
    assert first["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert first["eventSourceARN"] == made["LatestStreamArn"]
    assert found[1]["dynamodb"]["OldImage"]["n"] == {"N": "1"}


def test_order_batches_and_filters(fast_function, make_stream, make_stream_mapping):
    function = fast_function(PRINT)
    stream = make_stream()
    expected = [json.dumps({"n": number, "odd": number % 2}) for number in range(250)]
    stream.put(*expected)
    make_stream_mapping(
        function, stream, BatchSize=40, FilterCriteria={"Filters": [{"Pattern": '{"data": {"odd": [1]}}'}]})
    wait_for(lambda: len(seen(function)) >= 125)
    assert data(function) == expected[1::2]


def test_given_up_records_and_bisect(client, fast_function, make_stream, make_stream_mapping, unique):
    function = fast_function("""
        import base64

        def handler(event, context):
            found = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
            if "bad" in found:
                raise ValueError("bad")
            for one in found:
                print("SEEN - " + one)
    """)
    stream = make_stream()
    url, arn = make_destination(client, unique)
    sequences = stream.put("0", "1", "2", "bad", "4", "5")
    mapping = make_stream_mapping(
        function, stream, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn}})
    [body] = bodies(client, url, 1)
    assert list(body) == ["requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo"]
    assert body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert body["requestContext"]["approximateInvokeCount"] == 2
    assert body["requestContext"]["functionArn"] == mapping["FunctionArn"]
    assert body["responseContext"] == {
        "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    info = body["KinesisBatchInfo"]
    assert info["startSequenceNumber"] == info["endSequenceNumber"] == sequences[3]
    assert info["batchSize"] == 1
    assert info["shardId"] == "shardId-000000000000"
    assert info["streamArn"] == stream.arn
    wait_for(lambda: len(seen(function)) >= 5)
    assert data(function) == ["0", "1", "2", "4", "5"]


def test_record_to_a_bucket(client, fast_function, make_stream, make_stream_mapping, unique):
    function = fast_function("def handler(event, context): raise ValueError('no')")
    stream = make_stream()
    bucket = unique("failed")
    s3 = client("s3")
    s3.create_bucket(Bucket=bucket)
    stream.put("a", "b")
    mapping = make_stream_mapping(
        function, stream, MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}})
    wait_for(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))
    [found] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert found["Key"].startswith(f"aws/lambda/{mapping['UUID']}/shardId-000000000000/2")
    body = json.loads(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
    assert len(json.loads(body["payload"])["Records"]) == body["KinesisBatchInfo"]["batchSize"] == 2


def test_partial_answers(fast_function, make_stream, make_stream_mapping):
    function = fast_function("""
        import base64
        tries = {}

        def handler(event, context):
            for record in event["Records"]:
                one = base64.b64decode(record["kinesis"]["data"]).decode()
                tries[one] = tries.get(one, 0) + 1
                if one == "3" and tries[one] < 3:
                    return {"batchItemFailures": [{"itemIdentifier": record["kinesis"]["sequenceNumber"]}]}
                print("SEEN - " + one)
    """)
    stream = make_stream()
    stream.put(*range(6))
    make_stream_mapping(function, stream, FunctionResponseTypes=["ReportBatchItemFailures"])
    wait_for(lambda: len(seen(function)) >= 6)
    assert data(function) == ["0", "1", "2", "3", "4", "5"]


def test_windows(fast_function, make_stream, make_stream_mapping):
    function = fast_function("""
        import json

        def handler(event, context):
            state = event["state"]
            state["n"] = state.get("n", 0) + len(event["Records"])
            kept = {key: event[key] for key in ("isFinalInvokeForWindow", "isWindowTerminatedEarly", "window", "shardId")}
            print("EVENT", json.dumps({**kept, "n": state["n"], "records": len(event["Records"])}))
            return {"state": {} if event["isFinalInvokeForWindow"] else state}
    """)
    stream = make_stream()
    make_stream_mapping(function, stream, TumblingWindowInSeconds=2, BatchSize=3)
    stream.put(*range(7))
    wait_for(lambda: sum(event["n"] for event in events(function) if event["isFinalInvokeForWindow"]) >= 7)
    found = events(function)
    assert sum(event["records"] for event in found) == 7
    for event in found:
        if event["isFinalInvokeForWindow"]:
            assert event["records"] == 0
            assert event["isWindowTerminatedEarly"] is False


def test_resharding_keeps_order(fast_function, make_stream, make_stream_mapping):
    function = fast_function(PRINT)
    stream = make_stream(shards=2)
    make_stream_mapping(function, stream, ParallelizationFactor=3)
    keys = [f"k{number}" for number in range(20)]
    for turn in range(12):
        for key in keys:
            stream.put(f"{key}:{turn}", key=key)
        if turn == 3:
            stream.kinesis.update_shard_count(
                StreamName=stream.name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
            wait_for(lambda: stream.summary()["StreamStatus"] == "ACTIVE")
        if turn == 8:
            stream.kinesis.update_shard_count(
                StreamName=stream.name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
            wait_for(lambda: stream.summary()["StreamStatus"] == "ACTIVE")
    everything = {f"{key}:{turn}" for key in keys for turn in range(12)}
    wait_for(lambda: set(data(function)) == everything, seconds=60)


def test_disabled_updated_and_deleted(client, fast_function, make_stream, make_stream_mapping):
    function = fast_function(PRINT)
    stream = make_stream()
    lambda_ = client("lambda")
    mapping = make_stream_mapping(function, stream)
    stream.put("1")
    wait_for(lambda: data(function) == ["1"])
    answer = lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    assert answer["State"] == "Disabling"
    wait_for(lambda: get(lambda_, mapping)["State"] == "Disabled")
    stream.put("2", "3")
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True, BatchSize=1, MaximumRetryAttempts=5)
    wait_for(lambda: data(function) == ["1", "2", "3"])
    assert get(lambda_, mapping)["MaximumRetryAttempts"] == 5
    stream.kinesis.delete_stream(StreamName=stream.name)
    wait_for(lambda: "PROBLEM" in get(lambda_, mapping)["LastProcessingResult"])
    lambda_.delete_event_source_mapping(UUID=mapping["UUID"])

    def is_gone():
        try:
            get(lambda_, mapping)
            return False
        except ClientError as error:
            return error.response["Error"]["Code"] == "ResourceNotFoundException"

    wait_for(is_gone)


def test_consumer(client, fast_function, make_stream, make_stream_mapping):
    function = fast_function(PRINT)
    stream = make_stream()
    consumer = stream.kinesis.register_stream_consumer(StreamARN=stream.arn, ConsumerName="c")["Consumer"]
    wait_for(
        lambda: stream.kinesis.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])["ConsumerDescription"][
            "ConsumerStatus"] == "ACTIVE")
    make_stream_mapping(function, consumer["ConsumerARN"])
    stream.put("1", "2")
    wait_for(lambda: data(function) == ["1", "2"])


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"StartingPosition": None}, "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
         "constraint: Member must not be null."),
        ({"ScalingConfig": {"MaximumConcurrency": 2}},
         "Unsupported 'scalingConfig' parameter for given event source mapping type."),
        ({"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}},
         "Unsupported DestinationConfig parameter for given event source mapping type."),
        ({"EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/none"},
         "Stream not found: arn:aws:kinesis:us-east-1:000000000000:stream/none"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "Invalid filter pattern definition."),
    ])
def test_refusals(client, make_stream, refusal_function, parameters, message):
    stream = make_stream()
    request = {
        "FunctionName": refusal_function, "EventSourceArn": stream.arn, "StartingPosition": "LATEST", **parameters}
    with pytest.raises(ClientError) as caught:
        client("lambda").create_event_source_mapping(**{k: v for k, v in request.items() if v is not None})
    assert caught.value.response["Error"] == {"Code": "InvalidParameterValueException", "Message": message}


@pytest.fixture
def refusal_function(make_function):
    return make_function("def handler(event, context): pass").name


def test_duplicate(client, fast_function, make_stream, make_stream_mapping):
    function = fast_function(PRINT)
    stream = make_stream()
    mapping = make_stream_mapping(function, stream)
    with pytest.raises(ClientError) as caught:
        make_stream_mapping(function, stream)
    assert caught.value.response["Error"]["Message"] == (
        f'The event source arn (" {stream.arn} ") and function (" {function.name} ") provided mapping already exists. '
        f"Please update or delete the existing mapping with UUID {mapping['UUID']}")
