"""Functions: create, read, update, list, delete."""

import base64
import hashlib
import io
import re
import urllib.request
import zipfile

import pytest

from .harness import wait_for, zip_bytes
from .lambda_helpers import ECHO, NO_REVISION, OTHER, arn, code, refused

ROLE = "arn:aws:iam::000000000000:role/anything"


@pytest.fixture
def lambda_(client):
    return client("lambda")


def test_create_answers_the_defaults(lambda_, make_function, unique):
    name = unique("fn")
    package = code()
    created = lambda_.create_function(
        FunctionName=name, Runtime="python3.13", Role=ROLE, Handler="index.handler", Code={"ZipFile": package}
    )
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["FunctionArn"] == arn(name)
    assert (created["State"], created["StateReasonCode"]) == ("Pending", "Creating")
    assert created["StateReason"] == "The function is being created."
    assert "LastUpdateStatus" not in created and "Environment" not in created and "VpcConfig" not in created
    assert (created["Timeout"], created["MemorySize"], created["Description"]) == (3, 128, "")
    assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert created["CodeSize"] == len(package)
    assert created["PackageType"] == "Zip" and created["Architectures"] == ["x86_64"]
    assert created["EphemeralStorage"] == {"Size": 512}
    assert created["TracingConfig"] == {"Mode": "PassThrough"}
    assert created["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
    assert created["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    assert created["Version"] == "$LATEST"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", created["LastModified"])
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    active = lambda_.get_function_configuration(FunctionName=name)
    assert (active["State"], active["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in active
    assert active["RevisionId"] != created["RevisionId"]
    lambda_.delete_function(FunctionName=name)


@pytest.mark.parametrize(
    "change, code_, message",
    [
        ({"Runtime": "PYTHON3.9"}, "InvalidParameterValueException",
         r"Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \[.*\] "
         r"or be a valid ARN"),
        ({"Role": "r1"}, "ValidationException",
         r"1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular "
         r"expression pattern: .*"),
        ({"Code": {"ZipFile": b"this is not a zip file at all"}}, "InvalidParameterValueException",
         r"Could not unzip uploaded file\. Please check your file, then try to upload again\."),
        ({"Code": {"ImageUri": "x"}, "PackageType": "Image"}, "InvalidParameterValueException",
         r"Container images .* not supported by Martlet yet.*"),
        ({"Code": {"S3Bucket": "no-such-bucket-here", "S3Key": "k"}}, "InvalidParameterValueException",
         r"Error occurred while GetObject\. S3 Error Code: NoSuchBucket\. "
         r"S3 Error Message: The specified bucket does not exist"),
        ({"Environment": {"Variables": {"LARGE": "x" * 4096}}}, "InvalidParameterValueException",
         r"Lambda was unable to configure your environment variables because the environment variables you have "
         r'provided exceeded the 4KB limit\. String measured: \{"LARGE":"x+"\}'),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException",
         r".*contains reserved keys.* Reserved keys used in this request: AWS_REGION"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:no-such-layer:1"]},
         "InvalidParameterValueException",
         r"Layer version arn:aws:lambda:us-east-1:000000000000:layer:no-such-layer:1 does not exist\."),
        ({"Architectures": ["x86_64", "arm64"]}, "ValidationException",
         r"1 validation error detected: Value '\[x86_64, arm64\]' at 'architectures' failed to satisfy constraint: "
         r"Member must have length less than or equal to 1"),
        ({"Timeout": 901}, "ValidationException", r".*'timeout' failed .* less than or equal to 900"),
    ],
)
def test_create_refuses(lambda_, unique, change, code_, message):
    name = unique("fn")
    parameters = {
        "FunctionName": name, "Runtime": "python3.13", "Role": ROLE, "Handler": "index.handler",
        "Code": {"ZipFile": code()}, **change,
    }
    refusal = refused(lambda_.create_function, **parameters)
    assert refusal.code == code_, refusal
    assert refusal.status == 400
    assert re.fullmatch(message, refusal.message, re.DOTALL), refusal
    assert refused(lambda_.get_function, FunctionName=name).status == 404, "nothing is half-created"


def test_create_refuses_a_name_that_is_taken_or_too_long(lambda_, make_function):
    function = make_function(ECHO)
    parameters = {
        "Runtime": "python3.13", "Role": ROLE, "Handler": "index.handler", "Code": {"ZipFile": code()},
    }
    taken = refused(lambda_.create_function, FunctionName=function.name, **parameters)
    assert (taken.status, taken.code) == (409, "ResourceConflictException")
    assert taken.message == f"Function already exist: {function.name}"
    long = refused(lambda_.create_function, FunctionName="a" * 65, **parameters)
    assert long.code == "InvalidParameterValueException"
    assert long.message == (
        f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64"
    )


def test_runtime_and_handler_are_needed(lambda_, unique):
    refusal = refused(lambda_.create_function, FunctionName=unique("fn"), Role=ROLE, Code={"ZipFile": code()})
    assert refusal.message == (
        "Runtime and Handler are mandatory parameters for functions created with deployment packages."
    )


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil"])
def test_zip_slips_are_refused(lambda_, unique, path):
    refusal = refused(
        lambda_.create_function, FunctionName=unique("fn"), Runtime="python3.13", Role=ROLE, Handler="index.handler",
        Code={"ZipFile": zip_bytes({"index.py": ECHO, path: "x"})},
    )
    assert refusal.message.startswith("Could not unzip uploaded file.")


@pytest.mark.slow
def test_zip_bombs_are_refused(lambda_, unique):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 262_144_000)
    bomb = buffer.getvalue()
    assert len(bomb) < 1 << 20
    refusal = refused(
        lambda_.create_function, FunctionName=unique("fn"), Runtime="python3.13", Role=ROLE, Handler="index.handler",
        Code={"ZipFile": bomb},
    )
    assert refusal.message == "Unzipped size must be smaller than 262144000 bytes"


def test_a_zip_over_the_limit_is_refused(lambda_, unique):
    refusal = refused(
        lambda_.create_function, FunctionName=unique("fn"), Runtime="python3.13", Role=ROLE, Handler="index.handler",
        Code={"ZipFile": b"x" * 52_428_801},
    )
    assert (refusal.status, refusal.code) == (413, "RequestEntityTooLargeException")
    assert refusal.message == "Zipped size must be smaller than 52428800 bytes"


def test_get_function(lambda_, make_function):
    function = make_function(ECHO, Tags={"team": "a"})
    answer = lambda_.get_function(FunctionName=function.name)
    assert answer["Tags"] == {"team": "a"}
    assert answer["Code"]["RepositoryType"] == "S3"
    assert "Concurrency" not in answer
    with urllib.request.urlopen(answer["Code"]["Location"], timeout=10) as response:
        package = response.read()
    assert base64.b64encode(hashlib.sha256(package).digest()).decode() == answer["Configuration"]["CodeSha256"]
    for name in (function.arn, f"000000000000:function:{function.name}", f"function:{function.name}"):
        assert lambda_.get_function(FunctionName=name)["Configuration"]["FunctionArn"] == function.arn
    qualified = lambda_.get_function(FunctionName=function.name, Qualifier="$LATEST")
    assert qualified["Configuration"]["FunctionArn"] == arn(function.name, "$LATEST")


def test_names_that_do_not_resolve(lambda_, make_function):
    name = make_function(ECHO).name
    for call in (lambda_.get_function, lambda_.get_function_configuration):
        missing = refused(call, FunctionName="no-such-function")
        assert (missing.status, missing.code, missing.type) == (404, "ResourceNotFoundException", "User")
        assert missing.message == f"Function not found: {arn('no-such-function')}"
        version = refused(call, FunctionName=name, Qualifier="1221")
        assert version.message == f"Function not found: {arn(name, '1221')}"
        mismatch = refused(call, FunctionName=arn(name, "1"), Qualifier="$LATEST")
        assert mismatch.message == (
            "The derived qualifier from the function name does not match the specified qualifier."
        )
        region = refused(call, FunctionName=arn(name, region="eu-central-1"))
        assert region.message == "Functions from 'eu-central-1' are not reachable in this region ('us-east-1')"
        assert refused(call, FunctionName=arn(name, account="111122223333")).code == "AccessDeniedException"
    invalid = refused(lambda_.get_function, FunctionName="invalid:function:name")
    assert invalid.code == "ValidationException"
    assert invalid.message.startswith(
        "1 validation error detected: Value 'invalid:function:name' at 'functionName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: "
    )


def test_update_code(lambda_, make_function):
    function = make_function(ECHO)
    assert function.invoke({"a": 1}).json == {"a": 1}
    dry = lambda_.update_function_code(FunctionName=function.name, ZipFile=code(OTHER), DryRun=True)
    assert function.invoke({"a": 1}).json == {"a": 1}
    wrong = refused(
        lambda_.update_function_code, FunctionName=function.name, ZipFile=code(OTHER), RevisionId=NO_REVISION
    )
    assert (wrong.status, wrong.code) == (412, "PreconditionFailedException")
    assert wrong.message == (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    )
    updated = lambda_.update_function_code(FunctionName=function.name, ZipFile=code(OTHER))
    assert updated["CodeSha256"] == dry["CodeSha256"]
    assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
    assert updated["LastUpdateStatusReasonCode"] == "Creating"
    assert function.invoke({"a": 1}).json == "other", "no stale code after the answer"
    function.wait()
    assert lambda_.get_function_configuration(FunctionName=function.name)["LastUpdateStatus"] == "Successful"
    image = refused(lambda_.update_function_code, FunctionName=function.name, ImageUri="x")
    assert image.message == "Please don't provide ImageUri when updating a function with packageType Zip."


def test_update_configuration(lambda_, make_function):
    function = make_function(
        "import os\ndef handler(event, context):\n    return [os.environ.get('AA'), context.memory_limit_in_mb]\n",
        Environment={"Variables": {"AA": "1"}},
    )
    assert function.invoke().json == ["1", "128"]
    updated = lambda_.update_function_configuration(
        FunctionName=function.name, MemorySize=256, Environment={"Variables": {"AA": "2"}}, Description="d", Timeout=9
    )
    assert (updated["MemorySize"], updated["Description"], updated["Timeout"]) == (256, "d", 9)
    assert updated["LastUpdateStatus"] == "InProgress"
    assert function.invoke().json == ["2", "256"]
    function.wait()
    wrong = refused(lambda_.update_function_configuration, FunctionName=function.name, RevisionId=NO_REVISION)
    assert wrong.status == 412
    missing = refused(lambda_.update_function_configuration, FunctionName="no-such-function", Timeout=1)
    assert missing.message == f"Function not found: {arn('no-such-function')}"


def test_list_functions(server, unique):
    lambda_ = server.client("lambda", account="222233334444")
    names = sorted(unique("list") for _ in range(3))
    for name in names:
        lambda_.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=ROLE.replace("000000000000", "222233334444"),
            Handler="index.handler",
            Code={"ZipFile": code()},
        )
    pages = lambda_.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    items = [item for page in pages for item in page["Functions"]]
    assert [item["FunctionName"] for item in items] == names
    assert not {"State", "LastUpdateStatus", "StateReason"} & items[0].keys()
    everything = lambda_.list_functions(FunctionVersion="ALL")["Functions"]
    assert everything[0]["FunctionArn"].endswith(":$LATEST")
    wrong = refused(lambda_.list_functions, FunctionVersion="invalid")
    assert wrong.message == (
        "1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy constraint: "
        "Member must satisfy enum value set: [ALL]"
    )
    for name in names:
        lambda_.delete_function(FunctionName=name)
    assert lambda_.list_functions()["Functions"] == []


def test_delete_function(lambda_, make_function):
    function = make_function(ECHO)
    latest = refused(lambda_.delete_function, FunctionName=function.name, Qualifier="$LATEST")
    assert latest.message == "$LATEST version cannot be deleted without deleting the function."
    alias = refused(lambda_.delete_function, FunctionName=function.name, Qualifier="live")
    assert alias.message == "Deletion of aliases is not currently supported."
    for _ in range(2):
        lambda_.delete_function(FunctionName=function.name, Qualifier="1233")
    answer = lambda_.delete_function(FunctionName=function.name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    for qualifier in ({}, {"Qualifier": "1233"}):
        missing = refused(lambda_.delete_function, FunctionName=function.name, **qualifier)
        assert missing.message == f"Function not found: {arn(function.name)}"


def test_functions_survive_kill_9(make_server, make_function):
    server = make_server()
    function = make_function(ECHO, server=server)
    server.restart("kill9")
    assert function.invoke({"still": "here"}).json == {"still": "here"}


def test_an_interrupted_creation_is_finished_after_a_restart(make_server, make_function):
    server = make_server()
    function = make_function(ECHO, server=server, wait=False)
    server.restart("kill9")
    lambda_ = server.client("lambda")
    wait_for(lambda: lambda_.get_function_configuration(FunctionName=function.name)["State"] == "Active")


def test_command_line(aws, unique, tmp_path):
    name = unique("cli")
    package = tmp_path / "fn.zip"
    package.write_bytes(code())
    created = aws(
        "lambda", "create-function", "--function-name", name, "--runtime", "python3.13", "--role", ROLE, "--handler",
        "index.handler", "--zip-file", f"fileb://{package}",
    ).json
    assert created["FunctionName"] == name
    aws("lambda", "wait", "function-active-v2", "--function-name", name)
    assert aws("lambda", "get-function", "--function-name", name).json["Configuration"]["State"] == "Active"
    package.write_bytes(code(OTHER))
    aws("lambda", "update-function-code", "--function-name", name, "--zip-file", f"fileb://{package}")
    aws("lambda", "wait", "function-updated-v2", "--function-name", name)
    aws("lambda", "update-function-configuration", "--function-name", name, "--timeout", "7")
    aws("lambda", "wait", "function-updated", "--function-name", name)
    listed = aws("lambda", "list-functions", "--query", f"Functions[?FunctionName=='{name}'].Timeout").json
    assert listed == [7]
    aws("lambda", "delete-function", "--function-name", name)
    gone = aws("lambda", "get-function", "--function-name", name, check=False)
    assert gone.code == 254 and "ResourceNotFoundException" in gone.error
