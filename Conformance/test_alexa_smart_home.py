"""Smart Home skills: discovery and control through invocations, and `martlet alexa directive`."""

import json
import subprocess
import uuid

import pytest

from .alexa_helpers import Alexa, Refused, manifest
from .harness import BINARY

HOME = """
import uuid

LIGHTS = {"light-1": "OFF"}

def event(directive, name, namespace="Alexa", payload=None, **more):
    header = {**directive["header"], "namespace": namespace, "name": name, "messageId": str(uuid.uuid4())}
    return {"event": {"header": header, "payload": payload or {},
                      **({"endpoint": directive["endpoint"]} if "endpoint" in directive else {})}, **more}

def handler(request, context):
    directive = request["directive"]
    header = directive["header"]
    if header["namespace"] == "Alexa.Discovery":
        assert directive["payload"]["scope"]["token"]
        capability = {"type": "AlexaInterface", "interface": "Alexa.PowerController", "version": "3",
                      "properties": {"supported": [{"name": "powerState"}], "proactivelyReported": False, "retrievable": True}}
        endpoint = {"endpointId": "light-1", "friendlyName": "Kitchen light", "manufacturerName": "Martlet",
                    "description": "A light", "displayCategories": ["LIGHT"], "capabilities": [capability]}
        return event(directive, "Discover.Response", "Alexa.Discovery", {"endpoints": [endpoint]})
    if directive["endpoint"]["endpointId"] not in LIGHTS:
        return event(directive, "ErrorResponse", payload={"type": "NO_SUCH_ENDPOINT", "message": "no"})
    if header["namespace"] == "Alexa.PowerController":
        LIGHTS["light-1"] = "ON" if header["name"] == "TurnOn" else "OFF"
        name = "Response"
    elif header["name"] == "ReportState":
        name = "StateReport"
    else:
        return {"event": {}}
    state = {"namespace": "Alexa.PowerController", "name": "powerState", "value": LIGHTS["light-1"],
             "timeOfSample": "2026-11-23T06:00:00Z", "uncertaintyInMilliseconds": 0}
    return event(directive, name, context={"properties": [state]})
"""


def directive(namespace, name, endpoint=None, payload=None):
    header = {"namespace": namespace, "name": name, "payloadVersion": "3", "messageId": str(uuid.uuid4())}
    body = {"header": header, "payload": payload or {}}
    scope = {"type": "BearerToken", "token": "token"}
    if endpoint:
        header["correlationToken"] = str(uuid.uuid4())
        body["endpoint"] = {"scope": scope, "endpointId": endpoint, "cookie": {}}
    else:
        body["payload"] = {"scope": scope}
    return {"directive": body}


def test_smart_home(server, fast_function):
    alexa = Alexa(server)
    function = fast_function(HOME)
    skill = alexa.create(manifest(api="smartHome", protocolVersion="3"))
    alexa.grant(function, skill)
    refused = alexa.put_manifest(skill, manifest(function.arn, api="smartHome"))
    assert refused["status"] == "FAILED"  # a custom skill's grant
    alexa.grant(function, skill, principal="alexa-connectedhome.amazon.com")
    assert alexa.put_manifest(skill, manifest(function.arn, api="smartHome"))["status"] == "SUCCEEDED"
    alexa.enable(skill)

    def ask(*arguments, status="SUCCEEDED"):
        answer = alexa.invoke(skill, directive(*arguments))
        assert answer["status"] == status, answer
        return answer["result"]

    found = ask("Alexa.Discovery", "Discover")["skillExecutionInfo"]["invocationResponse"]["body"]
    assert found["event"]["payload"]["endpoints"][0]["endpointId"] == "light-1"
    for name, value in (("TurnOn", "ON"), ("TurnOff", "OFF")):
        done = ask("Alexa.PowerController", name, "light-1")["skillExecutionInfo"]["invocationResponse"]["body"]
        assert done["context"]["properties"][0]["value"] == value
        assert done["event"]["header"]["name"] == "Response"
    assert ask("Alexa", "ReportState", "light-1")["skillExecutionInfo"]["metrics"]["skillExecutionTimeInMilliseconds"] >= 0
    done = ask("Alexa.PowerController", "TurnOn", "light-2")["skillExecutionInfo"]["invocationResponse"]["body"]
    assert done["event"]["payload"]["type"] == "NO_SUCH_ENDPOINT"
    error = ask("Alexa.LockController", "Lock", "light-1", status="FAILED")["error"]
    assert error["code"] == "INVALID_RESPONSE" and "header" in error["message"]
    with pytest.raises(Refused) as wrong:
        alexa.invoke(skill, {"directive": {"header": {"namespace": "Alexa"}}})
    assert wrong.value.status == 400 and "name" in wrong.value.message
    with pytest.raises(Refused) as wrong:
        alexa.simulate(skill, "open test skill")
    assert wrong.value.status == 400

    command = [str(BINARY), "alexa", "directive", skill, "Alexa.PowerController", "TurnOn", "--endpoint-id", "light-1",
               "--endpoint", server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and json.loads(done.stdout)["context"]["properties"][0]["value"] == "ON", done
