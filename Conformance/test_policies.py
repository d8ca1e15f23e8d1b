"""What roles may do: identity policies against queues, with authentication and without."""

import configparser
import json
import re

import boto3
import botocore.config
import pytest

from .expect import aws_error
from .harness import REGION, Server

ACCOUNT = "000000000000"
TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Action": "sts:AssumeRole",
        # The account takes the sessions of these tests itself.
        "Principal": {"Service": "lambda.amazonaws.com", "AWS": ACCOUNT}},
})


def document(action, resource="*", effect="Allow", **members):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **members}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("policies") / "data", ["--auth", "sigv4"])
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def signed(strict):
    """`signed("sqs", credentials)`: a client of the account itself, or of a session."""
    parser = configparser.ConfigParser()
    parser.read(strict.data_dir / "credentials")
    root = {
        "AccessKeyId": parser["default"]["aws_access_key_id"],
        "SecretAccessKey": parser["default"]["aws_secret_access_key"],
    }

    def make(service, keys=None):
        keys = keys or root
        return boto3.session.Session().client(
            service, endpoint_url=strict.url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys.get("SessionToken"),
            config=botocore.config.Config(retries={"total_max_attempts": 1}))

    return make


class Worker:
    """A role, a session of it, and a queue."""

    def __init__(self, make, name):
        self.iam, self.sqs = make("iam"), make("sqs")
        self.role = name
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        keys = make("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="session")["Credentials"]
        self.session = make("sqs", keys)
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def allow(self, policy, *arguments, **members):
        self.iam.put_role_policy(
            RoleName=self.role, PolicyName=policy, PolicyDocument=document(*arguments, **members))

    def send(self):
        return self.session.send_message(QueueUrl=self.url, MessageBody="m")["MessageId"]

    def refused(self, reason=""):
        with aws_error("AccessDenied", re.compile(reason), 403):
            self.send()


@pytest.fixture
def worker(signed, unique):
    return Worker(signed, unique("worker"))


def test_a_role_may_what_its_inline_policies_say_at_once(worker):
    worker.refused("no identity-based policy allows")
    worker.allow("a", "sqs:Send*", worker.arn)
    assert worker.send()
    worker.allow("a", "sqs:Send*", worker.arn + "-other")
    worker.refused()
    worker.allow("a", "SQS:*")
    assert worker.send()
    worker.allow("b", "sqs:SendMessage", effect="Deny")
    worker.refused("explicit deny in an identity-based policy")
    worker.iam.delete_role_policy(RoleName=worker.role, PolicyName="b")
    assert worker.send()


def test_attached_policies_and_their_versions(worker, unique):
    arn = worker.iam.create_policy(PolicyName=unique("p"), PolicyDocument=document("sqs:ReceiveMessage"))["Policy"]["Arn"]
    worker.iam.attach_role_policy(RoleName=worker.role, PolicyArn=arn)
    worker.refused()
    worker.iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("sqs:SendMessage"), SetAsDefault=True)
    assert worker.send()
    worker.iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    worker.refused()
    worker.iam.detach_role_policy(RoleName=worker.role, PolicyArn=arn)
    worker.iam.attach_role_policy(RoleName=worker.role, PolicyArn="arn:aws:iam::aws:policy/AmazonSQSFullAccess")
    assert worker.send()
    worker.iam.detach_role_policy(RoleName=worker.role, PolicyArn="arn:aws:iam::aws:policy/AmazonSQSFullAccess")
    worker.refused()


def test_a_resource_policy_lets_a_role_in(worker):
    def set_policy(principal):
        worker.sqs.set_queue_attributes(QueueUrl=worker.url, Attributes={"Policy": document(
            "sqs:SendMessage", worker.arn, Principal={"AWS": principal})})

    # The account delegates to identity policies, of which there is none.
    set_policy(f"arn:aws:iam::{ACCOUNT}:root")
    worker.refused()
    set_policy(f"arn:aws:iam::{ACCOUNT}:role/{worker.role}")
    assert worker.send()


def test_conditions_and_variables(worker):
    worker.allow("a", "sqs:*", "arn:aws:sqs:*:${aws:PrincipalAccount}:*",
                 Condition={"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:role/{worker.role}"}})
    assert worker.send()
    worker.allow("a", "sqs:*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})
    worker.refused()


def test_without_authentication_only_a_deny_counts(client, unique):
    worker = Worker(client_of(client), unique("worker"))
    assert worker.send()
    worker.allow("a", "sqs:SendMessage", effect="Deny")
    worker.refused("explicit deny")


def client_of(client):
    """The shared server's clients, also with a session's keys."""

    def make(service, keys=None):
        one = client(service)
        if keys is None:
            return one
        return boto3.session.Session().client(
            service, endpoint_url=one.meta.endpoint_url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
            config=botocore.config.Config(retries={"total_max_attempts": 1}))

    return make


@pytest.mark.parametrize("statement, text", [
    ({"Effect": "Allow", "Action": "a:b"}, "Policy statement must contain resources."),
    ({"Effect": "Allow", "Resource": "*"}, "Policy statement must contain actions."),
    ({"Effect": "Allow", "Action": "a:b", "Resource": "*", "Principal": "*"},
     "Policy document should not specify a principal."),
    ({"Effect": "allow", "Action": "a:b", "Resource": "*"}, "Syntax errors in policy."),
])
def test_the_grammar_of_documents_is_checked(client, unique, statement, text):
    iam, role = client("iam"), unique("role")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)
    with aws_error("MalformedPolicyDocument", text, 400):
        iam.put_role_policy(
            RoleName=role, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement}))
