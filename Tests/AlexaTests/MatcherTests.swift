import Platform
import Testing

@testable import Alexa

@Suite struct MatcherTests {
    static let now = Instant(milliseconds: 1_795_413_600_000)

    static func model(_ intents: [Value], types: [Value] = []) throws -> LanguageModel {
        let (model, problems) = try ModelReader.read([
            "interactionModel": [
                "languageModel": ["invocationName": "test skill", "intents": .list(intents), "types": .list(types)]
            ]
        ])
        #expect(problems.isEmpty, "\(problems)")
        return model
    }

    static func intent(_ name: String, _ samples: [String], _ slots: [(String, String)] = []) -> Value {
        [
            "name": .string(name), "samples": .strings(samples),
            "slots": .list(slots.map { ["name": .string($0.0), "type": .string($0.1)] }),
        ]
    }

    static func understand(_ model: LanguageModel, _ text: String) -> (intent: String, slots: [String: String])? {
        var matcher = UtteranceMatcher(model, Words.split(text), now: now)
        guard let best = matcher.interpretations().first else { return nil }
        let intent = model.intents[best.intent]
        let slots = best.slots.map { (intent.slots[$0.key].name, $0.value.value) }
        return (intent.name, Dictionary(uniqueKeysWithValues: slots))
    }

    private static let signs: Value = [
        "name": "Sign",
        "values": [
            ["id": "GEM", "name": ["value": "Gemini", "synonyms": ["the twins"]]], ["name": ["value": "Leo"]],
        ],
    ]

    @Test func choosesTheSampleThatFitsBest() throws {
        let model = try Self.model(
            [
                Self.intent("Search", ["{Query}", "search for {Query}"], [("Query", "AMAZON.SearchQuery")]),
                Self.intent(
                    "Horoscope", ["what is {Sign}'s horoscope for {Day}", "{Sign}", "horoscope {Day}"],
                    [("Sign", "Sign"), ("Day", "AMAZON.DATE")]),
                Self.intent("Count", ["count to {Number}"], [("Number", "AMAZON.NUMBER")]),
                Self.intent("AMAZON.StopIntent", []),
            ], types: [Self.signs])
        let expected: [(String, String, [String: String])] = [
            ("What's Gemini's horoscope for tomorrow?", "Horoscope", ["Sign": "Gemini", "Day": "2026-11-24"]),
            (
                "what is the twins horoscope for next week", "Search",
                ["Query": "what is the twins horoscope for next week"]
            ),
            ("the twins", "Horoscope", ["Sign": "the twins"]), ("leo", "Horoscope", ["Sign": "leo"]),
            ("count to one hundred and five", "Count", ["Number": "105"]), ("stop", "AMAZON.StopIntent", [:]),
            ("search for leo", "Search", ["Query": "leo"]), ("anything at all", "Search", ["Query": "anything at all"]),
        ]
        for (text, intent, slots) in expected {
            let found = Self.understand(model, text)
            #expect(found?.intent == intent && found?.slots == slots, "\(text): \(String(describing: found))")
        }
    }

    @Test func theFallbackTakesWhatOnlyASlotAloneWould() throws {
        let fallback = Self.intent("AMAZON.FallbackIntent", [])
        let horoscope = Self.intent("Horoscope", ["{Sign}", "my sign is {Sign}"], [("Sign", "Sign")])
        let with = try Self.model([horoscope, fallback], types: [Self.signs])
        let without = try Self.model([horoscope], types: [Self.signs])
        #expect(Self.understand(with, "banana") == nil)
        #expect(Self.understand(without, "banana")?.slots == ["Sign": "banana"])
        #expect(Self.understand(with, "my sign is banana")?.slots == ["Sign": "banana"])
        #expect(Self.understand(with, "gemini")?.intent == "Horoscope")
    }

    @Test func severalValues() throws {
        let (model, problems) = try ModelReader.read([
            "interactionModel": [
                "languageModel": [
                    "invocationName": "test skill", "types": [Self.signs],
                    "intents": [
                        [
                            "name": "Compare", "samples": ["compare {Signs}"],
                            "slots": [["name": "Signs", "type": "Sign", "multipleValues": ["enabled": true]]],
                        ]
                    ],
                ]
            ]
        ])
        #expect(problems.isEmpty)
        var matcher = UtteranceMatcher(model, Words.split("compare Leo, the twins and Gemini"), now: Self.now)
        let best = try #require(matcher.interpretations().first)
        #expect(best.slots[0]?.parts.map(\.value) == ["Leo", "the twins", "Gemini"])
        let document = IntentDocument(model.intents[0], best.slots, skillID: "s").fields["slots"]?["Signs"]
        #expect(document?["value"] == nil && document?["slotValue"]?["type"]?.string == "List")
        #expect(document?["slotValue"]?["values"]?.list?.count == 3)
    }

    // MARK: Properties

    private struct Built {
        var model: LanguageModel
        var intents: [(name: String, slots: [(name: String, type: String)], samples: [[String]])]
        var values: [String: [String]]
    }

    /// A random model over few words, so that samples resemble each other.
    private static func build(_ random: inout SplitMix) throws -> Built {
        let vocabulary = ["play", "the", "song", "of", "to", "me", "please", "now", "again", "what", "five", "is"]
        var values: [String: [String]] = [:]
        var types: [Value] = []
        for name in ["Alpha", "Beta"] {
            let list = (0..<3).map { number in
                (0...random.below(2)).map { _ in random.pick(vocabulary) }.joined(separator: " ")
                    + " \(name.lowercased())"
                    + ["x", "y", "z"][number]
            }
            values[name] = list
            types.append(["name": .string(name), "values": .list(list.map { ["name": ["value": .string($0)]] })])
        }
        values["AMAZON.NUMBER"] = ["five", "12", "twenty one"]
        values["AMAZON.SearchQuery"] = ["anything goes", "what is this"]
        var intents: [(name: String, slots: [(name: String, type: String)], samples: [[String]])] = []
        for number in 0..<(2 + random.below(4)) {
            let slots = (0..<random.below(3)).map { index in
                (name: "S\(index)", type: random.pick(["Alpha", "Beta", "AMAZON.NUMBER", "AMAZON.SearchQuery"]))
            }
            let samples = (0..<(1 + random.below(4))).map { _ in
                (0..<(1 + random.below(5))).map { _ in
                    !slots.isEmpty && random.below(3) == 0 ? "{\(random.pick(slots).name)}" : random.pick(vocabulary)
                }
            }
            intents.append((name: "Intent\(["A", "B", "C", "D", "E", "F"][number])", slots: slots, samples: samples))
        }
        let model = try model(
            intents.map { each in
                Self.intent(
                    each.name, each.samples.map { $0.joined(separator: " ") }, each.slots.map { ($0.name, $0.type) })
            }, types: types)
        return Built(model: model, intents: intents, values: values)
    }

    /// Whatever a sample can say is understood, as cheaply as that sample can; what is understood can be said again by a sample of
    /// the intent; and it is the same each time.
    @Test(arguments: 1...40) func whatSamplesSayIsUnderstood(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let built = try Self.build(&random)
        for _ in 0..<25 {
            let intent = random.pick(built.intents)
            let sample = random.pick(intent.samples)
            let text = sample.map { part in
                guard part.hasPrefix("{"), let slot = intent.slots.first(where: { "{\($0.name)}" == part }) else {
                    return part
                }
                return random.pick(built.values[slot.type] ?? [])
            }.joined(separator: " ")
            let words = Words.split(text)
            guard words.count <= Limits.words else { continue }
            var matcher = UtteranceMatcher(built.model, words, now: Self.now)
            let found = matcher.interpretations()
            #expect(!found.isEmpty, "\(text)")
            #expect(found.contains { built.model.intents[$0.intent].name == intent.name }, "\(text)")
            #expect(found.map(\.cost) == found.map(\.cost).sorted())
            // With known values only, a word of a slot costs 1 and a slot 2.
            let slotWords = words.count - sample.filter { !$0.hasPrefix("{") }.count
            let slotCount = sample.filter { $0.hasPrefix("{") }.count
            let isQuery = intent.slots.contains { $0.type == "AMAZON.SearchQuery" }
            if !isQuery, let best = found.first { #expect(best.cost <= slotWords + 2 * slotCount, "\(text)") }
            for interpretation in found { #expect(Self.canSay(built.model, interpretation, words), "\(text)") }
            var again = UtteranceMatcher(built.model, words, now: Self.now)
            #expect(again.interpretations().map(\.slots) == found.map(\.slots))
        }
    }

    private static func canSay(_ model: LanguageModel, _ interpretation: Interpretation, _ words: [Word]) -> Bool {
        let intent = model.intents[interpretation.intent]
        let keys = words.map(\.key)
        return (intent.samples + BuiltInIntents.samples(of: intent.name)).contains { sample in
            var said: [String] = []
            for element in sample.elements {
                switch element {
                case .word(let word): said.append(word)
                case .slot(let slot): said += Words.split(interpretation.slots[slot]?.spoken ?? "").map(\.key)
                }
            }
            // A slot named twice keeps its last words, so that the first may differ.
            let slots = sample.elements.filter { if case .slot = $0 { true } else { false } }
            return said == keys || Set(slots).count < slots.count
        }
    }

    @Test func aModelMadeToBeSlowEnds() throws {
        let slots = (0..<30).map { ("S\($0)", "AMAZON.City") }
        let sample = slots.map { "{\($0.0)}" }.joined(separator: " ")
        let intents = (0..<100).map { number in
            Self.intent(
                "I" + String(repeating: "x", count: number), [sample, sample + " a", "a " + sample], slots)
        }
        let model = try Self.model(intents)
        let text = Array(repeating: "a", count: 60).joined(separator: " ")
        var matcher = UtteranceMatcher(model, Words.split(text), now: Self.now)
        #expect(!matcher.interpretations().isEmpty)
    }

    // MARK: Calling by name

    @Test(arguments: [
        ("open test skill", "launch"), ("Alexa, open the Test Skill", "launch"), ("test skill", "launch"),
        ("please talk to test skill", "launch"), ("ask test skill for gemini", "for gemini|gemini"),
        ("tell test skill that I am here", "that i am here|i am here"), ("open test skill and play", "and play|play"),
        ("what is up from test skill", "what is up|is up"), ("say hello using test skill", "say hello"),
        ("ask test skill stop", "stop"), ("ask another skill for gemini", "none"), ("open test", "none"),
        ("skill test open", "none"),
    ]) func calls(text: String, expected: String) {
        let found: String
        switch InvocationPhrase.read(Words.split(text), name: ["test", "skill"]) {
        case .launch: found = "launch"
        case .request(let ways): found = ways.map { $0.map(\.key).joined(separator: " ") }.joined(separator: "|")
        case nil: found = "none"
        }
        #expect(found == expected)
    }

    // MARK: Models that are refused

    @Test func problemsAreTold() throws {
        let intents: Value = [
            Self.intent("Good", ["good"]), Self.intent("Good", ["again"]), Self.intent("Bad Name", ["x"]),
            Self.intent("NoSamples", []), Self.intent("Unknown", ["a {Nothing}"]), Self.intent("Braces", ["a {b"]),
            Self.intent("Type", ["{S}"], [("S", "Missing")]),
        ]
        let (_, problems) = try ModelReader.read([
            "interactionModel": [
                "languageModel": ["invocationName": "Alexa Thing", "intents": intents],
                "dialog": ["intents": [["name": "Nobody", "slots": []]]],
            ]
        ])
        let codes = Set(problems.map(\.code))
        #expect(
            codes.isSuperset(of: [
                "DuplicateIntentName", "InvalidIntentName", "NoSampleUtterance", "UndefinedSlot", "InvalidSample",
                "UndefinedSlotType", "InvalidInvocationName", "UndefinedDialogIntent",
            ]), "\(codes)")
        for document: Value in [
            [:], ["interactionModel": 7], ["interactionModel": ["languageModel": ["intents": []]]], .null,
        ] {
            #expect(throws: ModelReader.SchemaProblems.self) { try ModelReader.read(document) }
        }
    }
}
