"""aws-lambda-powertools' batch processing of streams in a deployed function."""

import json

from .harness import wait_for
from .stream_helpers import bodies, data, make_destination, make_stream, make_stream_mapping  # noqa: F401 (fixtures)
from .test_sqs_mappings_powertools import package_files

HANDLER = """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

kinesis = BatchProcessor(event_type=EventType.KinesisDataStreams)
tables = BatchProcessor(event_type=EventType.DynamoDBStreams)

def record_handler(record):
    if hasattr(record, "kinesis"):
        one = record.kinesis.data_as_json()["n"]
    else:
        one = int(record.dynamodb.keys["n"])
    if one == 4:
        raise ValueError("bad")
    print("SEEN -", one)

def handler(event, context):
    processor = kinesis if event["Records"][0]["eventSource"] == "aws:kinesis" else tables
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
"""


def deploy(make_function):
    return make_function(
        files={"index.py": HANDLER, **package_files()}, MemorySize=1769, Timeout=10,
        Environment={"Variables": {"POWERTOOLS_SERVICE_NAME": "test", "POWERTOOLS_DEV": "true"}})


def test_kinesis(client, make_function, make_stream, make_stream_mapping, unique):
    function = deploy(make_function)
    stream = make_stream()
    url, arn = make_destination(client, unique)
    sequences = stream.put(*[json.dumps({"n": number}) for number in range(8)])
    make_stream_mapping(
        function, stream, FunctionResponseTypes=["ReportBatchItemFailures"], BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": arn}})
    [body] = bodies(client, url, 1)
    assert body["responseContext"]["functionError"] is None or body["responseContext"]["functionError"] == "Unhandled"
    assert body["KinesisBatchInfo"]["startSequenceNumber"] == sequences[4]
    assert body["KinesisBatchInfo"]["batchSize"] == 1
    wait_for(lambda: set(data(function)) == {str(number) for number in range(8) if number != 4})


def test_dynamodb(client, make_function, make_stream_mapping, unique):
    function = deploy(make_function)
    url, arn = make_destination(client, unique)
    tables = client("dynamodb")
    name = unique("table")
    made = tables.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "n", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "n", "AttributeType": "N"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})["TableDescription"]
    for number in range(8):
        tables.put_item(TableName=name, Item={"n": {"N": str(number)}})
    make_stream_mapping(
        function, made["LatestStreamArn"], FunctionResponseTypes=["ReportBatchItemFailures"],
        BisectBatchOnFunctionError=True, MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}})
    [body] = bodies(client, url, 1)
    assert body["DDBStreamBatchInfo"]["batchSize"] == 1
    assert body["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"][-4] == ":"
    wait_for(lambda: set(data(function)) == {str(number) for number in range(8) if number != 4})
