"""Renders a model as Martlet's compact schema text (grammar: Docs in Sources/Wire/Schema/SchemaText.swift).

Used by the generator and by the protocol tests (Conformance/wire), which make schemas of botocore's test models.
"""

import re

PROTOCOLS = {"rest-json": "restJSON", "rest-xml": "restXML", "query": "query", "smithy-rpc-v2-cbor": "cbor"}
SCALARS = {
    "string": "string", "character": "string", "boolean": "boolean", "integer": "integer", "long": "long",
    "float": "float", "double": "double", "blob": "blob", "timestamp": "timestamp",
}
LOCATIONS = {"header": "header", "headers": "headers", "uri": "uri", "querystring": "query", "statusCode": "status"}


def protocol_names(metadata):
    names = []
    for name in metadata.get("protocols") or [metadata["protocol"]]:
        if name == "json":
            names.append("json11" if metadata.get("jsonVersion", "1.1") == "1.1" else "json10")
        elif name in PROTOCOLS:
            names.append(PROTOCOLS[name])
    return names


def constrained(shape):
    """Whether a scalar shape needs a line of its own."""
    return "enum" in shape or "pattern" in shape or bool(bounds(shape))


def reference(model, name):
    """How a member names its target: a scalar without constraints by its kind, anything else by its shape name."""
    shape = model["shapes"][name]
    kind = shape["type"]
    if kind in SCALARS and not constrained(shape):
        if kind == "timestamp" and "timestampFormat" in shape:
            return "timestamp:" + shape["timestampFormat"]
        return SCALARS[kind]
    if kind == "structure" and shape.get("document"):
        return "document"
    return name


def word(text):
    """Attribute values are words: blanks and percent signs are percent-encoded."""
    return text.replace("%", "%25").replace(" ", "%20").replace("\n", "%0A").replace("\t", "%09")


def bounds(shape):
    """min/max; a minimum of 0 for lengths says nothing."""
    number = shape["type"] in ("integer", "long", "float", "double")
    words = []
    if "min" in shape and (number or shape["min"] > 0):
        words.append(f"min={shape['min']}")
    if "max" in shape:
        words.append(f"max={shape['max']}")
    return words


def namespace(holder):
    found = holder.get("xmlNamespace")
    if found is None:
        return []
    if isinstance(found, str):
        return [f"xmlns={found}"]
    return [f"xmlns={found['uri']}"] + ([f"xmlprefix={found['prefix']}"] if "prefix" in found else [])


def member_line(model, structure, name, member):
    words = ["", name, reference(model, member["shape"])]
    if name in structure.get("required", []):
        words.append("required")
    location = member.get("location")
    if location:
        words.append(f"{LOCATIONS[location]}={word(member.get('locationName', '' if location == 'headers' else name))}")
    elif member.get("locationName", name) != name:
        words.append(f"name={word(member['locationName'])}")
    if member.get("queryName", name) != name:
        words.append(f"qname={member['queryName']}")
    if member.get("streaming") or model["shapes"][member["shape"]].get("streaming"):
        words.append("stream")
    for key, flag in (
        ("flattened", "flat"), ("xmlAttribute", "attr"), ("idempotencyToken", "token"),
        ("jsonvalue", "json"), ("eventpayload", "eventpayload"), ("eventheader", "eventheader"),
    ):
        if member.get(key):
            words.append(flag)
    if "timestampFormat" in member:
        words.append("ts=" + member["timestampFormat"])
    return " ".join(words + namespace(member))


def structure_lines(model, name, shape):
    words = [name, "structure"]
    if "payload" in shape:
        words.append("payload=" + shape["payload"])
    if shape.get("exception"):
        error = shape.get("error", {})
        words.append("error=" + error.get("code", name))
        fault = shape.get("fault") and not error.get("senderFault")
        words.append(f"code={error.get('httpStatusCode', 500 if fault else 400)}")
    for key, flag in (("eventstream", "eventstream"), ("event", "event"), ("union", "union"),
                      ("unwrapped", "unwrapped")):
        if shape.get(key):
            words.append(flag)
    if "locationName" in shape:
        words.append("root=" + word(shape["locationName"]))
    yield " ".join(words + namespace(shape))
    for member_name, member in shape["members"].items():
        yield member_line(model, shape, member_name, member)


def shape_lines(model, name):
    shape = model["shapes"][name]
    kind = shape["type"]
    if kind == "structure":
        yield from structure_lines(model, name, shape)
        return
    words = [name, SCALARS.get(kind, kind)]
    if kind == "list":
        words.append(reference(model, shape["member"]["shape"]))
        if "locationName" in shape["member"]:
            words.append("member=" + shape["member"]["locationName"])
        words += namespace(shape["member"])
    elif kind == "map":
        words += [reference(model, shape["key"]["shape"]), reference(model, shape["value"]["shape"])]
        words += [f"{k}={shape[k]['locationName']}" for k in ("key", "value") if "locationName" in shape[k]]
    if shape.get("flattened"):
        words.append("flat")
    if shape.get("sensitive"):
        words.append("sensitive")
    if "timestampFormat" in shape:
        words.append("ts=" + shape["timestampFormat"])
    words += bounds(shape)
    if "enum" in shape:
        words += ["enum"] + [word(value) for value in shape["enum"]]
    elif "pattern" in shape:
        # `#` needs no escape, and the literal around the schema would take one for its own.
        words.append("pattern " + shape["pattern"].replace("\\#", "#"))
    yield " ".join(words)


def needs(model, operation):
    """Required query and header members, for telling operations of one path apart."""
    if "input" not in operation:
        return []
    shape = model["shapes"][operation["input"]["shape"]]
    found = []
    for name in shape.get("required", []):
        member = shape["members"][name]
        if member.get("location") == "querystring":
            found.append("q:" + member["locationName"])
        elif member.get("location") == "header":
            found.append("h:" + member["locationName"].lower())
    return found


def payload_flags(model, operation):
    """What travels apart from the document: blobs, streams, events."""
    words = []
    for key, side in (("input", "in"), ("output", "out")):
        shape = model["shapes"][operation[key]["shape"]] if key in operation else {}
        for name, member in shape.get("members", {}).items():
            target = model["shapes"][member["shape"]]
            if target.get("eventstream"):
                words.append("event" + side)
            elif name == shape.get("payload") and target["type"] == "blob":
                streams = member.get("streaming") or target.get("streaming")
                words.append("stream" + side if streams and side == "in" else "blob" + side)
    return words


def operation_line(model, name, operation, rivals, unrouted):
    http = operation.get("http", {"method": "POST", "requestUri": "/"})
    words = ["op", name, http["method"], str(http.get("responseCode", 200)), http["requestUri"]]
    for key, word_name in (("input", "in"), ("output", "out")):
        if key in operation:
            words.append(f"{word_name}={operation[key]['shape']}")
    if "resultWrapper" in operation.get("output", {}):
        words.append("wrapper=" + operation["output"]["resultWrapper"])
    if "locationName" in operation.get("input", {}):
        words.append("root=" + operation["input"]["locationName"])
    words += namespace(operation.get("input", {}))
    words += payload_flags(model, operation)
    if rivals > 1 and needs(model, operation):
        words.append("needs=" + ",".join(needs(model, operation)))
    if name in unrouted or (rivals > 1 and operation.get("deprecated")):
        words.append("unrouted")
    if operation.get("errors"):
        words.append("errors=" + ",".join(error["shape"] for error in operation["errors"]))
    return " ".join(words)


def reachable(model):
    """Names of the shapes that need a line: reachable from operations and errors, without plain scalars."""
    pending = []
    for operation in model["operations"].values():
        pending += [operation[key]["shape"] for key in ("input", "output") if key in operation]
        pending += [error["shape"] for error in operation.get("errors", [])]
    seen = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        shape = model["shapes"][name]
        holders = list(shape.get("members", {}).values()) + [shape[k] for k in ("member", "key", "value") if k in shape]
        pending += [holder["shape"] for holder in holders]
    return sorted(
        (name for name in seen if reference(model, name) == name), key=lambda name: name.encode()
    )


def dated_roots(model):
    """Second segments of the paths that start with a date: `functions` of `/2015-03-31/functions/...`."""
    roots = set()
    for operation in model["operations"].values():
        segments = operation.get("http", {}).get("requestUri", "/").split("?")[0].split("/")[1:]
        if len(segments) > 1 and re.fullmatch(r"20\d\d-\d\d-\d\d", segments[0]) and not segments[1].startswith("{"):
            roots.add(segments[1])
    return sorted(roots)


def text(model, service):
    metadata = model["metadata"]
    lines = [
        "martlet-schema 1",
        f"service {service['id']}",
        f"signing {metadata.get('signingName', metadata.get('endpointPrefix', service['id']))}",
        f"prefix {metadata.get('endpointPrefix', service['id'])}",
        f"version {metadata.get('apiVersion', '-')}",
        f"protocols {','.join(protocol_names(metadata))}",
    ]
    for key, value in (
        ("target", metadata.get("targetPrefix")), ("namespace", (namespace(metadata) or [""])[0][6:]),
        ("validation", service.get("validation")), ("errornamespace", service.get("errorNamespace")),
        ("bareerrors", service.get("bareErrors") and "yes"), ("constraints", service.get("constraints")),
        ("querycompatible", metadata.get("awsQueryCompatible") is not None and "yes"),
        ("roots", ",".join(dated_roots(model))),
    ):
        if value:
            lines.append(f"{key} {value}")
    rivals = {}
    for operation in model["operations"].values():
        http = operation.get("http", {"method": "POST", "requestUri": "/"})
        key = (http["method"], http["requestUri"])
        rivals[key] = rivals.get(key, 0) + 1
    for name in sorted(model["operations"]):
        operation = model["operations"][name]
        http = operation.get("http", {"method": "POST", "requestUri": "/"})
        lines.append(operation_line(
            model, name, operation, rivals[(http["method"], http["requestUri"])], service.get("unrouted", [])))
    lines.append("shapes")
    for name in reachable(model):
        lines += shape_lines(model, name)
    return "\n".join(lines) + "\n"


def swift(name, schema_text):
    assert '"""#' not in schema_text and "\\#" not in schema_text
    return (
        "// Generated by Tools/apigen; never edited.\n// swift-format-ignore-file\n\n"
        f"/// The model of every operation of {name}, for `ServiceSchema(text:)`.\n"
        f"enum {name}Schema {{\n    static let text = #\"\"\"\n{schema_text}\n\"\"\"#\n}}\n"
    )
