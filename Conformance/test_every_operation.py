"""Every operation of every service asks the policies of role sessions: a role that may nothing is refused everywhere, and so is whoever
does not sign."""

import datetime
import io
import json
import re

import boto3
import botocore.config
import botocore.exceptions
import pytest
from botocore import UNSIGNED

from .harness import REGION, REPOSITORY, zip_bytes
from .test_policies import ACCOUNT, TRUST, document, signed, strict  # noqa: F401
from .test_s3_object_lambda import names  # noqa: F401

# The folder of each service's README, which names what is implemented; and its code for a refusal.
SERVICES = {
    "lambda": ("Lambda", "AccessDeniedException"),
    "logs": ("CloudWatchLogs", "AccessDeniedException"),
    "iam": ("IAM", "AccessDenied"),
    "sts": ("STS", "AccessDenied"),
    "sns": ("SNS", "AuthorizationError"),
    "sqs": ("SQS", "AccessDenied"),
    "kinesis": ("Kinesis", "AccessDeniedException"),
    "dynamodb": ("DynamoDB", "AccessDeniedException"),
    "dynamodbstreams": ("DynamoDB", "AccessDeniedException"),
    "apigateway": ("APIGateway", "AccessDeniedException"),
    "apigatewayv2": ("APIGateway", "AccessDeniedException"),
    "events": ("EventBridge", "AccessDeniedException"),
    "scheduler": ("Scheduler", "AccessDeniedException"),
    "cloudwatch": ("CloudWatch", "AccessDenied"),
    "codecommit": ("CodeCommit", "AccessDeniedException"),
    "s3": ("S3", "AccessDenied"),
    "s3control": ("S3", "AccessDenied"),
}
# What AWS lets everybody do.
OPEN = {
    ("sts", "GetCallerIdentity"),
    ("sns", "ConfirmSubscription"),  # the token is the permission
    ("dynamodb", "DescribeEndpoints"),  # says the address that it was asked at
    ("codecommit", "BatchGetRepositories"),  # says so of each repository by itself
    ("s3", "DeleteObjects"),  # says so of each object by itself
    ("s3", "WriteGetObjectResponse"),  # the token is the permission
    # Refused before anybody is asked, as not implemented.
    ("s3", "PutBucketLogging"), ("s3", "PutBucketRequestPayment"),
    ("logs", "StartLiveTail"),  # has a name of its own, which test machines do not resolve; its handler is guarded like the others
    ("s3control", "CreateBucket"),  # of S3 Outposts: not there
    ("sqs", "CancelMessageMoveTask"),  # the task's handle says which queue is asked
}
NAME = "walk"  # of everything
ARNS = {
    "lambda": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{NAME}",
    "logs": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{NAME}",
    "iam": f"arn:aws:iam::{ACCOUNT}:role/{NAME}",
    "sts": f"arn:aws:iam::{ACCOUNT}:role/{NAME}",
    "sns": f"arn:aws:sns:{REGION}:{ACCOUNT}:{NAME}",
    "sqs": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{NAME}",
    "kinesis": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{NAME}",
    "dynamodb": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{NAME}",
    "apigateway": f"arn:aws:apigateway:{REGION}::/restapis/{NAME}",
    "apigatewayv2": f"arn:aws:apigateway:{REGION}::/apis/{NAME}",
    "events": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{NAME}",
    "scheduler": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{NAME}",
    "cloudwatch": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{NAME}",
    "codecommit": f"arn:aws:codecommit:{REGION}:{ACCOUNT}:{NAME}",
    "s3control": f"arn:aws:s3:{REGION}:{ACCOUNT}:accesspoint/{NAME}",
}
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}]}')


@pytest.fixture(scope="module")
def things(strict):  # noqa: F811
    """One thing of each kind, and clients of a role that may nothing."""
    import configparser

    parser = configparser.ConfigParser()
    parser.read(strict.data_dir / "credentials")
    section = parser["default"]

    def make(service, key=section["aws_access_key_id"], secret=section["aws_secret_access_key"], token=None, **config):
        return boto3.session.Session().client(
            service, endpoint_url=strict.url, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret,
            aws_session_token=token, config=botocore.config.Config(
                retries={"total_max_attempts": 1}, parameter_validation=False,
                s3={"addressing_style": "path"}, **config))

    make("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=TRUST)
    keys = make("sts").assume_role(RoleArn=ARNS["iam"], RoleSessionName="session")["Credentials"]
    made = {"logs": make("logs").create_log_group(logGroupName=NAME)}
    make("logs").create_log_stream(logGroupName=NAME, logStreamName=NAME)
    make("sns").create_topic(Name=NAME)
    made["subscription"] = make("sns").subscribe(
        TopicArn=ARNS["sns"], Protocol="sqs", Endpoint=ARNS["sqs"], ReturnSubscriptionArn=True)["SubscriptionArn"]
    made["sqs"] = make("sqs").create_queue(QueueName=NAME)["QueueUrl"]
    make("kinesis").create_stream(StreamName=NAME, ShardCount=1)
    made["consumer"] = make("kinesis").register_stream_consumer(
        StreamARN=ARNS["kinesis"], ConsumerName=NAME)["Consumer"]["ConsumerARN"]
    table = make("dynamodb").create_table(
        TableName=NAME, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})["TableDescription"]
    made["stream"] = table["LatestStreamArn"]
    made["iterator"] = make("kinesis").get_shard_iterator(
        StreamName=NAME, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    shard = make("dynamodbstreams").describe_stream(StreamArn=made["stream"])["StreamDescription"]["Shards"][0]["ShardId"]
    made["streamIterator"] = make("dynamodbstreams").get_shard_iterator(
        StreamArn=made["stream"], ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    made["shard"] = shard
    make("events").put_rule(Name=NAME, ScheduleExpression="rate(1 day)", State="DISABLED")
    make("scheduler").create_schedule_group(Name=NAME)
    make("cloudwatch").put_metric_alarm(
        AlarmName=NAME, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold")
    make("codecommit").create_repository(repositoryName=NAME)
    make("s3").create_bucket(Bucket=NAME)
    make("s3").put_object(Bucket=NAME, Key=NAME, Body=b"x")
    make("s3control").create_access_point(AccountId=ACCOUNT, Name=NAME, Bucket=NAME)
    make("lambda").create_function(
        FunctionName=NAME, Runtime="python3.11", Role=ARNS["iam"], Handler="app.handler",
        Code={"ZipFile": zip_bytes({"app.py": "def handler(e, c): pass"})})

    def session(service):
        return make(service, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    def stranger(service):
        return make(service, None, None, signature_version=UNSIGNED)

    return made, session, stranger


# Members that must be what they are for a request to be understood, before anybody asks who may.
VALUES = {
    "AccountId": ACCOUNT, "AlarmName": NAME, "AssumeRolePolicyDocument": POLICY, "Bucket": NAME, "ConsumerName": NAME,
    "CopySource": f"{NAME}/{NAME}", "DashboardBody": '{"widgets":[]}', "DestinationArn": ARNS["sqs"],
    "Endpoint": "https://example.com", "Event": "{}", "EventPattern": '{"source":["a"]}', "EventSourceArn": ARNS["sqs"],
    "FlexibleTimeWindow": {"Mode": "OFF"}, "FunctionName": NAME, "FunctionVersion": "$LATEST", "GroupName": NAME,
    "Handler": "a.b", "HashKey": "1", "Key": NAME, "NewStartingHashKey": "1", "PartNumber": 1,
    "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/{NAME}", "PolicyDocument": document("s3:GetObject"), "Protocol": "https",
    "ReceiptHandle": "x", "Role": ARNS["iam"], "RoleArn": ARNS["iam"], "RouteKey": "GET /", "Runtime": "python3.11",
    "ScheduleExpression": "rate(1 hour)", "ServiceName": "codecommit.amazonaws.com", "ShardId": "shardId-000000000000",
    "ShardIteratorType": "TRIM_HORIZON", "StateValue": "OK", "StreamName": NAME, "TableName": NAME,
    "TopicArn": ARNS["sns"], "UUID": "0d8a8a1c-7b1f-4b54-9b7e-6b6a6d6e6f6a", "UploadId": "u", "VersionId": "v1",
    "VersionNumber": 1, "AWSServiceName": "lambda.amazonaws.com", "AWSAccountId": ACCOUNT,
    "ServiceSpecificCredentialId": "ACCA" + "A" * 20, "blobId": "a" * 40, "branchName": "main", "commitId": "a" * 40,
    "httpMethod": "GET", "parentCommitId": "a" * 40, "patchOperations": [], "statusCode": "200",
    "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/{NAME}", "destinationArn": ARNS["lambda"],
}
OWN_VALUES = {
    ("lambda", "Action"): "lambda:InvokeFunction", ("lambda", "Arn"): ARNS["lambda"].replace("function", "layer") + ":1",
    ("lambda", "Resource"): ARNS["lambda"], ("sqs", "Action"): "SendMessage", ("sns", "Rule"): NAME,
    ("sns", "SubscriptionArn"): "", ("events", "Rule"): NAME, ("s3", "VersionId"): NAME, ("s3", "Policy"): POLICY,
    ("s3control", "Policy"): POLICY, ("kinesis", "Policy"): None, ("scheduler", "Arn"): ARNS["sqs"],
    ("sns", "DataProtectionPolicy"): "{}", ("cloudwatch", "MetricName"): "m",
}
# What an operation needs beside what its model requires.
OBJECT_LAMBDA = {
    "SupportingAccessPoint": ARNS["s3control"], "TransformationConfigurations": [
        {"Actions": ["GetObject"], "ContentTransformation": {"AwsLambda": {"FunctionArn": ARNS["lambda"]}}}]}
ITEM = {"id": {"S": "1"}}
CONSUMER = {"StreamARN": ARNS["kinesis"], "ConsumerName": NAME}
TRIGGERS = {"triggers": [{"name": NAME, "destinationArn": ARNS["lambda"], "events": ["all"]}]}
TIMES = {"StartTime": datetime.datetime(2026, 1, 1), "EndTime": datetime.datetime(2026, 1, 2)}
RESOURCE_POLICY = {"Policy": json.dumps({"Statement": {
    "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}})}
MORE = {
    ("apigatewayv2", "CreateApi"): {"ProtocolType": "HTTP"},
    ("cloudwatch", "GetMetricData"): {**TIMES, "MetricDataQueries": [{"Id": "a", "Expression": "1"}]},
    ("cloudwatch", "GetMetricStatistics"): {**TIMES, "Period": 3600, "Statistics": ["Sum"]},
    ("cloudwatch", "PutMetricAlarm"): {
        "ComparisonOperator": "GreaterThanThreshold", "Namespace": "n", "MetricName": "m", "Statistic": "Sum",
        "Period": 60, "EvaluationPeriods": 1, "Threshold": 1},
    ("cloudwatch", "PutMetricData"): {"MetricData": [{"MetricName": "m", "Value": 1}]},
    ("codecommit", "PutRepositoryTriggers"): TRIGGERS,
    ("codecommit", "TestRepositoryTriggers"): TRIGGERS,
    ("codecommit", "GetBranch"): {"branchName": "main", "repositoryName": NAME},
    ("dynamodb", "BatchGetItem"): {"RequestItems": {NAME: {"Keys": [ITEM]}}},
    ("dynamodb", "BatchWriteItem"): {"RequestItems": {NAME: [{"DeleteRequest": {"Key": ITEM}}]}},
    ("dynamodb", "CreateTable"): {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]},
    ("dynamodb", "PutResourcePolicy"): RESOURCE_POLICY,
    ("dynamodb", "Query"): {
        "KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "1"}}},
    ("dynamodb", "TransactWriteItems"): {"TransactItems": [{"Delete": {"TableName": NAME, "Key": ITEM}}]},
    ("events", "PutEvents"): {"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}"}]},
    ("events", "PutPermission"): {"Action": "events:PutEvents", "Principal": "111122223333", "StatementId": "s"},
    ("events", "PutRule"): {"ScheduleExpression": "rate(1 hour)"},
    ("events", "RemovePermission"): {"StatementId": "s"},
    ("kinesis", "CreateStream"): {"ShardCount": 1},
    ("kinesis", "ListStreamConsumers"): {"StreamARN": ARNS["kinesis"]},
    ("kinesis", "PutResourcePolicy"): RESOURCE_POLICY,
    ("lambda", "AddLayerVersionPermission"): {"Action": "lambda:GetLayerVersion", "Principal": "*"},
    ("lambda", "CreateFunction"): {"Runtime": "python3.11", "Handler": "a.b"},
    ("s3", "PutBucketCors"): {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}},
    ("s3", "PutBucketLifecycleConfiguration"): {"LifecycleConfiguration": {"Rules": [
        {"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}},
    ("s3", "PutBucketNotificationConfiguration"): {"NotificationConfiguration": {}},
    ("s3", "PutBucketVersioning"): {"VersioningConfiguration": {"Status": "Enabled"}},
    ("s3", "PutObjectAcl"): {"ACL": "private"},
    ("s3control", "PutAccessPointPolicy"): RESOURCE_POLICY,
    ("s3control", "PutAccessPointPolicyForObjectLambda"): RESOURCE_POLICY,
    ("sns", "Publish"): {"TopicArn": ARNS["sns"]},
    ("sns", "Subscribe"): {"Protocol": "sqs", "Endpoint": ARNS["sqs"]},
    ("kinesis", "DeregisterStreamConsumer"): CONSUMER,
    ("kinesis", "DescribeStreamConsumer"): CONSUMER,
    ("kinesis", "StartStreamEncryption"): {"EncryptionType": "KMS"},
    ("kinesis", "SubscribeToShard"): {"StartingPosition": {"Type": "LATEST"}},
    ("kinesis", "UpdateMaxRecordSize"): {"StreamARN": ARNS["kinesis"]},
    ("logs", "PutResourcePolicy"): {"policyName": NAME, "policyDocument": json.dumps({"Statement": {
        "Effect": "Allow", "Principal": {"Service": "es.amazonaws.com"}, "Action": "logs:PutLogEvents", "Resource": "*"}})},
    ("s3control", "CreateAccessPointForObjectLambda"): {"Configuration": OBJECT_LAMBDA},
    ("s3control", "PutAccessPointConfigurationForObjectLambda"): {"Configuration": OBJECT_LAMBDA},
}
for name in ("CreateSchedule", "UpdateSchedule"):
    MORE["scheduler", name] = {"Target": {"Arn": ARNS["sqs"], "RoleArn": ARNS["iam"]}}


def value(shape, name, service, made, depth=0):
    """The least that fits the model."""
    wanted = OWN_VALUES.get((service, name), VALUES.get(name, VALUES.get(name[:1].upper() + name[1:])))
    if (service, name) == ("sns", "SubscriptionArn"):
        return made["subscription"]
    if (service, name) == ("kinesis", "ConsumerARN"):
        return made["consumer"]
    if name == "QueueUrl":
        return made["sqs"]
    if name == "StreamArn" and service == "dynamodbstreams":
        return made["stream"]
    if name == "ShardIterator":
        return made["streamIterator" if service == "dynamodbstreams" else "iterator"]
    if name == "ShardId" and service == "dynamodbstreams":
        return made["shard"]
    if wanted is not None and shape.type_name in ("string", "integer", "long", "structure"):
        if shape.type_name != "string" or isinstance(wanted, str):
            return wanted
    kind = shape.type_name
    if kind == "structure":
        names = shape.required_members
        if not names and depth and shape.members:
            names = list(shape.members)[:1]
        return {one: value(shape.members[one], one, service, made, depth + 1) for one in names} if depth < 6 else {}
    if kind == "list":
        return [value(shape.member, re.sub("s$", "", name), service, made, depth + 1)]
    if kind == "map":
        return {"k": value(shape.value, "", service, made, depth + 1)}
    if kind == "string":
        if shape.enum:
            return shape.enum[0]
        if "arn" in name.lower():
            return ARNS.get(service, ARNS["iam"])
        least = shape.metadata.get("min", 0)
        return NAME * max(1, -(-int(least) // len(NAME)))
    if kind in ("integer", "long"):
        return int(shape.metadata.get("min", 1)) or 1
    if kind in ("float", "double"):
        return 1.0
    if kind == "boolean":
        return False
    if kind == "timestamp":
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    return io.BytesIO(b"{}") if shape.serialization.get("streaming") else b"{}"


ABSENT = {("apigatewayv2", "GetModelTemplate")}


def implemented(service, names):
    folder = SERVICES[service][0]
    text = (REPOSITORY / "Sources" / "Services" / folder / "README.md").read_text()
    part = text.split("## Operations")[1].split("\n## ")[0]
    found = [name for name in names if re.search(rf"\b{name}\b", part)]
    # One README for two services: names that both have are the other's here.
    return [name for name in found if (service, name) not in ABSENT]


def call(client, service, name, made):
    model = client.meta.service_model.operation_model(name)
    parameters = value(model.input_shape, "", service, made) if model.input_shape else {}
    if service == "kinesis" and "StreamName" in (model.input_shape.members if model.input_shape else ()):
        parameters["StreamName"] = NAME
    parameters.update(MORE.get((service, name), {}))
    method = next(python for python, api in client.meta.method_to_api_mapping.items() if api == name)
    try:
        answer = getattr(client, method)(**parameters)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"].get("Code") or "", error.response["Error"].get("Message") or "", error
    return "", "", answer


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_that_may_nothing(things, service):
    made, session, _ = things
    client = session(service)
    _, refusal = SERVICES[service]
    wrong = []
    names = implemented(service, client.meta.service_model.operation_names)
    assert names
    for name in names:
        if (service, name) in OPEN:
            continue
        code, message, answer = call(client, service, name, made)
        refusal_code = "403" if name.startswith("Head") else refusal  # without a body there is no code
        # GetSessionToken is for users, whatever they may.
        if code == "NotImplementedException" or service == "s3control" and code == "NoSuchBucket":
            continue  # of one README for two services, the other's
        if code != refusal_code:
            wrong.append(f"{name}: {code} {message} {'' if code else answer}"[:200])
    assert not wrong, "\n".join(wrong)


UNSIGNED_CODES = ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied", "403")


@pytest.mark.parametrize("service", SERVICES)
def test_a_stranger(things, service):
    made, _, stranger = things
    client = stranger(service)
    wrong = []
    for name in implemented(service, client.meta.service_model.operation_names):
        if (service, name) in OPEN and service in ("s3", "sns", "logs", "s3control") or name == "Unsubscribe":
            continue
        code, message, answer = call(client, service, name, made)
        # A path that names no service is taken for a bucket's.
        if not code or service not in ("apigateway", "apigatewayv2", "lambda", "scheduler") and code not in UNSIGNED_CODES:
            wrong.append(f"{name}: {code} {message} {'' if code else answer}"[:200])
    assert not wrong, "\n".join(wrong)
