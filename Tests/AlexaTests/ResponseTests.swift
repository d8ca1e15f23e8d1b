import Platform
import Testing

@testable import Alexa

/// The rules of responses, each kept and each broken.
@Suite struct ResponseTests {
    private static let all: Set<String> = [
        "AUDIO_PLAYER", "VIDEO_APP", "RENDER_TEMPLATE", "ALEXA_PRESENTATION_APL", "ALEXA_PRESENTATION_HTML",
        "GAME_ENGINE",
        "GADGET_CONTROLLER", "CUSTOM_INTERFACE",
    ]

    /// Nil when the response is as it must be.
    private static func problem(_ response: String, _ interfaces: Set<String> = all) -> String? {
        do throws(SkillFailure) {
            let text = #"{"version":"1.0","response":{\#(response)}}"#
            _ = try SkillResponse(Array(text.utf8), isEnd: false, interfaces: interfaces)
            return nil
        } catch { return error.message }
    }

    private static func play(_ behavior: String, _ stream: String) -> String {
        #"{"type":"AudioPlayer.Play","playBehavior":"\#(behavior)","audioItem":{"stream":{\#(stream)}}}"#
    }

    private static let stream = #""url":"https://a.example/b.mp3","token":"t","offsetInMilliseconds":0"#
    private static let video = #"{"type":"VideoApp.Launch","videoItem":{"source":"https://a.example/v.mp4"}}"#
    private static let start =
        #"{"type":"Connections.StartConnection","uri":"connection://AMAZON.PrintPDF/1","input":{}}"#

    private static let right: [String] = [
        play("REPLACE_ALL", stream), play("REPLACE_ENQUEUED", nullToken),
        play("ENQUEUE", withToken), #"{"type":"AudioPlayer.Stop"}"#,
        #"{"type":"AudioPlayer.ClearQueue","clearBehavior":"CLEAR_ALL"}"#, video, start,
        #"{"type":"Tasks.CompleteTask","status":{"code":"200","message":"done"}}"#,
        #"{"type":"Connections.SendRequest","name":"Buy","payload":{},"token":"t"}"#,
        #"{"type":"Hint","hint":{"type":"PlainText","text":"x"}}"#,
        #"{"type":"Display.RenderTemplate","template":{"type":"BodyTemplate1","token":"t"}}"#,
        #"{"type":"Alexa.Presentation.APL.RenderDocument","document":{"type":"APL"}}"#,
        #"{"type":"Alexa.Presentation.APL.ExecuteCommands","token":"t","commands":[{"type":"Idle"}]}"#,
        #"{"type":"Alexa.Presentation.APL.SendIndexListData","listId":"l"}"#,
        #"{"type":"Dialog.UpdateDynamicEntities","updateBehavior":"CLEAR"}"#,
        #"{"type":"Dialog.UpdateDynamicEntities","updateBehavior":"REPLACE","types":[{"name":"T","values":[{"id":"1","name":{"value":"v"}}]}]}"#,
        #"{"type":"GameEngine.StartInputHandler","timeout":5000,"recognizers":{},"events":{}}"#,
        #"{"type":"CustomInterfaceController.SendDirective","endpoint":{"endpointId":"e"},"header":{"namespace":"N","name":"M"},"payload":{}}"#,
        #"{"type":"Dialog.ElicitSlot","slotToElicit":"S"},{"type":"Alexa.Presentation.APL.RenderDocument","document":{}}"#,
    ]

    @Test(arguments: right) func directivesThatAreRight(directives: String) {
        #expect(Self.problem(#""directives":[\#(directives)]"#) == nil)
    }

    private static let withToken = stream + #","expectedPreviousToken":"s""#
    private static let nullToken = stream + #","expectedPreviousToken":null"#
    private static let oddToken = stream + #","expectedPreviousToken":7"#
    private static let longToken = #""url":"https://a","token":"\#(String(repeating: "x", count: 1_025))""#
    private static let longURL = #""url":"https://\#(String(repeating: "x", count: 8_000))","token":"t""#
    private static let startAndPlay = start + "," + play("REPLACE_ALL", stream)
    private static let manyEntities: String = {
        let values = Array(repeating: #"{"name":{"value":"v"}}"#, count: 101).joined(separator: ",")
        return
            #"{"type":"Dialog.UpdateDynamicEntities","updateBehavior":"REPLACE","types":[{"name":"T","values":[\#(values)]}]}"#
    }()
    private static let largePayload: String = {
        let head = #"{"type":"CustomInterfaceController.SendDirective","endpoint":{"endpointId":"e"},"#
        return head
            + #""header":{"namespace":"N","name":"M"},"payload":{"x":"\#(String(repeating: "x", count: 1_000))"}}"#
    }()

    private static func twice(_ directive: String) -> String { directive + "," + directive }

    private static let wrong: [(String, String)] = [
        (play("LOUD", stream), "must be one of ENQUEUE"),
        (play("ENQUEUE", stream), "required and allowed only when"),
        (play("REPLACE_ALL", withToken), "required and allowed only when"),
        (play("REPLACE_ALL", oddToken), "required and allowed only when"),
        (play("REPLACE_ALL", #""url":"http://a.example/b","token":"t""#), "must be a URL with https"),
        (play("REPLACE_ALL", #""url":"https://a.example/b""#), "has no 'audioItem.stream.token'"),
        (play("REPLACE_ALL", #""url":"https://a.example/b","token":"""#), "has no 'audioItem.stream.token'"),
        (
            play("REPLACE_ALL", longToken),
            "exceeds 1024 characters"
        ),
        (
            play("REPLACE_ALL", longURL),
            "exceeds 8000 characters"
        ),
        (play("REPLACE_ALL", stream.replacing(":0", with: ":-1")), "must be a whole number of at least 0"),
        (twice(play("REPLACE_ALL", stream)), "more than one AudioPlayer.Play"),
        (#"{"type":"AudioPlayer.Play"}"#, "has no 'playBehavior'"),
        (#"{"type":"AudioPlayer.ClearQueue","clearBehavior":"ALL"}"#, "CLEAR_ENQUEUED, CLEAR_ALL"),
        (#"{"type":"AudioPlayer.Rewind"}"#, "none of Alexa's"), (#"{"type":"Dialog.Guess"}"#, "none of Alexa's"),
        (#"{"type":"Hint","hint":{"type":"RichText","text":"x"}}"#, "must be one of PlainText"),
        (#"{"type":"Hints","hint":{"type":"PlainText","text":"x"}}"#, "none of Alexa's"),
        (#"{"type":"Display.RenderTemplate","template":{"type":"BodyTemplate9"}}"#, "must be one of BodyTemplate1"),
        (#"{"type":"Alexa.Presentation.APL.RenderDocument"}"#, "has no 'document'"),
        (#"{"type":"Alexa.Presentation.APL.RenderDocument","document":"x"}"#, "must be an object"),
        (#"{"type":"Alexa.Presentation.APL.ExecuteCommands","token":"t","commands":[]}"#, "not empty"),
        (#"{"type":"Alexa.Presentation.APL.ExecuteCommands","commands":[{}]}"#, "has no 'token'"),
        (#"{"type":"VideoApp.Launch","videoItem":{"source":"http://a"}}"#, "must be a URL with https"),
        (twice(video), "more than one VideoApp.Launch"),
        (startAndPlay, "may not have the directive AudioPlayer.Play"),
        (start.replacing("input", with: "onCompletion"), "must be one of RESUME_SESSION"),
        (#"{"type":"Connections.StartConnection"}"#, "has no 'uri'"),
        (#"{"type":"Tasks.CompleteTask"}"#, "has no 'status.code'"),
        (#"{"type":"Connections.SendRequest","name":"Buy","token":"t"}"#, "has no 'payload'"),
        (#"{"type":"Dialog.ElicitSlot"}"#, "has no 'slotToElicit'"),
        (#"{"type":"Dialog.ConfirmSlot","slotToConfirm":7}"#, "must be a text"),
        (#"{"type":"Dialog.Delegate","updatedIntent":[]}"#, "must be an object"),
        (#"{"type":"Dialog.Delegate"},{"type":"Dialog.ConfirmIntent"}"#, "more than one Dialog"),
        (#"{"type":"Dialog.UpdateDynamicEntities","updateBehavior":"ADD"}"#, "REPLACE, CLEAR"),
        (#"{"type":"Dialog.UpdateDynamicEntities","updateBehavior":"REPLACE"}"#, "has no 'types'"),
        (
            #"{"type":"Dialog.UpdateDynamicEntities","updateBehavior":"REPLACE","types":[{"name":"T","values":[{}]}]}"#,
            "'values' with names"
        ),
        (manyEntities, "more than 100 entities"),
        (#"{"type":"GameEngine.StartInputHandler","timeout":"5","recognizers":{},"events":{}}"#, "whole number"),
        (largePayload, "exceeds 1000 bytes"),
        ("7", "has no 'type'"), (#"{"type":7}"#, "has no 'type'"),
    ]

    @Test(arguments: wrong) func directivesThatAreWrong(directives: String, words: String) {
        let problem = Self.problem(#""directives":[\#(directives)]"#)
        #expect(problem?.contains(words) == true, "\(problem ?? "nothing")")
    }

    private static let wrongResponses: [(String, String)] = [
        (
            #""shouldEndSession":null,"directives":[\#(video)]"#,
            "shouldEndSession flag is not allowed with LaunchVideoApp"
        ),
        (#""shouldEndSession":"no""#, "must be true or false"), (#""directives":{}"#, "must be an array"),
        (#""outputSpeech":{"type":"PlainText","text":"x","playBehavior":"LATER"}"#, "REPLACE_ENQUEUED"),
        (
            #""outputSpeech":{"type":"SSML","ssml":"<speak>\#(String(repeating: "<audio src='https://a'/>", count: 6))</speak>"}"#,
            "more than 5 <audio>"
        ),
        (#""outputSpeech":{"type":"SSML","ssml":"<speak><audio src='http://a'/></speak>"}"#, "https or soundbank"),
        (#""outputSpeech":{"type":"SSML","ssml":"<speak><audio/></speak>"}"#, "https or soundbank"),
        (#""reprompt":{"outputSpeech":{"type":"PlainText"}}"#, "'response.reprompt.outputSpeech.text' is missing"),
        (#""reprompt":{"directives":[{"type":"AudioPlayer.Stop"}]}"#, "APLA.RenderDocument only"),
        (#""card":{"type":"AskForPermissionsConsent"}"#, "must name the permissions"),
        (
            #""card":{"type":"Standard","image":{"smallImageUrl":"\#(String(repeating: "x", count: 2_001))"}}"#,
            "exceeds 2000"
        ),
        (
            #""card":{"type":"Simple","title":"x","content":"\#(String(repeating: "x", count: 8_000))"}"#,
            "exceeds 8000 characters"
        ),
    ]

    @Test(arguments: wrongResponses) func responsesThatAreWrong(response: String, words: String) {
        let problem = Self.problem(response)
        #expect(problem?.contains(words) == true, "\(problem ?? "nothing")")
    }

    @Test func whatNeedsAnInterface() {
        for (type, interface) in [
            (Self.video, "VIDEO_APP"), (#"{"type":"AudioPlayer.Stop"}"#, "AUDIO_PLAYER"),
            (#"{"type":"Alexa.Presentation.HTML.HandleMessage"}"#, "ALEXA_PRESENTATION_HTML"),
        ] {
            let problem = Self.problem(#""directives":[\#(type)]"#, Self.all.subtracting([interface]))
            #expect(problem?.contains("are not supported") == true && problem?.contains(interface) == true)
        }
    }

    @Test func sizeOfTheWhole() {
        let frame = Self.problem(#""x":"""#) == nil ? #"{"version":"1.0","response":{"x":""}}"#.utf8.count : 0
        let room = Limits.responseBytes - frame
        #expect(Self.problem(#""x":"\#(String(repeating: "x", count: room))""#) == nil)
        #expect(Self.problem(#""x":"\#(String(repeating: "x", count: room + 1))""#)?.contains("122880") == true)
    }
}
