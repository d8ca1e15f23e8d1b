"""IAM: every operation of Sources/Services/IAM/README.md."""

import json
import re
import urllib.parse
import urllib.request

import boto3
import pytest

from .conftest import TRUST_LAMBDA
from .expect import answer, assert_not_implemented, aws_error, command_failed
from .harness import ACCOUNT

TRUST = json.dumps(TRUST_LAMBDA)
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
OTHER = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "sqs:*", "Resource": "*"}]})
NOT_JSON = "{not json"
AWS_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture
def iam(client):
    return client("iam")


@pytest.fixture
def role(iam, unique):
    name = unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    return name


@pytest.fixture
def policy(iam, unique):
    return iam.create_policy(PolicyName=unique("policy"), PolicyDocument=ALLOW)["Policy"]["Arn"]


def no_role(name):
    return aws_error("NoSuchEntity", f"The role with name {name} cannot be found.", 404)


# Roles


def test_a_role_is_returned_exactly(iam, unique):
    name = unique("role")
    made = iam.create_role(
        RoleName=name,
        Path="/a/b/",
        AssumeRolePolicyDocument=TRUST,
        Description="d & <d>",
        MaxSessionDuration=7200,
        Tags=[{"Key": "k", "Value": "v"}],
        PermissionsBoundary="arn:aws:iam::aws:policy/Boundary",
    )["Role"]
    got = iam.get_role(RoleName=name)["Role"]
    for shown in (made, got):
        assert shown["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/a/b/{name}"
        assert re.fullmatch("AROA[A-Z0-9]{17}", shown["RoleId"])
        assert shown["AssumeRolePolicyDocument"] == TRUST_LAMBDA
        assert shown["Tags"] == [{"Key": "k", "Value": "v"}]
        assert shown["PermissionsBoundary"]["PermissionsBoundaryArn"] == "arn:aws:iam::aws:policy/Boundary"
    assert (got["Description"], got["MaxSessionDuration"], got["Path"]) == ("d & <d>", 7200, "/a/b/")
    assert got["RoleId"] == made["RoleId"] and got["CreateDate"] == made["CreateDate"]


def test_role_errors(iam, role, unique):
    with aws_error("EntityAlreadyExists", f"Role with name {role} already exists.", 409):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)
    with aws_error("EntityAlreadyExists", status=409):
        iam.create_role(RoleName=role.upper(), AssumeRolePolicyDocument=TRUST)
    with aws_error("MalformedPolicyDocument", "This policy contains invalid Json"):
        iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=NOT_JSON)
    with aws_error("ValidationError", re.compile("'roleName' failed to satisfy constraint")):
        iam.create_role(RoleName="a b", AssumeRolePolicyDocument=TRUST)
    with aws_error(
        "ValidationError",
        "1 validation error detected: Value '43201' at 'maxSessionDuration' failed to satisfy constraint: "
        "Member must have value less than or equal to 43200",
    ):
        iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=TRUST, MaxSessionDuration=43_201)
    missing = unique("missing")
    for call in (
        iam.get_role,
        iam.delete_role,
        iam.update_role,
        iam.list_role_tags,
        iam.list_role_policies,
        iam.list_attached_role_policies,
        iam.list_instance_profiles_for_role,
    ):
        with no_role(missing):
            call(RoleName=missing)


def test_list_roles_in_pages_and_by_path(iam, unique):
    path = f"/{unique('path')}/"
    names = [unique("listed") for _ in range(3)]
    for name in names:
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST)
    first = iam.list_roles(PathPrefix=path, MaxItems=2)
    assert first["IsTruncated"] and len(first["Roles"]) == 2
    second = iam.list_roles(PathPrefix=path, MaxItems=2, Marker=first["Marker"])
    assert not second["IsTruncated"]
    assert [role["RoleName"] for role in first["Roles"] + second["Roles"]] == sorted(names)
    with aws_error("ValidationError", re.compile("Invalid Marker")):
        iam.list_roles(Marker="%%%")


def test_accounts_are_apart_and_regions_are_not(server, role):
    with no_role(role):
        server.client("iam", account="111122223333").get_role(RoleName=role)
    assert server.client("iam", region="eu-west-1").get_role(RoleName=role)["Role"]["RoleName"] == role


def test_update_a_role(iam, role):
    assert answer(iam.update_role(RoleName=role, Description="new", MaxSessionDuration=3601)) == (200, {})
    shown = iam.get_role(RoleName=role)["Role"]
    assert (shown["Description"], shown["MaxSessionDuration"]) == ("new", 3601)
    assert iam.update_role_description(RoleName=role, Description="newer")["Role"]["Description"] == "newer"
    other = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(other))
    assert iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == other
    with aws_error("MalformedPolicyDocument", "This policy contains invalid Json"):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=NOT_JSON)
    with no_role("no-such"):
        iam.update_assume_role_policy(RoleName="no-such", PolicyDocument=TRUST)
    with aws_error("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", 409):
        large = {**other, "Id": "x" * 2048}
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(large))


def test_role_tags(iam, role):
    iam.tag_role(RoleName=role, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}])
    iam.tag_role(RoleName=role, Tags=[{"Key": "b", "Value": "3"}])
    assert iam.list_role_tags(RoleName=role)["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "3"}]
    iam.untag_role(RoleName=role, TagKeys=["a", "absent"])
    assert iam.list_role_tags(RoleName=role)["Tags"] == [{"Key": "b", "Value": "3"}]
    iam.tag_role(RoleName=role, Tags=[{"Key": f"k{i}", "Value": ""} for i in range(49)])
    with aws_error("LimitExceeded", status=409):
        iam.tag_role(RoleName=role, Tags=[{"Key": "one-more", "Value": ""}])


def test_delete_a_role(iam, role):
    iam.put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=ALLOW)
    with aws_error("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.delete_role(RoleName=role)
    iam.delete_role_policy(RoleName=role, PolicyName="inline")
    iam.attach_role_policy(RoleName=role, PolicyArn=AWS_POLICY)
    with aws_error("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.delete_role(RoleName=role)
    iam.detach_role_policy(RoleName=role, PolicyArn=AWS_POLICY)
    assert iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"] == []
    assert answer(iam.delete_role(RoleName=role)) == (200, {})
    with no_role(role):
        iam.get_role(RoleName=role)


def test_service_linked_role(client, unique):
    iam = client("iam", account="222233334444")
    suffix = unique("s")
    role = iam.create_service_linked_role(AWSServiceName="lex.amazonaws.com", CustomSuffix=suffix)["Role"]
    assert role["Path"] == "/aws-service-role/lex.amazonaws.com/"
    assert role["RoleName"] == f"AWSServiceRoleForLex_{suffix}"
    with aws_error(
        "InvalidInput",
        f"Service role name {role['RoleName']} has been taken in this account, please try a different suffix.",
    ):
        iam.create_service_linked_role(AWSServiceName="lex.amazonaws.com", CustomSuffix=suffix)


# Inline policies


def test_inline_policies(iam, role):
    iam.put_role_policy(RoleName=role, PolicyName="one", PolicyDocument=ALLOW)
    iam.put_role_policy(RoleName=role, PolicyName="one", PolicyDocument=OTHER)
    iam.put_role_policy(RoleName=role, PolicyName="two", PolicyDocument=ALLOW)
    got = iam.get_role_policy(RoleName=role, PolicyName="one")
    assert (got["RoleName"], got["PolicyName"], got["PolicyDocument"]) == (role, "one", json.loads(OTHER))
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["one", "two"]
    page = iam.list_role_policies(RoleName=role, MaxItems=1)
    assert page["PolicyNames"] == ["one"] and page["IsTruncated"]
    assert iam.list_role_policies(RoleName=role, Marker=page["Marker"])["PolicyNames"] == ["two"]
    iam.delete_role_policy(RoleName=role, PolicyName="one")
    for call in (iam.get_role_policy, iam.delete_role_policy):
        with aws_error("NoSuchEntity", "The role policy with name one cannot be found.", 404):
            call(RoleName=role, PolicyName="one")
    with aws_error("MalformedPolicyDocument"):
        iam.put_role_policy(RoleName=role, PolicyName="bad", PolicyDocument=NOT_JSON)
    with aws_error("LimitExceeded", f"Maximum policy size of 10240 bytes exceeded for role {role}", 409):
        iam.put_role_policy(
            RoleName=role, PolicyName="big", PolicyDocument=json.dumps({**json.loads(ALLOW), "Id": "x" * 10_240})
        )
    with no_role("no-such"):
        iam.put_role_policy(RoleName="no-such", PolicyName="x", PolicyDocument=ALLOW)


def test_the_text_of_a_document_is_kept(iam, role, server):
    """White space, order and escapes come back byte for byte, percent-encoded in the XML."""
    text = '{ "Version":"2012-10-17",\n "Statement":[{"Resource":"*","Action":"s3:\\u0047et*","Effect":"Allow"}]}'
    iam.put_role_policy(RoleName=role, PolicyName="exact", PolicyDocument=text)
    query = urllib.parse.urlencode(
        {"Action": "GetRolePolicy", "Version": "2010-05-08", "RoleName": role, "PolicyName": "exact"}
    ).encode()
    with urllib.request.urlopen(urllib.request.Request(server.url + "/", data=query), timeout=10) as response:
        document = re.search("<PolicyDocument>(.*)</PolicyDocument>", response.read().decode(), re.S).group(1)
    assert urllib.parse.unquote(document) == text


# Managed policies


def test_managed_policy(iam, unique):
    name = unique("policy")
    made = iam.create_policy(
        PolicyName=name, Path="/p/", PolicyDocument=ALLOW, Description="what", Tags=[{"Key": "k", "Value": "v"}]
    )["Policy"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:policy/p/{name}"
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    got = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert (got["PolicyId"], got["Description"], got["Tags"]) == (
        made["PolicyId"],
        "what",
        [{"Key": "k", "Value": "v"}],
    )
    version = iam.get_policy_version(PolicyArn=made["Arn"], VersionId="v1")["PolicyVersion"]
    assert (version["Document"], version["IsDefaultVersion"]) == (json.loads(ALLOW), True)
    with aws_error(
        "EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed.", 409
    ):
        iam.create_policy(PolicyName=name, PolicyDocument=ALLOW)
    with aws_error("MalformedPolicyDocument"):
        iam.create_policy(PolicyName=unique("policy"), PolicyDocument=NOT_JSON)
    with aws_error("LimitExceeded", "Cannot exceed quota for PolicySize: 6144", 409):
        iam.create_policy(
            PolicyName=unique("policy"), PolicyDocument=json.dumps({**json.loads(ALLOW), "Id": "x" * 6144})
        )
    iam.delete_policy(PolicyArn=made["Arn"])
    with aws_error("NoSuchEntity", f"Policy {made['Arn']} was not found.", 404):
        iam.get_policy(PolicyArn=made["Arn"])


def test_policy_versions(iam, policy):
    for number in range(2, 6):
        made = iam.create_policy_version(PolicyArn=policy, PolicyDocument=OTHER)["PolicyVersion"]
        assert (made["VersionId"], made["IsDefaultVersion"]) == (f"v{number}", False)
    with aws_error("LimitExceeded", re.compile("^A managed policy can have up to 5 versions."), 409):
        iam.create_policy_version(PolicyArn=policy, PolicyDocument=OTHER)
    with aws_error("DeleteConflict", re.compile("^This policy has more than one version."), 409):
        iam.delete_policy(PolicyArn=policy)
    iam.set_default_policy_version(PolicyArn=policy, VersionId="v3")
    assert iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"] == "v3"
    with aws_error("DeleteConflict", "Cannot delete the default version of a policy.", 409):
        iam.delete_policy_version(PolicyArn=policy, VersionId="v3")
    for number in (1, 2, 4, 5):
        iam.delete_policy_version(PolicyArn=policy, VersionId=f"v{number}")
    with aws_error("NoSuchEntity", status=404):
        iam.get_policy_version(PolicyArn=policy, VersionId="v1")
    with aws_error("NoSuchEntity", status=404):
        iam.set_default_policy_version(PolicyArn=policy, VersionId="v99")
    (version,) = iam.list_policy_versions(PolicyArn=policy)["Versions"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v3", True)
    made = iam.create_policy_version(PolicyArn=policy, PolicyDocument=ALLOW, SetAsDefault=True)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v6", True), "numbers are not used again"


def test_attach_policies(iam, role, policy):
    iam.attach_role_policy(RoleName=role, PolicyArn=policy)
    iam.attach_role_policy(RoleName=role, PolicyArn=policy)
    iam.attach_role_policy(RoleName=role, PolicyArn=AWS_POLICY)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert {item["PolicyArn"]: item["PolicyName"] for item in attached} == {
        policy: policy.split("/")[-1],
        AWS_POLICY: "AWSLambdaBasicExecutionRole",
    }
    assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 1
    with aws_error("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.delete_policy(PolicyArn=policy)
    missing = f"arn:aws:iam::{ACCOUNT}:policy/missing"
    with aws_error("NoSuchEntity", f"Policy {missing} does not exist or is not attachable.", 404):
        iam.attach_role_policy(RoleName=role, PolicyArn=missing)
    with aws_error("NoSuchEntity", f"Policy {missing} was not found.", 404):
        iam.detach_role_policy(RoleName=role, PolicyArn=missing)
    with no_role("no-such"):
        iam.attach_role_policy(RoleName="no-such", PolicyArn=policy)
    names = [item["PolicyName"] for item in iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]]
    assert policy.split("/")[-1] in names
    iam.detach_role_policy(RoleName=role, PolicyArn=policy)
    iam.delete_policy(PolicyArn=policy)


def test_list_policies_in_pages(iam, unique):
    path = f"/{unique('path')}/"
    names = [unique("policy") for _ in range(3)]
    for name in names:
        iam.create_policy(PolicyName=name, Path=path, PolicyDocument=ALLOW)
    pages = iam.get_paginator("list_policies").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2})
    assert [[policy["PolicyName"] for policy in page["Policies"]] for page in pages] == [
        sorted(names)[:2],
        sorted(names)[2:],
    ]


def test_a_missing_operation_says_so(iam):
    assert_not_implemented(lambda: iam.create_user(UserName="someone"), "CreateUser")


def test_with_the_command_line(aws, unique, tmp_path):
    name = unique("cli-role")
    (tmp_path / "trust.json").write_text(TRUST)
    made = aws(
        "iam", "create-role", "--role-name", name, "--assume-role-policy-document", f"file://{tmp_path}/trust.json"
    ).json
    assert made["Role"]["AssumeRolePolicyDocument"] == TRUST_LAMBDA
    aws("iam", "put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document", ALLOW)
    aws("iam", "attach-role-policy", "--role-name", name, "--policy-arn", AWS_POLICY)
    assert (
        aws("iam", "list-attached-role-policies", "--role-name", name).json["AttachedPolicies"][0]["PolicyArn"]
        == AWS_POLICY
    )
    failed = aws("iam", "get-role", "--role-name", name + "-no", check=False)
    command_failed(failed, "NoSuchEntity", "GetRole", f"The role with name {name}-no cannot be found.")


def test_policies_of_other_accounts_are_theirs(client, unique):
    """Naming another account's policy by its ARN gives no power over it."""
    mine, other = client("iam"), client("iam", account="222233334444")
    document = '{"Version":"2012-10-17","Statement":[]}'
    arn = mine.create_policy(PolicyName=unique("policy"), PolicyDocument=document)["Policy"]["Arn"]
    for call in (
        lambda: other.get_policy(PolicyArn=arn),
        lambda: other.get_policy_version(PolicyArn=arn, VersionId="v1"),
        lambda: other.create_policy_version(PolicyArn=arn, PolicyDocument=document),
        lambda: other.delete_policy(PolicyArn=arn),
    ):
        with pytest.raises(other.exceptions.NoSuchEntityException):
            call()
    assert mine.get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn
    mine.delete_policy(PolicyArn=arn)


def test_role_sessions_assume_no_role_of_another_account(server, client):
    keys = client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/r", RoleSessionName="one")["Credentials"]
    session = boto3.client(
        "sts",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    session.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/other", RoleSessionName="two")
    with pytest.raises(session.exceptions.ClientError, match="AccessDenied"):
        session.assume_role(RoleArn="arn:aws:iam::222233334444:role/r", RoleSessionName="three")
