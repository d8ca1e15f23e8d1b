import Platform

/// What is wrong with a manifest or model: SMAPI's `StandardizedError`.
struct Problem: Error, Sendable, Hashable {
    var code: String
    var message: String

    var value: Value { ["code": .string(code), "message": .string(message)] }
}

/// Reads and checks an interaction model ("Interaction Model Schema"). What the schema forbids is told at once
/// (`SchemaProblems`), what only the build finds is in `problems`.
struct ModelReader {
    private(set) var problems: [Problem] = []
    private var samples = 0
    private var values = 0
    private var types: [String: SlotType] = [:]

    /// The schema does not hold: answered with 400.
    struct SchemaProblems: Error { var problems: [Problem] }

    /// Compiles `document` (`{"interactionModel": {…}}`). Throws `SchemaProblems`; a model that has `problems` is not used.
    static func read(_ document: Value) throws(SchemaProblems) -> (model: LanguageModel, problems: [Problem]) {
        guard let root = document["interactionModel"], let language = root["languageModel"], language.fields != nil
        else {
            throw SchemaProblems(problems: [Problem.missing("interactionModel.languageModel")])
        }
        guard let name = language["invocationName"]?.string else {
            throw SchemaProblems(problems: [Problem.missing("interactionModel.languageModel.invocationName")])
        }
        guard let intents = language["intents"]?.list else {
            throw SchemaProblems(problems: [Problem.missing("interactionModel.languageModel.intents")])
        }
        try Self.checkShape(root, language, intents)
        var reader = ModelReader()
        reader.readTypes(language["types"]?.list ?? [])
        let prompts = reader.readPrompts(root["prompts"]?.list ?? [])
        reader.checkInvocationName(name)
        var read = reader.readIntents(intents)
        if let dialog = root["dialog"] { reader.readDialog(dialog, prompts, &read) }
        let model = LanguageModel(
            invocationName: Words.split(name).map(\.key), invocationText: name, intents: read, prompts: prompts)
        return (model, reader.problems)
    }

    private static func checkShape(_ root: Value, _ language: Value, _ intents: [Value]) throws(SchemaProblems) {
        var problems: [Problem] = []
        func check(_ value: Value?, _ path: String) {
            if let value, value.list == nil, !value.isNull { problems.append(.wrong(path, "array")) }
        }
        check(language["types"], "interactionModel.languageModel.types")
        check(root["prompts"], "interactionModel.prompts")
        check(root["dialog"]?["intents"], "interactionModel.dialog.intents")
        for (index, intent) in intents.prefix(Limits.intents).enumerated() {
            let path = "interactionModel.languageModel.intents[\(index)]"
            if intent["name"]?.string == nil { problems.append(.missing("\(path).name")) }
            check(intent["slots"], "\(path).slots")
            check(intent["samples"], "\(path).samples")
        }
        guard problems.isEmpty else { throw SchemaProblems(problems: Array(problems.prefix(Limits.problems))) }
    }

    private mutating func report(_ code: String, _ message: String) {
        guard problems.count < Limits.problems else { return }
        problems.append(Problem(code: code, message: message))
    }

    // MARK: Names

    /// "Understand How Users Invoke Custom Skills": wake words and launch phrases may not be in it.
    private mutating func checkInvocationName(_ name: String) {
        let words = Words.split(name)
        guard !words.isEmpty, name.count <= 50 else {
            return report("InvalidInvocationName", "The invocation name must have between 2 and 50 characters.")
        }
        if name.count < 2 {
            report("InvalidInvocationName", "The invocation name must have between 2 and 50 characters.")
        }
        if name != name.lowercased() {
            report("InvalidInvocationName", "The invocation name '\(name)' must be in lower case; spell numbers out.")
        }
        let forbidden: Set<String> = ["alexa", "amazon", "echo", "computer"]
        if let word = words.first(where: { forbidden.contains($0.key) }) {
            report(
                "InvalidInvocationName",
                "The invocation name '\(name)' must not contain the wake word '\(word.key)'.")
        }
        if let first = words.first, words.count == 2, ["the", "a", "an"].contains(first.key) {
            report("InvalidInvocationName", "A two-word invocation name must not begin with '\(first.key)'.")
        }
    }

    private static func isName(_ text: String, dots: Bool) -> Bool {
        !text.isEmpty && text.utf8.count <= 200
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x41...0x5A, 0x61...0x7A, 0x5F, 0x30...0x39: true
                case 0x2E: dots
                default: false
                }
            }
    }

    // MARK: Types

    private mutating func readTypes(_ list: [Value]) {
        guard list.count <= Limits.slotTypes else {
            return report("TooManySlotTypes", "A model has at most \(Limits.slotTypes) slot types.")
        }
        for entry in list {
            guard let name = entry["name"]?.string, Self.isName(name, dots: true) else {
                report("InvalidSlotTypeName", "A slot type has no valid name.")
                continue
            }
            if types[name] != nil { report("DuplicateSlotType", "The slot type '\(name)' is defined twice.") }
            if entry["valueSupplier"].map({ !$0.isNull }) == true {
                report(
                    "UnsupportedValueSupplier",
                    "The slot type '\(name)' takes its values from a catalog, which Martlet does not implement yet.")
            }
            var values: [(value: SlotType.Value, phrases: [String])] = []
            for item in entry["values"]?.list ?? [] {
                guard let text = item["name"]?["value"]?.string, !text.isEmpty else {
                    report("InvalidSlotTypeValue", "The slot type '\(name)' has a value without name.value.")
                    continue
                }
                let synonyms = (item["name"]?["synonyms"]?.list ?? []).compactMap(\.string)
                self.values += 1 + synonyms.count
                guard self.values <= Limits.values else {
                    return report("TooManyValues", "A model has at most \(Limits.values) values and synonyms.")
                }
                let id = item["id"]?.string.flatMap { $0.isEmpty ? nil : $0 }
                values.append((SlotType.Value(id: id, name: text), [text] + synonyms))
            }
            if values.isEmpty, !name.hasPrefix("AMAZON."), entry["valueSupplier"]?.isNull ?? true {
                report("EmptySlotType", "The slot type '\(name)' has no values.")
            }
            types[name] = SlotType(name: name, values: values)
        }
    }

    private mutating func type(named name: String) -> SlotType? {
        if let type = types[name] { return type }
        guard name.hasPrefix("AMAZON."), Self.isName(name, dots: true), types.count < 2 * Limits.slotTypes else {
            return nil
        }
        let type = SlotType(name: name, values: [])
        types[name] = type
        return type
    }

    // MARK: Intents

    private mutating func readIntents(_ list: [Value]) -> [LanguageModel.Intent] {
        guard !list.isEmpty else {
            report("NoIntents", "The model has no intent.")
            return []
        }
        guard list.count <= Limits.intents else {
            report("TooManyIntents", "A model has at most \(Limits.intents) intents.")
            return []
        }
        var intents: [LanguageModel.Intent] = []
        var seen = Set<String>()
        for entry in list {
            guard let name = entry["name"]?.string else { continue }
            guard Self.isName(name, dots: name.hasPrefix("AMAZON.")) else {
                report("InvalidIntentName", "The intent name '\(name.prefix(80))' is not valid: letters, digits and _.")
                continue
            }
            guard seen.insert(name).inserted else {
                report("DuplicateIntentName", "There are two intents named '\(name)'.")
                continue
            }
            intents.append(readIntent(name, entry))
        }
        return intents
    }

    private mutating func readIntent(_ name: String, _ entry: Value) -> LanguageModel.Intent {
        var slots: [LanguageModel.Slot] = []
        let list = entry["slots"]?.list ?? []
        if list.count > Limits.slotsPerIntent {
            report("TooManySlots", "The intent '\(name)' has more than \(Limits.slotsPerIntent) slots.")
        }
        for item in list.prefix(Limits.slotsPerIntent) {
            guard let slot = item["name"]?.string, Self.isName(slot, dots: true), let typeName = item["type"]?.string
            else {
                report("InvalidSlot", "The intent '\(name)' has a slot without a valid name and type.")
                continue
            }
            guard let type = type(named: typeName) else {
                report(
                    "UndefinedSlotType",
                    "The slot '\(slot)' of the intent '\(name)' has the undefined slot type '\(typeName.prefix(80))'.")
                continue
            }
            guard !slots.contains(where: { $0.name == slot }) else {
                report("DuplicateSlotName", "The intent '\(name)' has two slots named '\(slot)'.")
                continue
            }
            slots.append(
                LanguageModel.Slot(
                    name: slot, type: type, samples: [],
                    allowsMultiple: item["multipleValues"]?["enabled"]?.bool ?? false))
        }
        for item in list.prefix(Limits.slotsPerIntent) {
            guard let slot = item["name"]?.string, let index = slots.firstIndex(where: { $0.name == slot }) else {
                continue
            }
            slots[index].samples = readSamples(item["samples"]?.list ?? [], name, slots)
        }
        let samples = readSamples(entry["samples"]?.list ?? [], name, slots)
        if samples.isEmpty, !name.hasPrefix("AMAZON."), slots.allSatisfy({ $0.samples.isEmpty }) {
            report("NoSampleUtterance", "The intent '\(name)' has no sample utterance.")
        }
        return LanguageModel.Intent(name: name, slots: slots, samples: samples, dialog: nil)
    }

    private mutating func readSamples(
        _ list: [Value], _ intent: String, _ slots: [LanguageModel.Slot]
    ) -> [LanguageModel.Sample] {
        var read: [LanguageModel.Sample] = []
        for entry in list {
            samples += 1
            guard samples <= Limits.samples else {
                report("TooManySamples", "A model has at most \(Limits.samples) sample utterances.")
                return read
            }
            guard let text = entry.string, text.utf8.count <= Limits.sampleCharacters else {
                report("InvalidSample", "The intent '\(intent)' has a sample that is no text, or too long.")
                continue
            }
            switch Self.elements(of: text, slots) {
            case .success(let elements):
                if elements.isEmpty {
                    report("InvalidSample", "The intent '\(intent)' has an empty sample utterance.")
                } else {
                    read.append(LanguageModel.Sample(elements))
                }
            case .failure(let problem):
                report(
                    problem.code, "Sample utterance '\(text.prefix(120))' of the intent '\(intent)': \(problem.message)"
                )
            }
        }
        return read
    }

    /// `play {Song} by {Artist}`; also the older `{words|Slot}`.
    private static func elements(
        of text: String, _ slots: [LanguageModel.Slot]
    ) -> Result<[LanguageModel.Sample.Element], Problem> {
        var elements: [LanguageModel.Sample.Element] = []
        var rest = text[...]
        func words(_ text: Substring) { elements += Words.split(String(text)).map { .word($0.key) } }
        while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
            guard rest[open] == "{", let close = rest[open...].firstIndex(of: "}") else {
                return .failure(Problem(code: "InvalidSample", message: "its braces do not match."))
            }
            words(rest[..<open])
            let inside = rest[rest.index(after: open)..<close]
            let name = inside.split(separator: "|", omittingEmptySubsequences: false).last ?? inside
            let trimmed = name.drop { $0 == " " }.prefix { $0 != " " }
            guard let slot = slots.firstIndex(where: { $0.name == trimmed }) else {
                return .failure(
                    Problem(code: "UndefinedSlot", message: "the intent has no slot '\(inside.prefix(80))'."))
            }
            elements.append(.slot(slot))
            rest = rest[rest.index(after: close)...]
            if rest.hasPrefix("'s") || rest.hasPrefix("\u{2019}s") {
                elements.append(.word("is"))
                rest = rest.dropFirst(2)
            }
        }
        words(rest)
        guard elements.count <= Limits.words else {
            return .failure(Problem(code: "InvalidSample", message: "it has more than \(Limits.words) words."))
        }
        return .success(elements)
    }

    // MARK: Dialogs

    private mutating func readPrompts(_ list: [Value]) -> [String: String] {
        var prompts: [String: String] = [:]
        for entry in list {
            guard let id = entry["id"]?.string, let first = entry["variations"]?.list?.first?["value"]?.string else {
                report("InvalidPrompt", "A prompt has no id or no variation with a value.")
                continue
            }
            prompts[id] = first
        }
        return prompts
    }

    private mutating func readDialog(
        _ dialog: Value, _ prompts: [String: String], _ intents: inout [LanguageModel.Intent]
    ) {
        let strategy = dialog["delegationStrategy"]?.string
        for entry in dialog["intents"]?.list ?? [] {
            guard let name = entry["name"]?.string, let place = intents.firstIndex(where: { $0.name == name }) else {
                report(
                    "UndefinedDialogIntent",
                    "The dialog names the intent '\(entry["name"]?.string?.prefix(80) ?? "")', which the model does not have."
                )
                continue
            }
            var read = LanguageModel.Dialog(
                isDelegated: (entry["delegationStrategy"]?.string ?? strategy) == "ALWAYS",
                confirmationRequired: entry["confirmationRequired"]?.bool ?? false,
                confirmationPrompt: prompt(entry["prompts"]?["confirmation"], prompts), slots: [])
            for item in (entry["slots"]?.list ?? []).prefix(Limits.slotsPerIntent) {
                guard let slot = item["name"]?.string, let index = intents[place].slot(named: slot) else {
                    report("UndefinedDialogSlot", "The dialog of '\(name)' names a slot that the intent does not have.")
                    continue
                }
                let validations = (item["validations"]?.list ?? []).prefix(20).map { rule in
                    LanguageModel.Validation(
                        kind: rule["type"]?.string ?? "", prompt: prompt(rule["prompt"], prompts),
                        values: rule["values"]?.list?.compactMap(\.string) ?? [rule["value"]?.string ?? ""])
                }
                read.slots.append(
                    LanguageModel.Dialog.SlotRule(
                        slot: index, elicitationRequired: item["elicitationRequired"]?.bool ?? false,
                        confirmationRequired: item["confirmationRequired"]?.bool ?? false,
                        elicitationPrompt: prompt(item["prompts"]?["elicitation"], prompts),
                        confirmationPrompt: prompt(item["prompts"]?["confirmation"], prompts),
                        validations: validations))
            }
            intents[place].dialog = read
        }
    }

    /// The id of a prompt that is there.
    private mutating func prompt(_ id: Value?, _ prompts: [String: String]) -> String? {
        guard let id = id?.string else { return nil }
        guard prompts[id] != nil else {
            report("UndefinedPrompt", "The dialog names the prompt '\(id.prefix(80))', which the model does not have.")
            return nil
        }
        return id
    }
}

extension Problem {
    static func missing(_ path: String) -> Problem {
        Problem(code: "MISSING_REQUIRED_PROPERTY", message: "Object instance has missing required property: \(path).")
    }
    static func wrong(_ path: String, _ type: String) -> Problem {
        Problem(code: "INVALID_DATA_TYPE", message: "Object instance at \(path) must be of type \(type).")
    }
}
