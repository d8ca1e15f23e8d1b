import Platform

/// What Alexa waits for in a dialog.
enum Awaited: Sendable, Hashable {
    case nothing
    case slot(String)
    case slotConfirmation(String)
    case intentConfirmation
}

/// Alexa's part of a dialog: what is still missing, by the dialog model ("Delegate the Dialog to Alexa").
struct DialogRules {
    let intent: LanguageModel.Intent
    let prompts: [String: String]

    enum Step: Sendable, Hashable {
        /// Says `text` and waits.
        case ask(Awaited, text: String)
        case complete
    }

    /// The next step; clears what was denied or does not hold.
    func next(_ document: inout IntentDocument) -> Step {
        guard let dialog = intent.dialog else { return .complete }
        for rule in dialog.slots {
            guard intent.slots.indices.contains(rule.slot) else { continue }
            let slot = intent.slots[rule.slot]
            if document.confirmation(of: slot.name) == "DENIED" { document.clear(slot.name) }
            guard let value = document.value(of: slot.name) else {
                guard rule.elicitationRequired else { continue }
                return ask(.slot(slot.name), rule.elicitationPrompt, "What is the \(slot.name)?", document)
            }
            if let broken = rule.validations.first(where: { !holds($0, value, slot.name, document) }) {
                let step = ask(
                    .slot(slot.name), broken.prompt ?? rule.elicitationPrompt, "What is the \(slot.name)?", document)
                document.clear(slot.name)
                return step
            }
            if rule.confirmationRequired, document.confirmation(of: slot.name) == "NONE" {
                return ask(.slotConfirmation(slot.name), rule.confirmationPrompt, "Is \(value) right?", document)
            }
        }
        if dialog.confirmationRequired, document.confirmation == "NONE" {
            return ask(.intentConfirmation, dialog.confirmationPrompt, "Is that right?", document)
        }
        return .complete
    }

    /// Whether nothing is missing, without changing anything.
    func isComplete(_ document: IntentDocument) -> Bool {
        var copy = document
        return next(&copy) == .complete
    }

    private func ask(_ awaited: Awaited, _ prompt: String?, _ otherwise: String, _ document: IntentDocument) -> Step {
        .ask(awaited, text: Self.filled(prompt.flatMap { prompts[$0] } ?? otherwise, document))
    }

    /// A prompt with the values of slots in place of their names in braces.
    static func filled(_ prompt: String, _ document: IntentDocument) -> String {
        var text = ""
        var rest = prompt[...]
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            text += rest[..<open]
            let name = rest[rest.index(after: open)..<close].filter { $0 != " " }
            text += document.value(of: name) ?? ""
            rest = rest[rest.index(after: close)...]
        }
        return text + rest
    }

    /// "Validate Slot Values". Rules for dates and times within a duration are not evaluated: they hold.
    private func holds(
        _ rule: LanguageModel.Validation, _ value: String, _ slot: String, _ document: IntentDocument
    ) -> Bool {
        switch rule.kind {
        case "hasEntityResolutionMatch":
            let authorities = document.fields["slots"]?[slot]?["resolutions"]?["resolutionsPerAuthority"]?.list
            return authorities?.contains { $0["status"]?["code"]?.string == "ER_SUCCESS_MATCH" } ?? false
        case "isInSet": return rule.values.contains { $0.lowercased() == value.lowercased() }
        case "isNotInSet": return !rule.values.contains { $0.lowercased() == value.lowercased() }
        case "isGreaterThan": return compare(value, rule) { $0 > $1 }
        case "isGreaterThanOrEqualTo": return compare(value, rule) { $0 >= $1 }
        case "isLessThan": return compare(value, rule) { $0 < $1 }
        case "isLessThanOrEqualTo": return compare(value, rule) { $0 <= $1 }
        default: return true
        }
    }

    private func compare(
        _ value: String, _ rule: LanguageModel.Validation, _ holds: (Double, Double) -> Bool
    ) -> Bool {
        guard let a = Double(value), let b = rule.values.first.flatMap({ Double($0) }) else {
            // Dates and times of the same form compare as texts do.
            guard let other = rule.values.first, other.utf8.count == value.utf8.count else { return true }
            return holds(value < other ? 0 : value == other ? 1 : 2, 1)
        }
        return holds(a, b)
    }
}
