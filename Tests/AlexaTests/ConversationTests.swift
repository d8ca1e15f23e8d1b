import Platform
import Testing

@testable import Alexa

@Suite struct ConversationTests {
    private static let now = MatcherTests.now

    private static func model(_ strategy: String) throws -> LanguageModel {
        let (model, problems) = try ModelReader.read([
            "interactionModel": [
                "languageModel": [
                    "invocationName": "test skill",
                    "types": [["name": "Color", "values": [["name": ["value": "red"]], ["name": ["value": "blue"]]]]],
                    "intents": [
                        [
                            "name": "Paint", "samples": ["paint it {Color}", "paint", "paint {Count} walls"],
                            "slots": [
                                ["name": "Color", "type": "Color"], ["name": "Count", "type": "AMAZON.NUMBER"],
                            ],
                        ],
                        ["name": "Other", "samples": ["something else"]], ["name": "AMAZON.YesIntent"],
                        ["name": "AMAZON.HelpIntent"],
                    ],
                ],
                "dialog": [
                    "intents": [
                        [
                            "name": "Paint", "delegationStrategy": .string(strategy), "confirmationRequired": true,
                            "prompts": ["confirmation": "P.Sure"],
                            "slots": [
                                [
                                    "name": "Color", "elicitationRequired": true, "confirmationRequired": true,
                                    "prompts": ["elicitation": "P.Color", "confirmation": "P.Right"],
                                    "validations": [["type": "hasEntityResolutionMatch", "prompt": "P.No"]],
                                ],
                                [
                                    "name": "Count", "elicitationRequired": true, "prompts": ["elicitation": "P.Count"],
                                    "validations": [["type": "isGreaterThan", "value": "0", "prompt": "P.More"]],
                                ],
                            ],
                        ]
                    ]
                ],
                "prompts": .list(
                    [
                        ("P.Color", "Which color?"), ("P.Right", "{Color}, right?"),
                        ("P.No", "Not {Color}. Which color?"),
                        ("P.Count", "How many?"), ("P.More", "More than {Count}!"),
                        ("P.Sure", "Paint {Count} {Color}?"),
                    ].map { id, text in
                        ["id": .string(id), "variations": [["type": "PlainText", "value": .string(text)]]]
                    }),
            ]
        ])
        #expect(problems.isEmpty, "\(problems)")
        return model
    }

    /// One turn after the other against a skill in a closure; what was sent and said.
    private struct Talk {
        var model: LanguageModel
        var session: Session?
        var skill: (Conversation.Request) -> String

        mutating func say(_ text: String) -> (sent: [Conversation.Request], said: [String], failure: SkillFailure?) {
            var conversation = Conversation(skillID: "skill", model: model, session: session)
            var sent: [Conversation.Request] = []
            var step = conversation.hear(text, isFresh: false, now: ConversationTests.now)
            while case .send(let request, _, _) = step {
                sent.append(request)
                do throws(SkillFailure) {
                    step = conversation.receive(
                        try SkillResponse(Array(skill(request).utf8), isEnd: request.isEnd, interfaces: []))
                } catch { step = conversation.fail(with: error) }
            }
            // What is kept between turns goes through its document.
            session = conversation.session.flatMap { Session($0.value) }
            #expect(session == conversation.session)
            return (sent, conversation.captions, conversation.failure)
        }
    }

    private static let open = #"{"version":"1.0","response":{"shouldEndSession":false}}"#
    private static let delegate =
        #"{"version":"1.0","response":{"directives":[{"type":"Dialog.Delegate"}],"shouldEndSession":false}}"#

    private static func state(_ request: Conversation.Request?) -> String {
        guard case .intent(let intent, let state)? = request else { return "none" }
        return "\(intent.name) \(state ?? "-") \(intent.confirmation)"
    }

    @Test func alexaLeadsADialogByItself() throws {
        var talk = Talk(model: try Self.model("ALWAYS"), session: nil) { _ in Self.open }
        #expect(talk.say("open test skill").sent.count == 1)
        // Nothing is sent before the dialog is complete.
        for (text, said) in [
            ("paint", "Which color?"), ("green", "Not green. Which color?"), ("red", "red, right?"),
            ("no", "Which color?"),
            ("blue", "blue, right?"), ("yes", "How many?"), ("zero", "More than 0!"), ("three", "Paint 3 blue?"),
        ] {
            let turn = talk.say(text)
            #expect(turn.sent.isEmpty && turn.said == [said], "\(text): \(turn.said)")
        }
        let last = talk.say("yes")
        #expect(Self.state(last.sent.first) == "Paint COMPLETED CONFIRMED" && last.sent.count == 1)
        #expect(talk.session?.dialog == nil)
        // Denied: the skill is told so.
        _ = talk.say("paint it red")
        _ = talk.say("yes")
        _ = talk.say("five")
        #expect(Self.state(talk.say("no").sent.first) == "Paint COMPLETED DENIED")
    }

    @Test func theSkillDelegatesTurnByTurn() throws {
        var talk = Talk(model: try Self.model("SKILL_RESPONSE"), session: nil) { request in
            if case .intent(_, let state?) = request, state != "COMPLETED" { Self.delegate } else { Self.open }
        }
        _ = talk.say("open test skill")
        #expect(talk.say("paint").sent.map(Self.state) == ["Paint STARTED NONE"])
        #expect(talk.say("red").sent.map(Self.state) == ["Paint IN_PROGRESS NONE"])
        _ = talk.say("yes")
        #expect(talk.say("four").said == ["Paint 4 red?"])
        let last = talk.say("yes")
        #expect(last.sent.map(Self.state) == ["Paint COMPLETED CONFIRMED"] && last.failure == nil)
        // Another intent leaves the dialog.
        _ = talk.say("paint")
        #expect(talk.say("something else").sent.map(Self.state) == ["Other - NONE"])
        #expect(talk.say("help").sent.map(Self.state) == ["AMAZON.HelpIntent - NONE"])
    }

    @Test func theSkillAsksItself() throws {
        let elicit = #"""
            {"version":"1.0","response":{"outputSpeech":{"type":"PlainText","text":"Tell me."},"shouldEndSession":false,
            "directives":[{"type":"Dialog.ElicitSlot","slotToElicit":"Color","updatedIntent":{"name":"Paint",
            "confirmationStatus":"NONE","slots":{"Count":{"name":"Count","value":"7","confirmationStatus":"CONFIRMED"}}}}]}}
            """#
        let confirm = #"""
            {"version":"1.0","response":{"outputSpeech":{"type":"PlainText","text":"Sure?"},
            "directives":[{"type":"Dialog.ConfirmIntent"}]}}
            """#
        var talk = Talk(model: try Self.model("SKILL_RESPONSE"), session: nil) { request in
            guard case .intent(let intent, let state) = request else { return Self.open }
            if intent.value(of: "Color") == nil { return elicit }
            return intent.confirmation == "NONE" && state != nil ? confirm : Self.open
        }
        _ = talk.say("open test skill")
        #expect(talk.say("paint").said == ["Tell me."])
        let turn = talk.say("crimson")
        guard case .intent(let intent, _)? = turn.sent.first else { return #expect(Bool(false)) }
        #expect(intent.value(of: "Color") == "crimson" && intent.value(of: "Count") == "7")
        #expect(turn.said == ["Sure?"])
        // What is no answer is asked again.
        #expect(talk.say("who knows").said == ["Sure?"])
        #expect(talk.say("nope").sent.map(Self.state) == ["Paint IN_PROGRESS DENIED"])
    }

    @Test func endsAndFailures() throws {
        var talk = Talk(model: try Self.model("ALWAYS"), session: nil) { _ in #"{"version":"1.0","response":{}}"# }
        #expect(talk.say("hello").failure?.code == "UTTERANCE_NOT_UNDERSTOOD")
        // Without a word about it the session ends.
        _ = talk.say("open test skill")
        #expect(talk.session == nil)
        talk.skill = { _ in Self.open }
        _ = talk.say("open test skill")
        // The model has no stop intent: Alexa stops by herself.
        let stopped = talk.say("stop")
        guard case .ended(let reason, nil)? = stopped.sent.first else { return #expect(Bool(false)) }
        #expect(reason == "USER_INITIATED" && talk.session == nil && stopped.failure == nil)
        talk.skill = { $0.isEnd ? "anything" : "{}" }
        let failed = talk.say("open test skill")
        guard case .ended("ERROR", let error?)? = failed.sent.last else { return #expect(Bool(false)) }
        #expect(error.requestError["type"]?.string == "INVALID_RESPONSE" && failed.sent.count == 2)
        // A skill that delegates without end is stopped.
        talk = Talk(model: try Self.model("SKILL_RESPONSE"), session: nil) { _ in Self.delegate }
        talk.session = Session.fresh()
        var count = 0
        for text in ["paint it red", "yes", "three", "yes", "yes"] { count += talk.say(text).sent.count }
        #expect(count <= 5 * (Limits.requestsPerTurn + 2))
    }

    /// Random skills and users: turns end, an open session is one that was sent, and nothing traps.
    @Test(arguments: 1...60) func anySkillAndAnyUser(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let model = try Self.model(random.pick(["ALWAYS", "SKILL_RESPONSE"]))
        let directives = [
            #"{"type":"Dialog.Delegate"}"#, #"{"type":"Dialog.ConfirmIntent"}"#,
            #"{"type":"Dialog.ElicitSlot","slotToElicit":"Color"}"#,
            #"{"type":"Dialog.ConfirmSlot","slotToConfirm":"Count"}"#,
            #"{"type":"Dialog.ElicitSlot","slotToElicit":"Nothing"}"#, #"{"type":"Dialog.ElicitSlot"}"#,
            #"{"type":"Dialog.Delegate","updatedIntent":{"name":"Paint","slots":{"Color":{"value":"red"},"X":null}}}"#,
            #"{"type":"Dialog.Delegate","updatedIntent":{"name":"Other"}}"#,
            #"{"type":"Dialog.Delegate","updatedIntent":{"name":"Gone"}}"#, #"{"type":"Hint"}"#, #"{}"#,
        ]
        let utterances = [
            "open test skill", "paint", "paint it red", "red", "yes", "no", "three", "stop", "exit", "help",
            "what ever",
            "ask test skill to paint 3 walls", "something else", "minus one", "…",
        ]
        var session: Session?
        for _ in 0..<60 {
            var conversation = Conversation(skillID: "s", model: model, session: session)
            var step = conversation.hear(random.pick(utterances), isFresh: random.below(20) == 0, now: Self.now)
            var sent = 0
            while case .send(let request, _, _) = step {
                sent += 1
                #expect(sent <= Limits.requestsPerTurn + 2)
                guard sent <= Limits.requestsPerTurn + 2 else { return }
                let list = (0..<random.below(3)).map { _ in random.pick(directives) }.joined(separator: ",")
                let end = random.pick(["false", "false", "true", "null"])
                let text = random.pick([
                    #"{"version":"1.0","response":{"directives":[\#(list)],"shouldEndSession":\#(end)}}"#, "{}",
                    "nonsense",
                    Self.open, Self.delegate, Self.delegate,
                ])
                if random.below(12) == 0 {
                    step = conversation.fail(
                        with: random.pick([.timedOut, .notPermitted("x"), .failed("x"), .unreachable("x")]))
                    continue
                }
                do throws(SkillFailure) {
                    step = conversation.receive(
                        try SkillResponse(Array(text.utf8), isEnd: request.isEnd, interfaces: []))
                } catch { step = conversation.fail(with: error) }
            }
            if let failure = conversation.failure, failure.code != "UTTERANCE_NOT_UNDERSTOOD" {
                #expect(conversation.session == nil)
            }
            session = conversation.session.flatMap { Session($0.value) }
            #expect(session == conversation.session)
        }
    }

    @Test(arguments: [
        (
            "<speak>Hello <break time=\"1s\"/> you &amp; <emphasis level='strong'>me</emphasis></speak>",
            "Hello you & me"
        ),
        ("<speak>a<!-- > --> b</speak>", "a b"), ("<?xml version=\"1.0\"?><speak>x</speak> ", "x"),
    ]) func markup(text: String, plain: String) {
        #expect(SSML.plain(text) == plain)
    }

    @Test(arguments: [
        "Hello", "<speak>", "<speak>a</b></speak>", "<speak>a</speak>b", "<b>a</b>", "<speak><b></speak></b>",
        "</speak>",
        "<speak>a</speak><speak>b</speak>", "<speak>a", "<", "<speak><", "", "<speak><!-- </speak>",
    ]) func brokenMarkup(text: String) {
        #expect(SSML.plain(text) == nil)
    }
}
