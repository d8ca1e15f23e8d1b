"""Every operation of every service asks the policies of role sessions: a role that may nothing is refused everywhere, and so is whoever
does not sign."""

import datetime
import io
import re

import boto3
import botocore.config
import botocore.exceptions
import pytest
from botocore import UNSIGNED

from .harness import REGION, REPOSITORY, zip_bytes
from .test_policies import ACCOUNT, TRUST, signed, strict  # noqa: F401

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
    ("sts", "GetSessionToken"),  # refused to role sessions for another reason
    ("sns", "ConfirmSubscription"),  # the token is the permission
    ("sns", "Unsubscribe"),
    ("logs", "PutLogEvents"),
}
NAME = "walk"
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
                retries={"total_max_attempts": 1}, parameter_validation=False, inject_host_prefix=False,
                s3={"addressing_style": "path"}, **config))

    make("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=TRUST)
    keys = make("sts").assume_role(RoleArn=ARNS["iam"], RoleSessionName="session")["Credentials"]
    made = {"logs": make("logs").create_log_group(logGroupName=NAME)}
    make("logs").create_log_stream(logGroupName=NAME, logStreamName=NAME)
    make("sns").create_topic(Name=NAME)
    made["sqs"] = make("sqs").create_queue(QueueName=NAME)["QueueUrl"]
    make("kinesis").create_stream(StreamName=NAME, ShardCount=1)
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
    "FunctionName": NAME, "functionName": NAME, "logGroupName": NAME, "logStreamName": NAME, "TopicArn": ARNS["sns"],
    "StreamName": NAME, "TableName": NAME, "RoleName": NAME, "Bucket": NAME, "Key": NAME, "Rule": NAME, "AlarmName": NAME,
    "GroupName": NAME, "repositoryName": NAME, "AccountId": ACCOUNT, "Qualifier": "$LATEST", "EventSourceToken": "t",
    "AssumeRolePolicyDocument": POLICY, "UUID": "0d8a8a1c-7b1f-4b54-9b7e-6b6a6d6e6f6a", "Protocol": "https",
    "PolicyDocument": POLICY.replace(',"Principal":{"AWS":"*"}', ',"Resource":"*"'), "Runtime": "python3.11",
    "Handler": "a.b", "Endpoint": "https://example.com", "RouteKey": "GET /", "ShardId": "shardId-000000000000",
    "ScheduleExpression": "rate(1 hour)", "EventPattern": '{"source":["a"]}', "filterPattern": "",
    "policyDocument": POLICY.replace('"AWS":"*"', '"Service":"es.amazonaws.com"').replace("sts:AssumeRole\"", "logs:PutLogEvents\",\"Resource\":\"*\""),
    "ShardIteratorType": "TRIM_HORIZON", "ReceiptHandle": "x", "HashKey": "1", "Event": "{}", "StateValue": "OK",
    "DashboardBody": '{"widgets":[]}', "CopySource": f"{NAME}/{NAME}", "httpMethod": "GET", "StatisticValues": None,
    "roleArn": ARNS["iam"], "RoleArn": ARNS["iam"], "Role": ARNS["iam"], "destinationArn": ARNS["lambda"],
    "EventSourceArn": ARNS["sqs"], "VersionNumber": 1, "UploadId": "u", "PartNumber": 1, "NextToken": None,
    "branchName": "main", "defaultBranchName": "main", "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/{NAME}",
    "ServiceName": "codecommit.amazonaws.com", "UserName": NAME, "AWSServiceName": "lambda.amazonaws.com",
    "ServiceSpecificCredentialId": "ACCA" + "A" * 20, "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/{NAME}",
    "parentCommitId": "a" * 40, "commitId": "a" * 40, "blobId": "a" * 40, "patchOperations": [],
    "DestinationArn": ARNS["sqs"], "ConsumerName": NAME, "AddTagsToResource": None, "FlexibleTimeWindow": {"Mode": "OFF"},
}


def value(shape, name, service, made, depth=0):
    """The least that fits the model."""
    wanted = VALUES.get(name)
    if service == "lambda" and name in ("Key",) or service == "sns" and name == "Rule":
        wanted = None
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


# What an operation needs beside what its model requires.
MORE = {
    ("apigatewayv2", "CreateApi"): {"ProtocolType": "HTTP"},
    ("events", "PutRule"): {"ScheduleExpression": "rate(1 hour)"},
    ("events", "PutPermission"): {"Action": "events:PutEvents", "Principal": "111122223333", "StatementId": "s"},
    ("events", "RemovePermission"): {"StatementId": "s"},
    ("lambda", "CreateFunction"): {"Runtime": "python3.11", "Handler": "a.b", "Code": {"ZipFile": b"PK"}},
}


def implemented(folder, names):
    text = (REPOSITORY / "Sources" / "Services" / folder / "README.md").read_text()
    part = text.split("## Operations")[1].split("\n## ")[0]
    return [name for name in names if re.search(rf"\b{name}\b", part)]


def call(client, service, name, made):
    model = client.meta.service_model.operation_model(name)
    parameters = value(model.input_shape, "", service, made) if model.input_shape else {}
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
    folder, refusal = SERVICES[service]
    wrong = []
    names = implemented(folder, client.meta.service_model.operation_names)
    assert names
    for name in names:
        if (service, name) in OPEN:
            continue
        code, message, answer = call(client, service, name, made)
        if name == "HeadBucket" or name == "HeadObject":
            code, refusal_code = code, "403"
        else:
            refusal_code = refusal
        if code != refusal_code:
            wrong.append(f"{name}: {code} {message} {'' if code else answer}"[:200])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("service", SERVICES)
def test_a_stranger(things, service):
    made, _, stranger = things
    client = stranger(service)
    folder, _ = SERVICES[service]
    wrong = []
    for name in implemented(folder, client.meta.service_model.operation_names):
        if service == "sns" and name in ("ConfirmSubscription", "Unsubscribe"):
            continue
        code, message, answer = call(client, service, name, made)
        if code not in ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied", "403"):
            wrong.append(f"{name}: {code} {message} {'' if code else answer}"[:200])
    assert not wrong, "\n".join(wrong)
