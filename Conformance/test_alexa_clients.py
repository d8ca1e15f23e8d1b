"""Amazon's own clients: the ASK SDK's client of the Skill Management API over TLS, its verifier of request signatures, and
`martlet alexa` in a terminal."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ask_sdk_core.dispatch_components import AbstractRequestHandler
from ask_sdk_core.skill_builder import SkillBuilder
from ask_sdk_model_runtime import ApiConfiguration, AuthenticationConfiguration, DefaultApiClient, DefaultSerializer
from ask_sdk_model_runtime.exceptions import ServiceException
from ask_sdk_model_runtime.lwa import LwaClient
from ask_smapi_model.services.skill_management import SkillManagementServiceClient
from ask_smapi_model.v1.skill.create_skill_request import CreateSkillRequest
from ask_smapi_model.v2.skill.simulations import Device, Input, Session, SessionMode, SimulationsApiRequest

from .alexa_helpers import BUILT_IN, EXAMPLE, HELLO, Alexa, deploy_example, manifest, model
from .alexa_verifier import RequestVerifier, TimestampVerifier, VerificationException, WebserviceSkillHandler
from .harness import BINARY, wait_for


def smapi(server, secret="secret", client="id"):
    """The client as its documentation makes it, but for the two endpoints."""
    base = f"https://localhost:{server.port}/_aws/alexa"
    authentication = AuthenticationConfiguration(client_id=client, client_secret=secret, refresh_token="Atzr|refresh")
    lwa = LwaClient(
        ApiConfiguration(serializer=DefaultSerializer(), api_client=DefaultApiClient(), api_endpoint=base + "/lwa"),
        authentication, grant_type="refresh_token")
    return SkillManagementServiceClient(
        api_configuration=ApiConfiguration(
            serializer=DefaultSerializer(), api_client=DefaultApiClient(), api_endpoint=base + "/api"),
        authentication_configuration=authentication, lwa_client=lwa)


@pytest.fixture
def tls(make_server, tmp_path, monkeypatch):
    """Starts a server with a certificate that `requests` trusts."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    return lambda *arguments: make_server("--tls-certificate", str(certificate), "--tls-key", str(key), *arguments)


def test_skill_management_client(tls, make_function):
    server = tls()
    client = smapi(server)
    (vendor,) = client.get_vendor_list_v1().vendors
    # Documents go as they are: the SDK's model of manifests would need a class for each part.
    created = client.create_skill_for_vendor_v1(
        CreateSkillRequest(vendor_id=vendor.id, manifest=manifest()["manifest"]), full_response=True)
    skill = created.body.skill_id
    assert created.status_code == 202
    assert dict(created.headers)["Location"] == f"/v1/skills/{skill}/status?resource=manifest"
    assert client.get_skill_status_v1(skill).manifest.last_update_request.status.value == "SUCCEEDED"
    function = make_function(
        "def handler(event, context):\n"
        "    name = event['request'].get('intent', {}).get('slots', {}).get('Name', {}).get('value', 'you')\n"
        "    return {'version': '1.0', 'response': {'outputSpeech': {'type': 'SSML', 'ssml': f'<speak>Hello {name}</speak>'}}}",
        server=server)
    function.client.add_permission(
        FunctionName=function.name, StatementId="alexa", Action="lambda:InvokeFunction",
        Principal="alexa-appkit.amazon.com", EventSourceToken=skill)
    client.update_skill_manifest_v1(skill, "development", manifest(function.arn))
    assert client.get_skill_status_v1(skill).manifest.last_update_request.status.value == "SUCCEEDED"
    read = client.get_skill_manifest_v1(skill, "development")
    assert read.manifest.apis.custom.endpoint.uri == function.arn

    broken = model([{"name": "HelloIntent", "samples": ["hello {Nobody}"]}])
    client.set_interaction_model_v1(skill, "development", "en-US", broken)
    status = client.get_skill_status_v1(skill, resource=["interactionModel"]).interaction_model["en-US"]
    assert status.last_update_request.status.value == "FAILED"
    assert "Nobody" in status.last_update_request.errors[0].message
    with pytest.raises(ServiceException) as refused:
        client.set_skill_enablement_v1(skill, "development")
    assert refused.value.status_code == 409
    client.set_interaction_model_v1(skill, "development", "en-US", model([HELLO, *BUILT_IN]))
    status = client.get_skill_status_v1(skill).interaction_model["en-US"]
    assert status.last_update_request.status.value == "SUCCEEDED" and status.version == "1"
    read = client.get_interaction_model_v1(skill, "development", "en-US")
    assert read.interaction_model.language_model.invocation_name == "test skill"
    versions = client.list_interaction_model_versions_v1(skill, "development", "en-US").skill_model_versions
    assert [version.version for version in versions] == ["1"]
    client.set_skill_enablement_v1(skill, "development")
    assert client.get_skill_enablement_status_v1(skill, "development") is None

    begun = client.simulate_skill_v2(
        skill, "development",
        SimulationsApiRequest(input=Input(content="ask test skill to say hello to Ada"), device=Device(locale="en-US"),
                              session=Session(mode=SessionMode.FORCE_NEW_SESSION)))
    result = wait_for(lambda: (found := client.get_skill_simulation_v2(skill, "development", begun.id))
                      .status.value != "IN_PROGRESS" and found)
    assert result.status.value == "SUCCESSFUL"
    assert result.result.alexa_execution_info.alexa_responses[0].content.caption == "Hello Ada"
    assert result.result.alexa_execution_info.considered_intents[0].slots["Name"].value == "Ada"
    (invocation,) = result.result.skill_execution_info.invocations
    assert invocation.invocation_request.endpoint == function.arn
    begun = client.simulate_skill_v1(skill, {"input": {"content": "open test skill"}, "device": {"locale": "en-US"}})
    result = wait_for(lambda: (found := client.get_skill_simulation_v1(skill, begun.id))
                      .status.value != "IN_PROGRESS" and found)
    assert result.result.skill_execution_info.invocation_request.body["request"]["type"] == "LaunchRequest"
    profile = client.profile_nlu_v1({"utterance": "say hello to bob"}, skill, "development", "en-US")
    assert profile.selected_intent.name == "HelloIntent" and profile.selected_intent.slots["Name"].value == "bob"
    body = {"version": "1.0", "session": {}, "request": {"type": "LaunchRequest", "requestId": "r"}}
    done = client.invoke_skill_v1(skill, {"endpointRegion": "NA", "skillRequest": {"body": body}})
    assert done.status.value == "SUCCEEDED" and done.result.skill_execution_info.invocation_request["NA"].endpoint == function.arn
    (summary,) = client.list_skills_for_vendor_v1(vendor.id).skills
    assert (summary.skill_id, summary.name_by_locale) == (skill, {"en-US": "Test"})
    client.delete_skill_v1(skill)
    with pytest.raises(ServiceException) as refused:
        client.get_skill_status_v1(skill)
    assert refused.value.status_code == 404 and skill in refused.value.body.message


def test_clients_are_checked_with_authentication(tls, tmp_path):
    server = tls("--auth", "sigv4")
    kept = dict(line.split(" = ", 1) for line in (server.data_dir / "credentials").read_text().splitlines() if " = " in line)
    good = smapi(server, kept["aws_secret_access_key"], kept["aws_access_key_id"])
    assert good.get_vendor_list_v1().vendors
    for bad in (smapi(server), smapi(server, "wrong", kept["aws_access_key_id"])):
        with pytest.raises(ServiceException):
            bad.get_vendor_list_v1()


class Web:
    """A skill as a web service, with the ASK SDK's own verifiers."""

    def __init__(self, alexa, verifiers):
        builder = SkillBuilder()
        builder.add_request_handler(Everything())
        self.failures = []
        handler = WebserviceSkillHandler(
            skill=builder.create(), verify_signature=False, verify_timestamp=False, verifiers=verifiers)
        web = self

        class Requests(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                try:
                    answer = json.dumps(handler.verify_request_and_dispatch(dict(self.headers), body)).encode()
                except Exception as error:  # noqa: BLE001: what it was, the test looks at
                    web.failures.append(repr(error))
                    return self.send_error(400)
                web.headers, web.body = dict(self.headers), body
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/skill"


class Everything(AbstractRequestHandler):
    def can_handle(self, handler_input):
        return True

    def handle(self, handler_input):
        return handler_input.response_builder.speak("From the web.").ask("?").response


@pytest.mark.filterwarnings("ignore")  # of the verifier's way to ask for dates
def test_web_service_with_verified_signature(server, tmp_path, monkeypatch):
    alexa = Alexa(server)
    root = alexa.raw("GET", "/_aws/alexa/api/echo.api/martlet-root.pem")[2]
    (tmp_path / "root.pem").write_bytes(root)
    # The verifier trusts the system's roots; these are what it takes for them.
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    verifier = RequestVerifier()
    web = Web(alexa, [verifier, TimestampVerifier()])
    skill = alexa.create(manifest(web.url))
    alexa.put_model(skill, model([HELLO, *BUILT_IN]))
    alexa.enable(skill)
    # Its URL is Amazon's; the chain behind it comes from this server.
    first = alexa.simulate(skill, "open test skill")
    assert first.status == "FAILED" and first.error["code"] == "SKILL_ENDPOINT_ERROR" and web.failures
    chain_url = None

    class Cache(dict):
        def __contains__(self, url):
            nonlocal chain_url
            chain_url = url
            return True

        def __getitem__(self, url):
            return alexa.raw("GET", "/_aws/alexa/api" + url.removeprefix("https://s3.amazonaws.com"))[2]

    verifier._cert_cache = Cache()
    web.failures.clear()
    turn = alexa.simulate(skill, "open test skill")
    assert (turn.status, turn.said) == ("SUCCESSFUL", "From the web."), (web.failures, turn.simulation)
    assert chain_url.startswith("https://s3.amazonaws.com/echo.api/martlet-") and chain_url.endswith(".pem")
    assert json.loads(web.body)["request"]["type"] == "LaunchRequest"
    # The same request with another body is refused.
    for change in (lambda body: body.replace("LaunchRequest", "LaunchReques_"), lambda body: body + " "):
        with pytest.raises(VerificationException):
            verifier.verify(web.headers, change(web.body), None)
    web.server.shutdown()
    web.server.server_close()
    turn = alexa.simulate(skill, "say hello")
    assert turn.status == "FAILED"


@pytest.fixture
def martlet(server):
    def run(*arguments, check=True, **options):
        done = subprocess.run(
            [str(BINARY), "alexa", *map(str, arguments), "--endpoint", server.url], capture_output=True, text=True,
            timeout=60, **options)
        assert not check or done.returncode == 0, done
        return done

    return run


class TerminalSession:
    """A command in a terminal of its own."""

    def __init__(self, command):
        self.text = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ["NO_COLOR"] = "1"
            os.execv(command[0], command)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            while piece := os.read(self.descriptor, 4096):
                self.text += piece.decode(errors="replace")
        except OSError:
            pass

    def say(self, text, answer):
        start = len(self.text)
        os.write(self.descriptor, text.encode() + b"\n")
        wait_for(lambda: answer in self.text[start:] and self.text.endswith("you:   "))

    def end(self):
        """The exit code after the end of input."""
        os.write(self.descriptor, b"\x04")
        _, status = os.waitpid(self.pid, 0)
        self.pid = None
        return os.waitstatus_to_exitcode(status)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.reader.join(10)  # the child's side is closed: it reads to the end
        os.close(self.descriptor)


def test_deploy_and_chat(server, make_function, martlet):
    function = deploy_example(make_function, f"python{sys.version_info.major}.{sys.version_info.minor}")
    skill = martlet("deploy", EXAMPLE / "skill-package", "--function", function.name).stdout.strip()
    assert skill.startswith("amzn1.ask.skill.")
    assert f"{skill}  custom  Coffee Shop (en-US)" in martlet("list").stdout
    # Again, as after a change.
    again = martlet("deploy", EXAMPLE / "skill-package", "--skill", skill, "--function", function.name)
    assert again.stdout.strip() == skill
    with TerminalSession([str(BINARY), "alexa", "chat", skill, "--endpoint", server.url]) as terminal:
        wait_for(lambda: "alexa: Welcome to the coffee shop. What would you like?" in terminal.text)
        terminal.say("I would like a tall cap", "alexa: A tall cap, right?")
        terminal.say("yes", "alexa: Coming up: 1 large cappuccino. Anything else?")
        terminal.say("stop", "alexa: Goodbye.\r\n[session ended]")
        terminal.say("hello", "alexa: Sorry, I don't know that one.")
        terminal.say("ask coffee shop what's my order", "alexa: You have ordered nothing yet.")
        assert terminal.end() == 0, terminal.text
    # Without a terminal: what is said comes from a file.
    done = martlet("chat", skill, "--closed", "--json", input="ask coffee shop for help\n")
    assert "alexa: Say: I would like a large cappuccino." in done.stdout and '"type":"IntentRequest"' in done.stdout
    assert martlet("chat", skill, "--closed", check=False, input="gibberish\n").returncode == 2
    assert martlet("chat", "amzn1.ask.skill.none", check=False, input="").returncode == 3
    function.delete()
    failed = martlet("deploy", EXAMPLE / "skill-package", "--skill", skill, "--function", function.name, check=False)
    assert failed.returncode == 3 and "Function not found" in failed.stderr
    # Nor is a skill made for a function that is not there.
    skills = martlet("list").stdout
    failed = martlet("deploy", EXAMPLE / "skill-package", "--function", function.name, check=False)
    assert failed.returncode == 3 and martlet("list").stdout == skills


def test_a_deployment_that_failed_goes_on(martlet, tmp_path):
    """What was made is named, so that the next try does not make another."""
    models = tmp_path / "interactionModels" / "custom"
    models.mkdir(parents=True)
    (tmp_path / "skill.json").write_text(json.dumps(manifest("https://skill.example/")))
    (models / "en-US.json").write_text(json.dumps(model([{"name": "Hello", "samples": ["hello {nobody}"]}])))
    failed = martlet("deploy", tmp_path, check=False)
    assert failed.returncode != 0 and "Go on with --skill amzn1.ask.skill." in failed.stderr, failed
    skill = failed.stderr.split("--skill ")[1].split()[0]
    (models / "en-US.json").write_text(json.dumps(model([HELLO, *BUILT_IN])))
    assert martlet("deploy", tmp_path, "--skill", skill).stdout.strip() == skill
