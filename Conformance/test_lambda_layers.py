"""Layers: publishing, reading, permissions, and what functions see of them."""

import base64
import hashlib
import urllib.request

import pytest

from .harness import zip_bytes
from .lambda_helpers import ECHO, NO_REVISION, refused


@pytest.fixture
def lambda_(client):
    return client("lambda")


def layer_arn(name, version=None):
    return f"arn:aws:lambda:us-east-1:000000000000:layer:{name}" + (f":{version}" if version else "")


def publish(lambda_, name, files, **parameters):
    return lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": zip_bytes(files)}, **parameters)


def test_lifecycle(lambda_, unique):
    name = unique("layer")
    package = zip_bytes({"python/deps.py": "VALUE = 1"})
    created = lambda_.publish_layer_version(
        LayerName=name, Description="d", Content={"ZipFile": package}, CompatibleRuntimes=["python3.13"],
        CompatibleArchitectures=["x86_64"], LicenseInfo="MIT",
    )
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (created["Version"], created["LayerArn"]) == (1, layer_arn(name))
    assert created["LayerVersionArn"] == layer_arn(name, 1)
    assert created["Content"]["CodeSize"] == len(package)
    assert created["Content"]["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    with urllib.request.urlopen(created["Content"]["Location"], timeout=10) as response:
        assert response.read() == package
    for got in (
        lambda_.get_layer_version(LayerName=name, VersionNumber=1),
        lambda_.get_layer_version(LayerName=layer_arn(name), VersionNumber=1),
        lambda_.get_layer_version_by_arn(Arn=layer_arn(name, 1)),
    ):
        assert (got["Version"], got["Description"], got["LicenseInfo"]) == (1, "d", "MIT")
        assert got["CompatibleRuntimes"] == ["python3.13"]
        assert got["CreatedDate"] == created["CreatedDate"]
    assert publish(lambda_, name, {"python/deps.py": "VALUE = 2"})["Version"] == 2
    for _ in range(2):
        lambda_.delete_layer_version(LayerName=name, VersionNumber=2)
    assert publish(lambda_, name, {"python/deps.py": "VALUE = 3"})["Version"] == 3
    listed = lambda_.list_layer_versions(LayerName=name)["LayerVersions"]
    assert [item["Version"] for item in listed] == [3, 1]
    mine = [item for item in lambda_.list_layers()["Layers"] if item["LayerName"] == name]
    assert mine[0]["LatestMatchingVersion"]["Version"] == 3
    matching = [
        item for item in lambda_.list_layers(CompatibleRuntime="python3.13")["Layers"] if item["LayerName"] == name
    ]
    assert matching[0]["LatestMatchingVersion"]["Version"] == 1


def test_errors(lambda_, unique):
    name = unique("layer")
    publish(lambda_, name, {"python/a.py": ""})
    missing = refused(lambda_.get_layer_version, LayerName=name, VersionNumber=9)
    assert (missing.status, missing.message) == (404, "The resource you requested does not exist.")
    assert refused(lambda_.get_layer_version, LayerName=name, VersionNumber=0).message == (
        "Layer Version Cannot be less than 1"
    )
    invalid = refused(lambda_.get_layer_version_by_arn, Arn=layer_arn(name))
    assert invalid.code == "ValidationException"
    assert invalid.message.startswith(
        f"1 validation error detected: Value '{layer_arn(name)}' at 'arn' failed to satisfy constraint: "
    )
    bad = refused(lambda_.publish_layer_version, LayerName=name, Content={"ZipFile": b"not a zip, no"})
    assert bad.message.startswith("Could not unzip uploaded file.")
    wrong = refused(lambda_.list_layers, CompatibleArchitecture="archdoesnotexist")
    assert wrong.message == (
        "1 validation error detected: Value 'archdoesnotexist' at 'compatibleArchitecture' failed to satisfy "
        "constraint: Member must satisfy enum value set: [x86_64, arm64]"
    )


def test_functions_see_their_layers_merged(lambda_, make_function, unique):
    one = publish(lambda_, unique("layer"), {"python/first.py": "V = 1", "python/both.py": "V = 1"})
    two = publish(lambda_, unique("layer"), {"python/both.py": "V = 2"})
    arns = [one["LayerVersionArn"], two["LayerVersionArn"]]
    source = "import first, both\ndef handler(event, context):\n    return [first.V, both.V]\n"
    function = make_function(source, Layers=arns)
    configuration = lambda_.get_function_configuration(FunctionName=function.name)
    assert [layer["Arn"] for layer in configuration["Layers"]] == arns
    assert function.invoke().json == [1, 2], "later layers win"
    lambda_.delete_layer_version(LayerName=one["LayerArn"], VersionNumber=1)
    lambda_.update_function_configuration(FunctionName=function.name, Timeout=9)
    function.wait()
    assert function.invoke().json == [1, 2], "a deleted version goes on working where it is used"
    gone = refused(lambda_.update_function_configuration, FunctionName=function.name, Layers=arns)
    assert gone.message == f"Layer version {arns[0]} does not exist."
    lambda_.update_function_configuration(FunctionName=function.name, Layers=[])
    function.wait()
    assert "Layers" not in lambda_.get_function_configuration(FunctionName=function.name)
    assert function.invoke().error == "Unhandled"


def test_references_that_are_refused(lambda_, make_function, unique):
    function = make_function(ECHO)
    name = unique("layer")
    for content in ("1", "2"):
        publish(lambda_, name, {"python/a.py": content})

    def update(*layers):
        return refused(lambda_.update_function_configuration, FunctionName=function.name, Layers=list(layers)).message

    assert update(*[f"{layer_arn(name)}{i}:1" for i in range(6)]) == "Cannot reference more than 5 layers."
    assert update(layer_arn(name, 1), layer_arn(name, 2)) == (
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{layer_arn(name, 1)} and {layer_arn(name, 2)} are versions of the same layer."
    )
    assert update(layer_arn(name, 1).replace("us-east-1", "eu-west-1")) == (
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    )


def test_permissions(lambda_, unique):
    name = unique("layer")
    publish(lambda_, name, {"python/a.py": ""})
    version = {"LayerName": name, "VersionNumber": 1}
    none = refused(lambda_.get_layer_version_policy, **version)
    assert (none.status, none.message) == (404, "No policy is associated with the given resource.")
    grant = {**version, "StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    added = lambda_.add_layer_version_permission(**grant)
    assert '"Principal":"*"' in added["Statement"]
    assert refused(lambda_.add_layer_version_permission, **grant).message.startswith(
        "The statement id (s) provided already exists."
    )
    policy = lambda_.get_layer_version_policy(**version)
    assert added["Statement"] in policy["Policy"] and policy["RevisionId"] == added["RevisionId"]
    action = refused(lambda_.add_layer_version_permission, **{**grant, "Action": "*"})
    assert action.message == (
        "1 validation error detected: Value '*' at 'action' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: lambda:GetLayerVersion"
    )
    wrong = refused(
        lambda_.remove_layer_version_permission, **version, StatementId="s", RevisionId=NO_REVISION
    )
    assert wrong.status == 412 and "Call the GetLayerPolicy API" in wrong.message
    missing = refused(lambda_.remove_layer_version_permission, **version, StatementId="doesnotexist")
    assert missing.message == "Statement doesnotexist is not found in resource policy."
    lambda_.remove_layer_version_permission(**version, StatementId="s")
    absent = refused(lambda_.add_layer_version_permission, **{**grant, "VersionNumber": 2})
    assert (absent.status, absent.message) == (404, f"Layer version {layer_arn(name, 2)} does not exist.")


def test_command_line(aws, unique, tmp_path):
    name = unique("layer")
    package = tmp_path / "layer.zip"
    package.write_bytes(zip_bytes({"python/a.py": ""}))
    made = aws("lambda", "publish-layer-version", "--layer-name", name, "--zip-file", f"fileb://{package}").json
    assert made["Version"] == 1
    arn = made["LayerVersionArn"]
    assert aws("lambda", "get-layer-version-by-arn", "--arn", arn).json["LayerVersionArn"] == arn
    aws("lambda", "get-layer-version", "--layer-name", name, "--version-number", "1")
    assert len(aws("lambda", "list-layer-versions", "--layer-name", name).json["LayerVersions"]) == 1
    aws("lambda", "delete-layer-version", "--layer-name", name, "--version-number", "1")
