"""A role may do what its policies say, in the services whose resources have no policies of their own: nobody becomes more than he
was by calling Lambda, IAM or STS."""

import io
import json
import re
import zipfile

import boto3
import botocore.config
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
        rf"resource: {resource} {because}"), 403)


def test_lambda(role, signed, unique):  # noqa: F811
    name = unique("fn")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    other = f"arn:aws:iam::{ACCOUNT}:role/other"
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


def test_nobody_becomes_another(role):
    with refused("sts:AssumeRole", re.escape(f"arn:aws:iam::{ACCOUNT}:role/admin"), "AccessDenied"):
        role.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/admin", RoleSessionName="xx")
    with refused("iam:PutRolePolicy", re.escape(role.arn), "AccessDenied"):
        role.client("iam").put_role_policy(RoleName=role.name, PolicyName="all", PolicyDocument=document("*"))
    with refused("iam:CreateRole", ".*", "AccessDenied"):
        role.client("iam").create_role(RoleName="mine", AssumeRolePolicyDocument=TRUST)
    assert role.client("sts").get_caller_identity()["Account"] == ACCOUNT
    role.allow("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/ad*")
    assert role.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/admin", RoleSessionName="xx")["Credentials"]


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
