"""botocore's protocol test cases, run in reverse against Martlet's codecs.

    python3 Conformance/wire/protocols.py fetch           botocore's package and its tests into .cache
    python3 Conformance/wire/protocols.py prepare FOLDER  writes requests.json and answers.json
    MARTLET_PROTOCOL_TESTS=FOLDER swift test --filter ProtocolCases
                                                          decodes the requests (and compares), encodes the answers
    python3 Conformance/wire/protocols.py check FOLDER    parses what was encoded with botocore and compares

A case's model becomes a schema text by Tools/apigen. Values go through JSON with three tags for what JSON lacks:
{"$blob": base64}, {"$time": epoch seconds}, {"$double": number or "NaN"}.
"""

import base64
import copy
import json
import math
import pathlib
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
sys.path.insert(0, str(ROOT / "Tools/apigen"))

import models  # noqa: E402
import schema  # noqa: E402

# botocore is a client: cases that it leaves out itself (its ignore list) prove nothing, neither do these.
NOT_FOR_SERVERS = {
    "input": {
        "QueryEmptyQueryMaps": "an empty map leaves nothing in the request",
        "RestJsonHttpPrefixHeadersAreNotPresent": "an empty map leaves nothing in the request",
        "HttpPrefixHeadersAreNotPresent": "an empty map leaves nothing in the request",
        "RestJsonOmitsEmptyListQueryValues": "empty lists leave nothing in the request",
        "RestJsonHttpWithEmptyStructurePayload": "an absent and an empty payload look the same",
        "RestJsonHttpWithHeadersButNoPayload": "an absent and an empty payload look the same",
    },
    "output": {
        "RestJsonIgnoreQueryParamsInResponse": "a query member in an output never reaches a client",
        "IgnoreQueryParamsInResponse": "a query member in an output never reaches a client",
    },
}


def fetch():
    """Puts the pinned botocore, and its source distribution with the test cases, into .cache."""
    pin = f"botocore=={models.BOTOCORE_VERSION}"
    pip = [sys.executable, "-m", "pip", "--quiet"]
    if not (CACHE / "botocore" / f"botocore-{models.BOTOCORE_VERSION}.dist-info").is_dir():
        subprocess.run([*pip, "install", pin, "--target", CACHE / "botocore"], check=True)
    if not cases_folder().is_dir():
        subprocess.run([*pip, "download", pin, "--no-binary", ":all:", "--no-deps", "-d", CACHE / "sdist"], check=True)
        (CACHE / "src").mkdir(exist_ok=True)
        archive = CACHE / "sdist" / f"botocore-{models.BOTOCORE_VERSION}.tar.gz"
        subprocess.run(["tar", "xzf", archive, "-C", CACHE / "src"], check=True)


def cases_folder():
    return CACHE / "src" / f"botocore-{models.BOTOCORE_VERSION}" / "tests/unit/protocols"


def ignored(file, side, description, case_id):
    lists = json.loads((cases_folder() / "protocol-tests-ignore-list.json").read_text())
    if description in lists["general"].get(side, {}).get("suites", []):
        return True
    own = lists["protocols"].get(file, {}).get(side, {})
    return case_id in own.get("cases", []) or description in own.get("suites", []) or case_id in NOT_FOR_SERVERS[side]


def cases(side):
    """(id, model with one operation, case) of every case for a protocol that we speak."""
    for path in sorted((cases_folder() / side).glob("*.json")):
        if path.stem == "ec2":
            continue
        for suite_index, suite in enumerate(json.loads(path.read_text())):
            for case_index, case in enumerate(suite["cases"]):
                if ignored(path.stem, side, suite["description"], case.get("id")):
                    continue
                model = {key: copy.deepcopy(suite[key]) for key in ("metadata", "shapes")}
                name = case["given"].get("name", "OperationName")
                given = dict(copy.deepcopy(case["given"]), name=name)
                given.setdefault("http", {"method": "POST", "requestUri": "/"})
                model["operations"] = {name: given}
                metadata = model["metadata"]
                metadata.setdefault("endpointPrefix", "test")
                metadata.setdefault("serviceId", "Test")
                label = case.get("id", f"{suite_index}.{case_index}")
                yield f"{path.stem}/{suite_index}.{case_index}/{label}", model, case


def number(value):
    if isinstance(value, str) or math.isnan(value) or math.isinf(value):
        text = str(value).lower()
        return {"$double": "NaN" if text == "nan" else ("-Infinity" if text.startswith("-") else "Infinity")}
    return {"$double": value}


def tagged(model, shape, value):
    """A test's value with tags by its shape."""
    if value is None or shape.get("document"):
        return value
    kind = shape["type"]
    if kind == "structure":
        return {
            name: tagged(model, model["shapes"][shape["members"][name]["shape"]], item)
            for name, item in value.items() if name in shape["members"]
        }
    if kind == "list":
        return [tagged(model, model["shapes"][shape["member"]["shape"]], item) for item in value]
    if kind == "map":
        return {name: tagged(model, model["shapes"][shape["value"]["shape"]], item) for name, item in value.items()}
    if kind in ("float", "double"):
        return number(value)
    if kind == "blob":
        return {"$blob": base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()}
    if kind == "timestamp":
        return {"$time": value}
    return value


def schema_text(model):
    return schema.text(model, {"id": "test", "validation": "ValidationException"})


def request_row(label, model, case):
    from botocore.awsrequest import create_request_object, prepare_request_dict
    from botocore.model import OperationModel, ServiceModel
    from botocore.serialize import SERIALIZERS

    name, given = next(iter(model["operations"].items()))
    operation = OperationModel(given, ServiceModel(model), name)
    params = copy.deepcopy(case["params"])
    floats = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
    params = {key: floats.get(value, value) if isinstance(value, str) else value for key, value in params.items()}
    request = SERIALIZERS[model["metadata"]["protocol"]]().serialize_to_request(params, operation)
    prepare_request_dict(request, "http://localhost", context={})
    prepared = create_request_object(request).prepare()
    url = urllib.parse.urlsplit(prepared.url)
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else body.read() if hasattr(body, "read") else bytes(body)
    headers = [[key.lower(), value.decode() if isinstance(value, bytes) else value] for key, value in prepared.headers.items()]
    expected = {}
    if "input" in given:
        shape = model["shapes"][given["input"]["shape"]]
        expected = tagged(model, shape, case["params"])
        leave_out_named_parameters(model, shape, expected)
        payload = shape.get("payload")
        if payload and model["shapes"][shape["members"][payload]["shape"]]["type"] == "blob":
            expected.pop(payload, None)
    return {
        "id": label, "schema": schema_text(model), "operation": name, "method": prepared.method, "path": url.path or "/",
        "query": url.query, "headers": headers, "body": base64.b64encode(body).decode(), "expected": expected,
    }


def leave_out_named_parameters(model, shape, expected):
    """A query map holds what no other member names; clients may be given the same parameter twice."""
    queries = {n: m for n, m in shape["members"].items() if m.get("location") == "querystring"}
    named = {m.get("locationName") for n, m in queries.items() if model["shapes"][m["shape"]]["type"] != "map"}
    for name, member in queries.items():
        if model["shapes"][member["shape"]]["type"] == "map" and name in expected:
            expected[name] = {key: value for key, value in expected[name].items() if key not in named}
            if not expected[name]:
                del expected[name]


def answer_row(label, model, case):
    name, given = next(iter(model["operations"].items()))
    if model["metadata"]["protocol"] == "query" and given.get("output"):
        given["output"]["resultWrapper"] = f"{name}Result"
    row = {"id": label, "operation": name, "status": case["response"].get("status_code", 200)}
    if "error" in case:
        row["error"] = {"code": case.get("errorCode", ""), "message": case.get("errorMessage", "")}
        shape = next((s for n, s in model["shapes"].items() if s.get("exception") and error_code(n, s) == case.get("errorCode")), None)
        fields = {k: v for k, v in case["error"].items() if k.lower() != "message"}
        row["error"]["fields"] = tagged(model, shape, fields) if shape else fields
    elif given.get("output"):
        row["value"] = tagged(model, model["shapes"][given["output"]["shape"]], case["result"])
    else:
        row["value"] = {}
    row["schema"] = schema_text(model)
    return row


def error_code(name, shape):
    return shape.get("error", {}).get("code", name)


def prepare(folder):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [request_row(*case) for case in cases("input")]
    (folder / "requests.json").write_text(json.dumps(rows))
    answers = [answer_row(*case) for case in cases("output")]
    (folder / "answers.json").write_text(json.dumps(answers))
    return len(rows), len(answers)


def plain(value):
    """A parsed answer in the form of the tests' expectations."""
    from botocore.eventstream import EventStream

    if isinstance(value, EventStream):
        return [plain(event) for event in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, float) and (math.isnan(value) or math.isinf(value)):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def parse(model, encoded, error):
    from botocore.awsrequest import HeadersDict
    from botocore.model import NoShapeFoundError, OperationModel, ServiceModel
    from botocore.parsers import PROTOCOL_PARSERS
    from botocore.utils import parse_timestamp

    name, given = next(iter(model["operations"].items()))
    if model["metadata"]["protocol"] == "query" and given.get("output"):
        given["output"]["resultWrapper"] = f"{name}Result"
    service = ServiceModel(model)
    operation = OperationModel(given, service, name)
    parser = PROTOCOL_PARSERS[model["metadata"]["protocol"]](
        timestamp_parser=lambda value: parse_timestamp(value).timestamp())
    body = base64.b64decode(encoded["body"])

    class Raw:
        def stream(self):
            yield body

    response = {
        "status_code": encoded["status"], "headers": HeadersDict(dict(encoded["headers"])),
        "body": Raw() if operation.has_event_stream_output else body, "context": {"operation_name": name},
    }
    parsed = parser.parse(response, operation.output_shape)
    if error:
        try:
            shape = service.shape_for_error_code(parsed.get("Error", {}).get("Code"))
            parsed.update(parser.parse(response, shape))
        except NoShapeFoundError:
            pass
    return plain(parsed)


def check(folder):
    """Differences between what botocore reads from our answers and what the cases expect."""
    encoded = {row["id"]: row for row in json.loads((folder / "encoded.json").read_text())}
    failures = []
    for label, model, case in cases("output"):
        if label not in encoded:
            failures.append((label, "not encoded", None))
            continue
        try:
            parsed = parse(model, encoded[label], "error" in case)
        except Exception as error:  # a parser that fails is a finding, not a crash of the check
            failures.append((label, repr(error), encoded[label]))
            continue
        if "error" in case:
            found = dict(parsed, Error={k: parsed.get("Error", {}).get(k) for k in ("Code", "Message")})
            expected = {"Error": {"Code": case.get("errorCode", ""), "Message": case.get("errorMessage", "")}}
            expected.update(case["error"])
            found = {key: value for key, value in found.items() if key in expected}
        else:
            found, expected = parsed, case["result"]
        if found != expected:
            failures.append((label, found, expected))
    return failures


def main():
    command, *rest = sys.argv[1:]
    fetch()
    sys.path.insert(0, str(CACHE / "botocore"))
    if command == "prepare":
        print("%d requests, %d answers" % prepare(pathlib.Path(rest[0])))
    elif command == "check":
        failures = check(pathlib.Path(rest[0]))
        for label, found, expected in failures:
            print(f"{label}\n  found    {found}\n  expected {expected}")
        print(f"{len(failures)} answers differ")
        sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
