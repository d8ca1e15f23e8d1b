"""A coffee shop: an Alexa skill of several intents with ask-sdk-core, a delegated dialog and session attributes."""

import ask_sdk_core.utils as utils
from ask_sdk_core.dispatch_components import AbstractExceptionHandler, AbstractRequestHandler
from ask_sdk_core.skill_builder import SkillBuilder
from ask_sdk_model import DialogState
from ask_sdk_model.dialog import DelegateDirective
from ask_sdk_model.intent_confirmation_status import IntentConfirmationStatus

skill = SkillBuilder()


@skill.request_handler(can_handle_func=utils.is_request_type("LaunchRequest"))
def launch(handler_input):
    text = "Welcome to the coffee shop. What would you like?"
    return handler_input.response_builder.speak(text).ask("What would you like to drink?").response


def resolved(slot):
    """What the model calls the value: "tall" is a large one."""
    for authority in slot.resolutions.resolutions_per_authority if slot.resolutions else []:
        if authority.values:
            return authority.values[0].value.name
    return slot.value


@skill.request_handler(can_handle_func=utils.is_intent_name("OrderIntent"))
def order(handler_input):
    request = handler_input.request_envelope.request
    builder = handler_input.response_builder
    if request.dialog_state != DialogState.COMPLETED:
        return builder.add_directive(DelegateDirective()).response
    if request.intent.confirmation_status == IntentConfirmationStatus.DENIED:
        return builder.speak("Then not. Anything else?").ask("Anything else?").response
    slots = request.intent.slots
    count = int(slots["Count"].value or 1)
    drink = f"{count} {resolved(slots['Size'])} {resolved(slots['Drink'])}"
    attributes = handler_input.attributes_manager.session_attributes
    attributes.setdefault("orders", []).append(drink)
    return builder.speak(f"Coming up: {drink}. Anything else?").ask("Anything else?").response


@skill.request_handler(can_handle_func=utils.is_intent_name("OrdersIntent"))
def orders(handler_input):
    made = handler_input.attributes_manager.session_attributes.get("orders", [])
    text = "You have ordered " + (" and ".join(made) if made else "nothing yet")
    return handler_input.response_builder.speak(text + ".").ask("Anything else?").response


@skill.request_handler(can_handle_func=utils.is_intent_name("ReserveIntent"))
def reserve(handler_input):
    slots = handler_input.request_envelope.request.intent.slots
    text = f"A table on {slots['Day'].value} at {slots['Time'].value}."
    return handler_input.response_builder.speak(text).set_should_end_session(True).response


@skill.request_handler(can_handle_func=utils.is_intent_name("AMAZON.HelpIntent"))
def help_(handler_input):
    text = "Say: I would like a large cappuccino."
    return handler_input.response_builder.speak(text).ask(text).response


@skill.request_handler(can_handle_func=utils.is_intent_name("AMAZON.FallbackIntent"))
def fallback(handler_input):
    return handler_input.response_builder.speak("We only have coffee.").ask("What would you like?").response


@skill.request_handler(
    can_handle_func=lambda given: utils.is_intent_name("AMAZON.StopIntent")(given)
    or utils.is_intent_name("AMAZON.CancelIntent")(given)
)
def stop(handler_input):
    return handler_input.response_builder.speak("Goodbye.").set_should_end_session(True).response


class SessionEnded(AbstractRequestHandler):
    def can_handle(self, handler_input):
        return utils.is_request_type("SessionEndedRequest")(handler_input)

    def handle(self, handler_input):
        request = handler_input.request_envelope.request
        print("session ended:", request.reason.value, request.error.message if request.error else "")
        return handler_input.response_builder.response


class Failed(AbstractExceptionHandler):
    def can_handle(self, handler_input, exception):
        return True

    def handle(self, handler_input, exception):
        print("failed:", exception)
        return handler_input.response_builder.speak("Sorry, our machine is broken.").response


skill.add_request_handler(SessionEnded())
skill.add_exception_handler(Failed())
handler = skill.lambda_handler()
