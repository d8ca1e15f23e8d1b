"""A role may do what its policies say, in the services whose resources have no policies of their own: nobody becomes more than he
was by calling Lambda, IAM or STS."""

import io
import json
import re
import zipfile

import boto3
import botocore.config
import botocore.exceptions
import pytest

from .expect import aws_error
from .harness import REGION
from .test_policies import ACCOUNT, TRUST, document, signed, strict  # noqa: F401

CODE = "def handler(event, context): return event"


def package():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("app.py", CODE)
    return file.getvalue()


@pytest.fixture
def role(signed, unique):  # noqa: F811
    """`role.client("lambda")` calls as the role; `role.allow(action, resource)` lets it."""

    class Role:
        name = unique("role")
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        iam = signed("iam")

        def __init__(self):
            self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=TRUST)
            self.keys = signed("sts").assume_role(RoleArn=self.arn, RoleSessionName="session")["Credentials"]
            self.policies = 0

        def client(self, service):
            return signed(service, self.keys)

        def allow(self, *arguments, **members):
            self.policies += 1
            self.iam.put_role_policy(
                RoleName=self.name, PolicyName=f"p{self.policies}", PolicyDocument=document(*arguments, **members))

    return Role()


def refused(action, resource, code="AccessDeniedException", because="because no identity-based policy allows"):
    return aws_error(code, re.compile(
        rf"^User: arn:aws:sts::{ACCOUNT}:assumed-role/[^ ]+/session is not authorized to perform: {re.escape(action)} on "
        rf"resource: {resource}{because and ' ' + because}"), 403)


def test_lambda(role, signed, unique):  # noqa: F811
    name = unique("fn")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    other = f"arn:aws:iam::{ACCOUNT}:role/{unique('other')}"
    signed("iam").create_role(RoleName=other.rpartition("/")[2], AssumeRolePolicyDocument=TRUST)
    api = role.client("lambda")
    wanted = {
        "FunctionName": name, "Runtime": "python3.11", "Role": other, "Handler": "app.handler",
        "Code": {"ZipFile": package()}}
    with refused("lambda:CreateFunction", re.escape(arn)):
        api.create_function(**wanted)
    role.allow("lambda:*", arn)
    # A role that one may not pass is one that one cannot act as.
    with refused("iam:PassRole", re.escape(other)):
        api.create_function(**wanted)
    role.allow("iam:PassRole", other)
    api.create_function(**wanted)
    api.get_waiter("function_active_v2").wait(FunctionName=name)
    assert json.load(api.invoke(FunctionName=name, Payload=b"1")["Payload"]) == 1
    with refused("lambda:ListFunctions", r"\*"):
        api.list_functions()
    with refused("iam:PassRole", f"{re.escape(other)}-2"):
        api.update_function_configuration(FunctionName=name, Role=f"{other}-2")
    role.allow("lambda:Invoke*", arn, effect="Deny")
    with aws_error("AccessDeniedException", re.compile("is not authorized to perform: lambda:InvokeFunction"), 403):
        api.invoke(FunctionName=name)
    with aws_error("AccessDeniedException", re.compile("is not authorized to perform: lambda:InvokeFunction"), 403):
        api.invoke_with_response_stream(FunctionName=name)
    assert json.load(signed("lambda").invoke(FunctionName=name, Payload=b"2")["Payload"]) == 2


def test_nobody_becomes_another(role, signed, unique):  # noqa: F811
    admin = unique("admin")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{admin}"
    signed("iam").create_role(RoleName=admin, AssumeRolePolicyDocument=TRUST)

    def become(arn=arn):
        return role.client("sts").assume_role(RoleArn=arn, RoleSessionName="xx")["Credentials"]

    with refused("sts:AssumeRole", re.escape(arn), "AccessDenied", because=""):
        become()
    with refused("iam:PutRolePolicy", re.escape(role.arn), "AccessDenied"):
        role.client("iam").put_role_policy(RoleName=role.name, PolicyName="all", PolicyDocument=document("*"))
    with refused("iam:CreateRole", ".*", "AccessDenied"):
        role.client("iam").create_role(RoleName="mine", AssumeRolePolicyDocument=TRUST)
    assert role.client("sts").get_caller_identity()["Account"] == ACCOUNT
    role.allow("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/ad*")
    assert become()
    with refused("sts:AssumeRole", ".*", "AccessDenied", because=""):
        become(arn + "-that-nobody-created")


def trust(principal, **members):
    return document("sts:AssumeRole", None, Principal=principal, **members).replace('"Resource": null, ', "")


def test_roles_are_assumed_by_whom_they_trust(role, signed, unique):  # noqa: F811
    iam, sts, theirs = signed("iam"), signed("sts"), role.client("sts")

    def made(policy):
        name = unique("trusting")
        return iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]

    def denied(action="sts:AssumeRole"):
        return aws_error("AccessDenied", re.compile(f"^User: .* is not authorized to perform: {action} on resource: "), 403)

    # A role that is named needs no policy of its own; the account does not come in by another's name.
    named = made(trust({"AWS": role.arn}))
    assert theirs.assume_role(RoleArn=named, RoleSessionName="one")["Credentials"]
    with denied():
        sts.assume_role(RoleArn=named, RoleSessionName="one")
    role.allow("sts:AssumeRole", named, effect="Deny")
    with denied():
        theirs.assume_role(RoleArn=named, RoleSessionName="one")
    # The third party's number, which AWS's guide has for vendors.
    secret = made(trust({"AWS": ACCOUNT}, Condition={"StringEquals": {"sts:ExternalId": "4711"}}))
    with denied():
        sts.assume_role(RoleArn=secret, RoleSessionName="one")
    with denied():
        sts.assume_role(RoleArn=secret, RoleSessionName="one", ExternalId="4712")
    assert sts.assume_role(RoleArn=secret, RoleSessionName="one", ExternalId="4711")["Credentials"]
    # Tags are a permission of their own.
    with denied("sts:TagSession"):
        sts.assume_role(
            RoleArn=secret, RoleSessionName="one", ExternalId="4711", Tags=[{"Key": "team", "Value": "a"}])
    iam.update_assume_role_policy(
        RoleName=secret.rpartition("/")[2], PolicyDocument=document(
            ["sts:AssumeRole", "sts:TagSession"], None, Principal={"AWS": "*"},
            Condition={"StringEquals": {"aws:RequestTag/team": "a"}}).replace('"Resource": null, ', ""))
    assert sts.assume_role(RoleArn=secret, RoleSessionName="one", Tags=[{"Key": "team", "Value": "a"}])["Credentials"]
    with denied():
        sts.assume_role(RoleArn=secret, RoleSessionName="one", Tags=[{"Key": "team", "Value": "b"}])


def test_services_get_roles_that_trust_them(signed, unique):  # noqa: F811
    role = f"arn:aws:iam::{ACCOUNT}:role/{unique('queues')}"
    signed("iam").create_role(RoleName=role.rpartition("/")[2], AssumeRolePolicyDocument=trust({"Service": "sqs.amazonaws.com"}))
    name, queue = unique("fn"), f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
    for arn in (role, f"arn:aws:iam::{ACCOUNT}:role/nobody"):
        with aws_error(
                "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.", 400):
            signed("lambda").create_function(
                FunctionName=name, Runtime="python3.11", Role=arn, Handler="app.handler", Code={"ZipFile": package()})
        with aws_error(
                "ValidationException",
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.", 400):
            signed("scheduler").create_schedule(
                Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
                Target={"Arn": queue, "RoleArn": arn})
        with aws_error(
                "ValidationException",
                f"Provided role '{arn}' cannot be assumed by principal 'events.amazonaws.com'.", 400):
            signed("events").put_rule(Name=name, ScheduleExpression="rate(1 day)", RoleArn=arn)


def test_roles_are_passed_by_who_may(role, signed, unique):  # noqa: F811
    """`iam:PassRole`, to the service that the policy names."""
    name = unique("passed")
    passed = signed("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(
        {"Service": ["scheduler.amazonaws.com", "events.amazonaws.com", "apigateway.amazonaws.com"]}))["Role"]["Arn"]
    for service in ("scheduler", "events", "apigateway", "sns"):
        role.allow(f"{service}:*")
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
    api = signed("apigatewayv2").create_api(Name=name, ProtocolType="HTTP")["ApiId"]
    signed("events").put_rule(Name=name, ScheduleExpression="rate(1 day)", State="DISABLED")
    document = json.dumps({
        "openapi": "3.0.1", "info": {"title": name, "version": "1"}, "paths": {"/": {"get": {
            "x-amazon-apigateway-integration": {
                "type": "aws_proxy", "payloadFormatVersion": "2.0", "credentials": passed, "httpMethod": "POST",
                "uri": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
                       f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f/invocations"}}}}})
    calls = [
        ("scheduler", lambda client: client.create_schedule(
            Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": queue, "RoleArn": passed})),
        ("events", lambda client: client.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue, "RoleArn": passed}])),
        ("events", lambda client: client.put_rule(Name=name, ScheduleExpression="rate(2 days)", RoleArn=passed)),
        ("apigatewayv2", lambda client: client.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0", CredentialsArn=passed,
            IntegrationUri=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f")),
        ("apigatewayv2", lambda client: client.import_api(Body=document)),
        ("apigatewayv2", lambda client: client.import_api(Body=document.replace(":iam:", r"\u003aiam\u003a"))),
        ("apigateway", lambda client: client.update_account(patchOperations=[
            {"op": "replace", "path": "/cloudwatchRoleArn", "value": passed}])),
        ("sns", lambda client: client.create_topic(Name=name, Attributes={"SQSSuccessFeedbackRoleArn": passed})),
    ]
    role.allow("iam:PassRole", passed, Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}})
    for service, call in calls:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call(role.client(service))
        assert f"iam:PassRole on resource: {passed} because no identity-based policy" in str(caught.value), service
    role.allow("iam:PassRole", passed, Condition={"StringEquals": {"iam:PassedToService": [
        f"{service}.amazonaws.com" for service in ("scheduler", "events", "apigateway", "sns")]}})
    for service, call in calls:
        call(role.client(service))


def test_logs(role, unique):
    group = unique("/group")
    logs = role.client("logs")
    with refused("logs:CreateLogGroup", re.escape(f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:")):
        logs.create_log_group(logGroupName=group)
    role.allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
               f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    logs.put_log_events(logGroupName=group, logStreamName="a", logEvents=[{"timestamp": 1_800_000_000_000, "message": "m"}])
    with refused("logs:GetLogEvents", ".*:log-stream:a"):
        logs.get_log_events(logGroupName=group, logStreamName="a")


def test_without_authentication_only_a_deny_counts(server, unique):
    name = unique("role")
    iam = server.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    keys = server.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="session")["Credentials"]
    api = boto3.session.Session().client(
        "lambda", endpoint_url=server.url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}))
    assert "Functions" in api.list_functions()
    iam.put_role_policy(RoleName=name, PolicyName="no", PolicyDocument=document("lambda:ListFunctions", effect="Deny"))
    with refused("lambda:ListFunctions", r"\*", because="with an explicit deny in an identity-based policy"):
        api.list_functions()


def test_conditions(role, signed, unique):  # noqa: F811
    """What an identity policy asks of the request: the policies that everybody has."""
    bucket = unique("bucket")
    owner, s3 = signed("s3"), role.client("s3")
    owner.create_bucket(Bucket=bucket)
    owner.put_object(Bucket=bucket, Key="home/me/a", Body=b"a", Tagging="secret=no")
    owner.put_object(Bucket=bucket, Key="home/me/b", Body=b"b", Tagging="secret=yes")
    arn = f"arn:aws:s3:::{bucket}"
    role.allow("s3:ListBucket", arn, Condition={"StringLike": {"s3:prefix": ["home/me/*"]}})
    assert len(s3.list_objects_v2(Bucket=bucket, Prefix="home/me/")["Contents"]) == 2
    for parameters in ({}, {"Prefix": "home/you/"}, {"Prefix": "home"}):
        with aws_error("AccessDenied", re.compile("s3:ListBucket"), 403):
            s3.list_objects_v2(Bucket=bucket, **parameters)
    role.allow("s3:*Object", f"{arn}/home/me/*")
    role.allow("s3:PutObject", f"{arn}/*", effect="Deny", Condition={
        "StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}})
    with aws_error("AccessDenied", re.compile("explicit deny in an identity-based policy"), 403):
        s3.put_object(Bucket=bucket, Key="home/me/c", Body=b"c")
    s3.put_object(Bucket=bucket, Key="home/me/c", Body=b"c", ServerSideEncryption="AES256")
    role.allow("s3:GetObject", f"{arn}/*", effect="Deny", Condition={
        "StringEquals": {"s3:existingobjecttag/Secret": "yes"}})
    assert s3.get_object(Bucket=bucket, Key="home/me/a")["Body"].read() == b"a"
    with aws_error("AccessDenied", re.compile("explicit deny in an identity-based policy"), 403):
        s3.get_object(Bucket=bucket, Key="home/me/b")

    # Everywhere: the address, the Region, and the tags that a request gives.
    here, elsewhere = unique("q"), unique("q")
    queues = role.client("sqs")
    role.allow("sqs:CreateQueue", f"*:{here}", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    role.allow("sqs:CreateQueue", f"*:{elsewhere}", Condition={"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    role.allow("sqs:SendMessage", "*", Condition={"StringEquals": {"aws:RequestedRegion": REGION}})
    url = queues.create_queue(QueueName=here)["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="m")
    with aws_error("AccessDenied", re.compile("because no identity-based policy"), 403):
        queues.create_queue(QueueName=elsewhere)
    role.allow("sns:CreateTopic", "*", Condition={
        "StringEquals": {"aws:RequestTag/team": "a"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}})
    topics = role.client("sns")
    name = unique("topic")
    for tags in ([], [{"Key": "team", "Value": "b"}], [{"Key": "team", "Value": "a"}, {"Key": "x", "Value": "y"}]):
        with aws_error("AuthorizationError", re.compile("because no identity-based policy"), 403):
            topics.create_topic(Name=name, Tags=tags)
    topic = topics.create_topic(Name=name, Tags=[{"Key": "team", "Value": "a"}])["TopicArn"]
    role.allow("sns:Publish", "*", Condition={"StringEquals": {"aws:ResourceTag/team": "a"}})
    topics.publish(TopicArn=topic, Message="m")
    role.allow("sns:Publish", "*", effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})
    topics.publish(TopicArn=topic, Message="what stays on the machine is as good as secret")


def test_a_denial_with_a_condition_without_authentication(server, unique):
    name, bucket = unique("role"), unique("bucket")
    iam = server.client("iam")
    server.client("s3").create_bucket(Bucket=bucket)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName=name, PolicyName="no", PolicyDocument=document(
        "s3:PutObject", effect="Deny", Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}))
    keys = server.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="session")["Credentials"]
    s3 = boto3.session.Session().client(
        "s3", endpoint_url=server.url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ServerSideEncryption="AES256")
    with aws_error("AccessDenied", re.compile("explicit deny in an identity-based policy"), 403):
        s3.put_object(Bucket=bucket, Key="k", Body=b"")
