"""STS: every operation of Sources/Services/STS/README.md."""

import datetime
import re

import boto3
import pytest

from .expect import assert_not_implemented, aws_error, command_failed
from .harness import ACCOUNT, REGION

ROLE = "arn:aws:iam::111122223333:role/team/worker"


@pytest.fixture
def sts(client):
    return client("sts")


def client_of(server, credentials, service="sts"):
    return boto3.session.Session().client(
        service,
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def test_who_am_i(sts, client):
    shown = sts.get_caller_identity()
    assert (shown["Account"], shown["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    shown = client("sts", account="111122223333").get_caller_identity()
    assert (shown["Account"], shown["UserId"]) == ("111122223333", "111122223333")


def test_assume_a_role_and_use_it(server, sts):
    before = datetime.datetime.now(datetime.timezone.utc)
    answer = sts.assume_role(RoleArn=ROLE, RoleSessionName="s@1", DurationSeconds=900)
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and len(credentials["SecretAccessKey"]) == 40
    left = (credentials["Expiration"] - before).total_seconds()
    assert 890 <= left <= 905
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::111122223333:assumed-role/worker/s@1"
    assert re.fullmatch("AROA[A-Z2-7]{17}:s@1", answer["AssumedRoleUser"]["AssumedRoleId"])
    who = client_of(server, credentials).get_caller_identity()
    assert who["Account"] == "111122223333"
    assert who["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert who["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]


def test_a_role_session_works_in_its_account(server, sts, client, unique):
    credentials = sts.assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]
    group = unique("/sts")
    client_of(server, credentials, "logs").create_log_group(logGroupName=group)
    theirs = client("logs", account="111122223333").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [one["logGroupName"] for one in theirs] == [group]
    assert client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_session_token(server, sts):
    credentials = sts.get_session_token()["Credentials"]
    who = client_of(server, credentials).get_caller_identity()
    assert (who["Account"], who["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    role = sts.assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]
    with aws_error("AccessDenied", "Cannot call GetSessionToken with session credentials", 403):
        client_of(server, role).get_session_token()


@pytest.mark.parametrize(
    "arn",
    [
        "nothing-valid-in-here-at-all",
        "arn::b:::something/test-role",
        "arn:a::::something/test-role",
        "arn:a:::something/test-role",
        "arn:a:a::aaaaaaaaaa:",
    ],
)
def test_malformed_roles(sts, arn):
    with aws_error("ValidationError", f"{arn} is invalid"):
        sts.assume_role(RoleArn=arn, RoleSessionName="s1")


def test_assume_role_is_checked(sts):
    with aws_error(
        "ValidationError",
        "1 validation error detected: Value 'Session1:2' at 'roleSessionName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\w+=,.@-]*",
    ):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="Session1:2")
    with aws_error(
        "ValidationError",
        "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: "
        "Member must have value less than or equal to 43200",
    ):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="s1", DurationSeconds=43_201)
    with aws_error(
        "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    ):
        sts.assume_role(
            RoleArn=ROLE, RoleSessionName="s1", Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
        )
    with aws_error("InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="s1", Tags=[{"Key": "a", "Value": "1"}], TransitiveTagKeys=["b"])


def test_all_violations_are_told_at_once(server):
    unchecked = server.client("sts", parameter_validation=False)
    with aws_error("ValidationError", re.compile("^3 validation errors detected: .*; ")):
        unchecked.assume_role(RoleArn=ROLE, RoleSessionName=":", DurationSeconds=1)


def test_a_missing_operation_says_so(sts):
    assert_not_implemented(lambda: sts.get_federation_token(Name="someone"), "GetFederationToken")


def test_with_the_command_line(aws):
    assert aws("sts", "get-caller-identity").json["Account"] == ACCOUNT
    assumed = aws("sts", "assume-role", "--role-arn", ROLE, "--role-session-name", "cli").json
    assert assumed["AssumedRoleUser"]["Arn"].endswith("assumed-role/worker/cli")
    failed = aws("sts", "assume-role", "--role-arn", "arn:a:a::aaaaaaaaaa:", "--role-session-name", "cli", check=False)
    command_failed(failed, "ValidationError", "AssumeRole", "arn:a:a::aaaaaaaaaa: is invalid")
