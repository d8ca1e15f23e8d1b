"""Alexa's Skill Management API as tests reach it, and the example skill."""

import json
import urllib.error
import urllib.parse
import urllib.request
from importlib.metadata import files
from pathlib import Path

from .functions import FAST_MB
from .harness import REPOSITORY, wait_for

EXAMPLE = REPOSITORY / "Examples" / "coffee-skill"
VENDOR = "MARTLETVENDOR0"
SDK = ("ask-sdk-core", "ask-sdk-runtime", "ask-sdk-model", "requests", "urllib3", "certifi", "idna",
       "charset-normalizer", "python-dateutil", "six")


def sdk_files():
    """The ASK SDK of the environment that the tests run in."""
    found = {}
    for name in SDK:
        for file in files(name):
            path = Path(file.locate())
            if path.suffix == ".py" and not str(file).startswith(".."):
                found[str(file)] = path.read_bytes()
            elif path.suffix == ".pem":
                found[str(file)] = path.read_bytes()
    return found


def manifest(uri=None, api="custom", **more):
    endpoint = {"endpoint": {"uri": uri}} if uri else {}
    return {"manifest": {"manifestVersion": "1.0",
                         "publishingInformation": {"locales": {"en-US": {"name": "Test"}}},
                         "apis": {api: {**endpoint, **more}}}}


def model(intents, types=(), name="test skill", dialog=None, prompts=None):
    document = {"languageModel": {"invocationName": name, "intents": intents, "types": list(types)}}
    if dialog:
        document["dialog"] = dialog
    if prompts:
        document["prompts"] = prompts
    return {"interactionModel": document}


BUILT_IN = [{"name": f"AMAZON.{name}Intent", "samples": []} for name in ("Help", "Stop", "Cancel")]
HELLO = {"name": "HelloIntent", "slots": [{"name": "Name", "type": "AMAZON.FirstName"}],
         "samples": ["say hello", "say hello to {Name}"]}


class Refused(AssertionError):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.message = body.get("message", "") if isinstance(body, dict) else ""


class Alexa:
    """The Skill Management API of a server, by path and without TLS."""

    def __init__(self, server):
        self.server = server
        self.token = self.new_token()["access_token"]

    def new_token(self, **form):
        form = {"grant_type": "refresh_token", "client_id": "id", "client_secret": "secret",
                "refresh_token": "Atzr|any", **form}
        body = urllib.parse.urlencode({name: value for name, value in form.items() if value is not None}).encode()
        return self.raw("POST", "/_aws/alexa/lwa/auth/o2/token", body,
                        {"Content-Type": "application/x-www-form-urlencoded"})[2]

    def raw(self, method, path, body=None, headers=None):
        """(status, headers, document); raises `Refused` for anything but 2xx."""
        request = urllib.request.Request(self.server.url + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
                return response.status, response.headers, json.loads(text) if text[:1] in b"{[" and text else text
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                raise Refused(error.code, json.loads(text)) from None
            except json.JSONDecodeError:
                raise Refused(error.code, text) from None

    def call(self, method, path, body=None, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        self.status, self.headers, document = self.raw(
            method, "/_aws/alexa/api" + path, data,
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})})
        return document

    def create(self, document):
        return self.call("POST", "/v1/skills", {"vendorId": VENDOR, **document})["skillId"]

    def put_model(self, skill, document, locale="en-US"):
        self.call("PUT", f"/v1/skills/{skill}/stages/development/interactionModel/locales/{locale}", document)
        return self.call("GET", f"/v1/skills/{skill}/status?resource=interactionModel")["interactionModel"][locale]

    def put_manifest(self, skill, document):
        self.call("PUT", f"/v1/skills/{skill}/stages/development/manifest", document)
        return self.call("GET", f"/v1/skills/{skill}/status?resource=manifest")["manifest"]["lastUpdateRequest"]

    def enable(self, skill):
        self.call("PUT", f"/v1/skills/{skill}/stages/development/enablement")

    def grant(self, function, skill, principal="alexa-appkit.amazon.com", **more):
        function.client.add_permission(
            FunctionName=function.name, StatementId=f"alexa-{skill[-12:]}-{principal[6:9]}",
            Action="lambda:InvokeFunction", Principal=principal, EventSourceToken=skill, **more)

    def skill(self, function, document, **more):
        """A skill in front of the function: granted, built and enabled."""
        skill = self.create(manifest(**more))
        self.grant(function, skill)
        outcome = self.put_manifest(skill, manifest(function.arn, **more))
        assert outcome == {"status": "SUCCEEDED"}, outcome
        build = self.put_model(skill, document)
        assert build["lastUpdateRequest"]["status"] == "SUCCEEDED", build
        self.enable(skill)
        return skill

    def simulate(self, skill, text, fresh=False, locale="en-US", **device):
        """The whole simulation, when it is over."""
        path = f"/v2/skills/{skill}/stages/development/simulations"
        begun = self.call("POST", path, {
            "input": {"content": text}, "device": {"locale": locale, **device},
            "session": {"mode": "FORCE_NEW_SESSION" if fresh else "DEFAULT"}})
        assert begun["status"] == "IN_PROGRESS" and begun["result"] is None

        def ended():
            found = self.call("GET", f"{path}/{begun['id']}")
            return found["status"] != "IN_PROGRESS" and found

        return Turn(wait_for(ended))

    def invoke(self, skill, body, region="NA", version=2):
        path = f"/v2/skills/{skill}/stages/development" if version == 2 else f"/v1/skills/{skill}"
        return self.call("POST", f"{path}/invocations", {"endpointRegion": region, "skillRequest": {"body": body}})


class Turn:
    """What came of an utterance."""

    def __init__(self, simulation):
        self.simulation = simulation
        self.status = simulation["status"]
        result = simulation["result"]
        self.error = result.get("error")
        self.said = " ".join(each["content"]["caption"] for each in result["alexaExecutionInfo"]["alexaResponses"])
        self.considered = result["alexaExecutionInfo"]["consideredIntents"]
        self.invocations = result["skillExecutionInfo"]["invocations"]

    @property
    def requests(self):
        return [each["invocationRequest"]["body"] for each in self.invocations]

    @property
    def request(self):
        return self.requests[-1]["request"]

    @property
    def envelope(self):
        return self.requests[-1]

    @property
    def slots(self):
        return {name: slot.get("value") for name, slot in self.request["intent"].get("slots", {}).items()}


def deploy_example(make_function, runtime, **parameters):
    """The function of the example skill, with the SDK in its package."""
    return make_function(files={"index.py": (EXAMPLE / "index.py").read_text(), **sdk_files()}, runtime=runtime,
                         MemorySize=FAST_MB, Timeout=8, **parameters)


def example_model():
    return json.loads((EXAMPLE / "skill-package/interactionModels/custom/en-US.json").read_text())


def example_manifest(uri=None):
    document = json.loads((EXAMPLE / "skill-package/skill.json").read_text())
    if uri:
        document["manifest"]["apis"]["custom"]["endpoint"] = {"uri": uri}
    return document


