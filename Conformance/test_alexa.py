"""Alexa skills: conversations with a function of ask-sdk-core in a cell, and what happens when it fails."""

import sys

import pytest

from .alexa_helpers import BUILT_IN, HELLO, Alexa, Refused, deploy_example, example_manifest, example_model, manifest, model
from .harness import wait_for


@pytest.fixture
def alexa(server):
    return Alexa(server)


@pytest.fixture(scope="session")
def sdk_runtime():
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


ECHO = """
def handler(event, context):
    text = event["request"]["type"]
    if text == "SessionEndedRequest":
        print("ended", event["request"])
        return {}
    answer = event.get("session", {}).get("attributes", {}).get("next")
    return {"version": "1.0", "sessionAttributes": event["session"]["attributes"],
            "response": {"outputSpeech": {"type": "PlainText", "text": text}, "shouldEndSession": False}}
"""


def test_conversation(alexa, make_function, sdk_runtime):
    function = deploy_example(make_function, sdk_runtime)
    skill = alexa.create(example_manifest())
    alexa.grant(function, skill)
    assert alexa.put_manifest(skill, example_manifest(function.arn)) == {"status": "SUCCEEDED"}
    assert alexa.put_model(skill, example_model())["lastUpdateRequest"]["status"] == "SUCCEEDED"
    alexa.enable(skill)

    turn = alexa.simulate(skill, "open coffee shop")
    assert (turn.status, turn.said) == ("SUCCESSFUL", "Welcome to the coffee shop. What would you like?")
    envelope = turn.envelope
    assert envelope["request"]["type"] == "LaunchRequest" and envelope["session"]["new"] is True
    assert envelope["session"]["application"]["applicationId"] == skill
    assert envelope["context"]["System"]["application"]["applicationId"] == skill
    session, user = envelope["session"]["sessionId"], envelope["session"]["user"]["userId"]

    # The skill delegates: Alexa asks for what is missing, and has it confirmed.
    turn = alexa.simulate(skill, "I would like a cap")
    assert turn.said == "Small or large?"
    assert [request["request"]["dialogState"] for request in turn.requests] == ["STARTED"]
    drink = turn.request["intent"]["slots"]["Drink"]
    assert drink["value"] == "cap" and drink["source"] == "USER"
    (authority,) = drink["resolutions"]["resolutionsPerAuthority"]
    assert authority == {"authority": f"amzn1.er-authority.echo-sdk.{skill}.DrinkType",
                         "status": {"code": "ER_SUCCESS_MATCH"},
                         "values": [{"value": {"name": "cappuccino", "id": "CAPPUCCINO"}}]}
    assert turn.envelope["session"]["new"] is False and turn.envelope["session"]["sessionId"] == session
    turn = alexa.simulate(skill, "tall")
    assert turn.said == "A tall cap, right?"
    assert turn.request["dialogState"] == "IN_PROGRESS" and turn.slots["Size"] == "tall"
    turn = alexa.simulate(skill, "yes")
    assert turn.said == "Coming up: 1 large cappuccino. Anything else?"
    assert turn.request["dialogState"] == "COMPLETED" and turn.request["intent"]["confirmationStatus"] == "CONFIRMED"

    # Attributes come back; everything at once; a denial.
    turn = alexa.simulate(skill, "I would like two little flat white")
    assert turn.slots == {"Drink": "flat white", "Size": "little", "Count": "2"}
    assert turn.envelope["session"]["attributes"] == {"orders": ["1 large cappuccino"]}
    # A value without an id has the MD5 of its name.
    (value,) = turn.request["intent"]["slots"]["Drink"]["resolutions"]["resolutionsPerAuthority"][0]["values"]
    assert value["value"]["name"] == "flat white" and len(value["value"]["id"]) == 32
    assert alexa.simulate(skill, "no").said == "Then not. Anything else?"
    assert alexa.simulate(skill, "what have I ordered").said == "You have ordered 1 large cappuccino."
    assert alexa.simulate(skill, "how tall is the moon").said == "We only have coffee."
    assert alexa.simulate(skill, "help").said == "Say: I would like a large cappuccino."
    # A drink that they do not have is asked for again.
    turn = alexa.simulate(skill, "I would like a big green tea")
    assert turn.said == "We have no green tea. Coffee, cappuccino or flat white?"
    assert alexa.simulate(skill, "a filter coffee please").said == "A big filter coffee, right?"
    turn = alexa.simulate(skill, "that's all")
    assert turn.said == "Goodbye." and turn.request["intent"]["name"] == "AMAZON.StopIntent"
    assert turn.envelope["session"]["user"]["userId"] == user

    # The session is over; one-shot requests begin another.
    turn = alexa.simulate(skill, "what have I ordered")
    assert (turn.status, turn.invocations) == ("FAILED", []) and "no session is open" in turn.error["message"]
    turn = alexa.simulate(skill, "Alexa, ask coffee shop to reserve a table for tomorrow at half past five")
    assert turn.request["intent"]["name"] == "ReserveIntent" and turn.slots["Time"] == "05:30"
    assert turn.envelope["session"]["new"] is True and turn.envelope["session"]["sessionId"] != session
    assert turn.envelope["session"]["attributes"] == {}
    assert turn.said == f"A table on {turn.slots['Day']} at 05:30."
    turn = alexa.simulate(skill, "ask coffee shop for a large cappuccino")
    assert turn.said == "A large cappuccino, right?" and turn.considered[0]["name"] == "OrderIntent"
    turn = alexa.simulate(skill, "exit")
    assert turn.request["type"] == "SessionEndedRequest" and turn.request["reason"] == "USER_INITIATED"
    wait_for(lambda: any("session ended: USER_INITIATED" in line for line in function.log_messages()))


def test_two_devices_and_restart(make_server, make_function):
    server = make_server()
    alexa = Alexa(server)
    function = make_function(ECHO, server=server)
    skill = alexa.skill(function, model([HELLO, *BUILT_IN]))
    first = alexa.simulate(skill, "open test skill", deviceId="kitchen").envelope["session"]["sessionId"]
    second = alexa.simulate(skill, "open test skill", deviceId="bedroom").envelope["session"]["sessionId"]
    assert first != second
    token = alexa.token
    server.restart("kill9")
    # Skills, models, enablement, sessions and tokens are still there.
    turn = alexa.simulate(skill, "say hello to Bob", deviceId="kitchen")
    assert turn.envelope["session"]["sessionId"] == first and turn.slots == {"Name": "Bob"}
    assert alexa.token == token
    assert alexa.simulate(skill, "say hello", fresh=True, deviceId="bedroom").status == "FAILED"


def test_permission(alexa, make_function, unique):
    function = make_function(ECHO)
    skill = alexa.create(manifest())
    other = alexa.create(manifest())
    absent = function.arn + "-absent"
    for arn, words in ((function.arn, "is invalid. Error code: SkillManifestError"), (absent, "Function not found")):
        outcome = alexa.put_manifest(skill, manifest(arn))
        assert outcome["status"] == "FAILED" and words in outcome["errors"][0]["message"], outcome
        assert outcome["errors"][0]["message"].startswith(f"The trigger setting for the Lambda {arn} is invalid.")
    # A grant to another skill, or to the other service principal, does not do.
    alexa.grant(function, other)
    alexa.grant(function, skill, principal="alexa-connectedhome.amazon.com")
    assert alexa.put_manifest(skill, manifest(function.arn))["status"] == "FAILED"
    # What was refused has not changed the manifest.
    assert "endpoint" not in alexa.call("GET", f"/v1/skills/{skill}/stages/development/manifest")["manifest"]["apis"]["custom"]
    alexa.grant(function, skill)
    assert alexa.put_manifest(skill, manifest(function.arn)) == {"status": "SUCCEEDED"}
    alexa.put_model(skill, model([HELLO, *BUILT_IN]))
    alexa.enable(skill)
    assert alexa.simulate(skill, "open test skill").said == "LaunchRequest"
    # A grant that is taken away counts at once.
    function.client.remove_permission(FunctionName=function.name, StatementId=f"alexa-{skill[-12:]}-app")
    turn = alexa.simulate(skill, "say hello")
    assert turn.status == "FAILED" and turn.error["code"] == "SKILL_ENDPOINT_ACCESS_DENIED"
    assert "lambda:InvokeFunction" in turn.error["message"] and turn.said == "There was a problem with the requested skill."
    function.delete()
    turn = alexa.simulate(skill, "open test skill")
    assert turn.error["code"] == "SKILL_ENDPOINT_UNREACHABLE" and "ResourceNotFoundException" in turn.error["message"]


BAD = """
ANSWERS = {
    "nothing": None,
    "text": "no response",
    "version": {"response": {}},
    "speech": {"version": "1.0", "response": {"outputSpeech": {"type": "Loud", "text": "x"}}},
    "markup": {"version": "1.0", "response": {"outputSpeech": {"type": "SSML", "ssml": "<speak>a <b>c</speak>"}}},
    "long": {"version": "1.0", "response": {"outputSpeech": {"type": "PlainText", "text": "x" * 8001}}},
    "big": {"version": "1.0", "response": {"x": "x" * 122880}},
    "card": {"version": "1.0", "response": {"card": {"type": "Joker"}}},
    "directive": {"version": "1.0", "response": {"directives": [{"type": "Self.Destruct"}]}},
    "interface": {"version": "1.0", "response": {"directives": [{"type": "AudioPlayer.Stop"}]}},
    "delegate": {"version": "1.0", "response": {"directives": [{"type": "Dialog.Delegate"}]}},
    "attributes": {"version": "1.0", "sessionAttributes": 7, "response": {}},
}

def handler(event, context):
    request = event["request"]
    if request["type"] == "SessionEndedRequest":
        print("ENDED", request["reason"], request.get("error"))
        return {"version": "1.0", "response": {}}
    if request["type"] == "LaunchRequest":
        return {"version": "1.0", "response": {"shouldEndSession": False}}
    what = request["intent"]["slots"]["What"]["value"]
    if what == "raise":
        raise ValueError("no luck")
    return ANSWERS[what]
"""
WHAT = {"name": "AnswerIntent", "slots": [{"name": "What", "type": "AMAZON.SearchQuery"}], "samples": ["answer {What}"]}


def test_bad_answers(alexa, fast_function):
    function = fast_function(BAD)
    skill = alexa.skill(function, model([WHAT, *BUILT_IN]))
    expected = {
        "nothing": "SpeechletResponse was null", "text": "SpeechletResponse was null", "version": "no 'version'",
        "speech": "must be PlainText or SSML", "markup": "Invalid SSML", "long": "exceeds the allowed size of 8000",
        "big": "exceeds the allowed size of 122880", "card": "'Joker'", "directive": "'Self.Destruct'",
        "interface": "AUDIO_PLAYER", "delegate": "no dialog model", "attributes": "'sessionAttributes'",
    }
    for what, words in expected.items():
        turn = alexa.simulate(skill, f"ask test skill to answer {what}")
        assert (turn.status, turn.error["code"]) == ("FAILED", "INVALID_RESPONSE"), (what, turn.simulation)
        assert words in turn.error["message"], (what, turn.error)
        assert turn.said == "There was a problem with the requested skill's response."
        # The skill is told why.
        assert turn.request["type"] == "SessionEndedRequest" and turn.request["reason"] == "ERROR"
        assert turn.request["error"]["type"] == "INVALID_RESPONSE" and words in turn.request["error"]["message"]
        assert "session is open" in alexa.simulate(skill, "answer nothing").error["message"]
    turn = alexa.simulate(skill, "ask test skill to answer raise")
    assert turn.error["code"] == "SKILL_ENDPOINT_ERROR" and "no luck" in turn.error["message"]
    assert turn.request["error"]["message"] == "An exception occurred while dispatching the request to the skill."


@pytest.mark.slow
def test_time_limit(alexa, make_function):
    function = make_function(
        "import time\ndef handler(event, context):\n    time.sleep(10)\n", Timeout=12, MemorySize=1769)
    skill = alexa.skill(function, model([HELLO, *BUILT_IN]))
    begun = alexa.call("POST", f"/v1/skills/{skill}/simulations",
                       {"input": {"content": "open test skill"}, "device": {"locale": "en-US"}})
    # One at a time, and nothing else waits for it.
    with pytest.raises(Refused) as refused:
        alexa.simulate(skill, "open test skill")
    assert refused.value.status == 409
    result = wait_for(lambda: (found := alexa.call("GET", f"/v1/skills/{skill}/simulations/{begun['id']}"))["status"]
                      != "IN_PROGRESS" and found, seconds=60)
    assert result["status"] == "FAILED" and result["result"]["error"] == {
        "code": "ENDPOINT_TIMEOUT", "message": "The skill did not answer within 8 seconds."}
