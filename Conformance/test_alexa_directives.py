"""What skills may answer: a skill of ask-sdk-core with directives of many interfaces, and answers that break a rule each."""

import pytest

from .alexa_helpers import BUILT_IN, Alexa, model, sdk_files
from .functions import FAST_MB

INTERFACES = [{"type": name} for name in ("AUDIO_PLAYER", "VIDEO_APP", "ALEXA_PRESENTATION_APL", "GAME_ENGINE")]
ANSWER = {"name": "AnswerIntent", "samples": ["answer {What}"], "slots": [{"name": "What", "type": "AMAZON.SearchQuery"}]}

SKILL = '''
from ask_sdk_core.skill_builder import SkillBuilder
from ask_sdk_core.utils import is_intent_name, is_request_type
from ask_sdk_model.dialog import DynamicEntitiesDirective, ElicitSlotDirective
from ask_sdk_model.er.dynamic import Entity, EntityListItem, EntityValueAndSynonyms, UpdateBehavior
from ask_sdk_model.interfaces.alexa.presentation.apl import ExecuteCommandsDirective, IdleCommand, RenderDocumentDirective
from ask_sdk_model.interfaces.audioplayer import (
    AudioItem, ClearBehavior, ClearQueueDirective, PlayBehavior, PlayDirective, StopDirective, Stream)
from ask_sdk_model.interfaces.connections import SendRequestDirective
from ask_sdk_model.interfaces.connections.v1 import StartConnectionDirective
from ask_sdk_model.interfaces.tasks import CompleteTaskDirective
from ask_sdk_model.interfaces.videoapp import LaunchDirective, VideoItem
from ask_sdk_model.status import Status
from ask_sdk_model.ui import AskForPermissionsConsentCard, Image, StandardCard

skill = SkillBuilder()


def play(behavior=PlayBehavior.REPLACE_ALL, url="https://media.example/song.mp3", token="song", previous=None):
    return PlayDirective(behavior, AudioItem(Stream(previous, token, url, 0)))


def entities(count):
    values = [Entity(str(n), EntityValueAndSynonyms(f"value {n}", [f"word {n}"])) for n in range(count)]
    return DynamicEntitiesDirective(UpdateBehavior.REPLACE, [EntityListItem("What", values)])


SCREEN = RenderDocumentDirective("screen", {"type": "APL", "version": "2024.3", "mainTemplate": {"items": []}})
VIDEO = LaunchDirective(VideoItem("https://media.example/film.mp4"))
HAND_OVER = StartConnectionDirective("connection://AMAZON.PrintPDF/1", "RESUME_SESSION", {"title": "t"}, "print")
DONE = CompleteTaskDirective(Status("200", "done"))
SETS = {
    "music": [play()], "queue": [ClearQueueDirective(ClearBehavior.CLEAR_ENQUEUED),
                                 play(PlayBehavior.ENQUEUE, previous="song")],
    "silence": [StopDirective()], "screen": [SCREEN, ExecuteCommandsDirective([IdleCommand(delay=10)], "screen")],
    "entities": [entities(100)], "film": [VIDEO], "print": [HAND_OVER], "done": [DONE],
    "buy": [SendRequestDirective("Buy", {"InSkillProduct": {"productId": "p"}}, "token")],
    "card": [], "consent": [],
    # and what breaks a rule
    "two songs": [play(), play()], "plain song": [play(url="http://media.example/song.mp3")],
    "no token": [play(token=None)], "queue nothing": [play(PlayBehavior.ENQUEUE)], "replace queued": [play(previous="s")],
    "many entities": [entities(101)], "no commands": [ExecuteCommandsDirective([], "screen")],
    "print song": [HAND_OVER, play()], "no dialog": [ElicitSlotDirective(slot_to_elicit="What")],
}


@skill.request_handler(can_handle_func=is_intent_name("AnswerIntent"))
def answer(handler_input):
    what = handler_input.request_envelope.request.intent.slots["What"].value
    builder = handler_input.response_builder.speak("Here it is.")
    if what == "card":
        image = Image("https://media.example/s.png", "https://media.example/l.png")
        builder.set_card(StandardCard("Title", "Text", image))
    if what == "consent":
        builder.set_card(AskForPermissionsConsentCard(["alexa::profile:name:read"]))
    for directive in SETS[what]:
        builder.add_directive(directive)
    return builder.response


@skill.request_handler(can_handle_func=is_request_type("SessionEndedRequest"))
def ended(handler_input):
    return handler_input.response_builder.response


handler = skill.lambda_handler()
'''

RIGHT = {
    "music": ["AudioPlayer.Play"], "queue": ["AudioPlayer.ClearQueue", "AudioPlayer.Play"],
    "silence": ["AudioPlayer.Stop"],
    "screen": ["Alexa.Presentation.APL.RenderDocument", "Alexa.Presentation.APL.ExecuteCommands"],
    "entities": ["Dialog.UpdateDynamicEntities"], "film": ["VideoApp.Launch"], "print": ["Connections.StartConnection"],
    "done": ["Tasks.CompleteTask"], "buy": ["Connections.SendRequest"], "card": [], "consent": [],
}
WRONG = {
    "two songs": "more than one AudioPlayer.Play", "plain song": "must be a URL with https",
    "no token": "has no 'audioItem.stream.token'", "queue nothing": "allowed only when", "replace queued": "allowed only when",
    "many entities": "more than 100 entities", "no commands": "commands", "print song": "may not have the directive",
    "no dialog": "not been configured to support dialogs",
}


@pytest.fixture
def skill(server, make_function, python_runtime):
    alexa = Alexa(server)
    function = make_function(files={"index.py": SKILL, **sdk_files()}, runtime=python_runtime, MemorySize=FAST_MB, Timeout=8)
    made = alexa.skill(function, model([ANSWER, *BUILT_IN]), interfaces=INTERFACES)
    return lambda text: alexa.simulate(made, f"ask test skill to answer {text}")


def test_directives_of_the_sdk(skill):
    for what, types in RIGHT.items():
        turn = skill(what)
        assert turn.status == "SUCCESSFUL", (what, turn.error)
        assert turn.said == "Here it is."
        response = turn.invocations[-1]["invocationResponse"]["body"]["response"]
        assert [directive["type"] for directive in response.get("directives", [])] == types, what
    for what, words in WRONG.items():
        turn = skill(what)
        assert turn.status == "FAILED" and turn.error["code"] == "INVALID_RESPONSE", (what, turn.simulation)
        assert words in turn.error["message"], (what, turn.error)
        # The skill hears of it.
        assert turn.request["type"] == "SessionEndedRequest" and words in turn.request["error"]["message"]
