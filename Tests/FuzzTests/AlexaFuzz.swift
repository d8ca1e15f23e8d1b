import Platform
import Testing

@testable import Alexa

/// What Alexa skills and their developers send.
@Suite struct AlexaFuzz {
    private static let model = #"""
        {"interactionModel":{"languageModel":{"invocationName":"test skill","types":[{"name":"Color","values":[{"id":"R",
        "name":{"value":"red","synonyms":["crimson"]}}]}],"intents":[{"name":"Paint","slots":[{"name":"Color","type":"Color",
        "samples":["{Color}"]},{"name":"Day","type":"AMAZON.DATE","multipleValues":{"enabled":true}}],"samples":["paint {Color}",
        "paint it {x|Color} {Day}","paint"]},{"name":"AMAZON.FallbackIntent"}]},"dialog":{"intents":[{"name":"Paint",
        "delegationStrategy":"ALWAYS","confirmationRequired":true,"prompts":{"confirmation":"P"},"slots":[{"name":"Color",
        "elicitationRequired":true,"prompts":{"elicitation":"P"},"validations":[{"type":"isInSet","values":["red"],"prompt":"P"}]}
        ]}]},"prompts":[{"id":"P","variations":[{"type":"PlainText","value":"The {Color}?"}]}]}}
        """#
    private static let response = #"""
        {"version":"1.0","sessionAttributes":{"a":1},"response":{"outputSpeech":{"type":"SSML","ssml":"<speak>Hi &amp; <b>x</b></speak>"},
        "reprompt":{"outputSpeech":{"type":"PlainText","text":"?"}},"card":{"type":"Simple","title":"t"},"shouldEndSession":false,
        "directives":[{"type":"Dialog.ElicitSlot","slotToElicit":"Color","updatedIntent":{"name":"Paint","slots":{"Color":
        {"name":"Color","value":"blue","confirmationStatus":"NONE"}}}}]}}
        """#
    private static let utterances = [
        "open test skill", "ask test skill to paint crimson", "paint it red tomorrow and november twenty third", "yes",
        "red", "stop",
        "what's 5:30 p.m. or one hundred and five in two weeks",
    ]

    /// Models that are read can be talked to, and what is kept between turns is read again as it was.
    @Test(arguments: Mutator.seeds) func conversations(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let now = Instant(milliseconds: 1_795_413_600_000)
        let (whole, problems) = try ModelReader.read(try JSON.parse(Self.model))
        #expect(problems.isEmpty)
        for _ in 0..<(150 * Mutator.factor) {
            var model = whole
            if random.below(2) == 0, let document = try? JSON.parse(random.mutated(Array(Self.model.utf8))),
                let read = try? ModelReader.read(document)
            {
                model = read.model
            }
            var session: Session?
            for _ in 0..<4 {
                let utterance = random.pick(Self.utterances)
                var conversation = Conversation(skillID: "s", model: model, session: session)
                var step = conversation.hear(
                    random.below(2) == 0 ? utterance : random.mutated(utterance), isFresh: false, now: now)
                var count = 0
                while case .send(let request, _, _) = step, count < 20 {
                    count += 1
                    do throws(SkillFailure) {
                        step = conversation.receive(
                            try SkillResponse(
                                random.mutated(Array(Self.response.utf8)), isEnd: request.isEnd, interfaces: []))
                    } catch {
                        step = conversation.fail(with: error)
                    }
                }
                #expect(count < 20)
                session = conversation.session.flatMap { Session((try? JSON.parse(JSON.encode($0.value))) ?? .null) }
            }
        }
    }

    @Test(arguments: Mutator.seeds) func manifestsTokensAndForms(seed: UInt64) {
        var random = Mutator(seed: seed)
        let now = Instant(milliseconds: 1_795_413_600_000)
        let manifest = #"""
            {"manifest":{"publishingInformation":{"locales":{"en-US":{"name":"n"}}},"apis":{"custom":{"endpoint":{"uri":
            "arn:aws:lambda:us-east-1:000000000000:function:f"},"regions":{"EU":{"endpoint":{"uri":"https://x.example/"}}},
            "interfaces":[{"type":"AUDIO_PLAYER"}]}}}}
            """#
        let tokens = AccessTokens(serverKey: [UInt8](repeating: 9, count: 32))
        let token = tokens.issue(now: now)
        for _ in 0..<(400 * Mutator.factor) {
            if let document = try? JSON.parse(random.mutated(Array(manifest.utf8))) {
                let facts = SkillManifest(document: document)
                _ = (
                    facts.violations(), facts.endpoints, facts.interfaces, facts.names,
                    facts.endpoint(region: "EU", of: .custom)
                )
                _ = SmartHome.problem(directive: document)
            }
            let changed = random.mutated(token)
            #expect(changed == token || !tokens.isValid(changed, now: now))
            _ = Form(random.mutated(Array("grant_type=refresh_token&a=%41+b&=&&c".utf8)))["a"]
            _ = SSML.plain(random.mutated("<speak>a <b x='1'>c</b> <!-- d --> &lt;<break/></speak>"))
        }
    }
}
