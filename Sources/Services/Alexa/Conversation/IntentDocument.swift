import Crypto
import Platform

/// The `intent` of requests and directives, as JSON: `{name, confirmationStatus, slots: {NAME: {name, value?, …}}}`.
struct IntentDocument: Sendable, Hashable {
    var fields: Fields

    init(fields: Fields) { self.fields = fields }

    /// An intent with every slot of the model, those of `slots` filled.
    init(_ intent: LanguageModel.Intent, _ slots: [Int: SlotFilling], skillID: String) {
        fields = ["name": .string(intent.name), "confirmationStatus": "NONE"]
        guard !intent.slots.isEmpty else { return }
        var all = Fields()
        for (index, slot) in intent.slots.enumerated() {
            all.append(slot.name, Self.slot(slot, slots[index], skillID: skillID))
        }
        fields["slots"] = .map(all)
    }

    var name: String { fields["name"]?.string ?? "" }

    var confirmation: String {
        get { fields["confirmationStatus"]?.string ?? "NONE" }
        set { fields["confirmationStatus"] = .string(newValue) }
    }

    func value(of slot: String) -> String? {
        let document = fields["slots"]?[slot]
        if let text = document?["value"]?.string { return text.isEmpty ? nil : text }
        return document?["slotValue"]?["values"]?.list?.first?["value"]?.string
    }

    func confirmation(of slot: String) -> String { fields["slots"]?[slot]?["confirmationStatus"]?.string ?? "NONE" }

    mutating func confirm(_ slot: String, _ status: String) {
        var document = fields["slots"]?[slot] ?? ["name": .string(slot)]
        document["confirmationStatus"] = .string(status)
        set(slot, document)
    }

    mutating func clear(_ slot: String) { set(slot, ["name": .string(slot), "confirmationStatus": "NONE"]) }

    mutating func fill(_ slot: LanguageModel.Slot, _ filling: SlotFilling, skillID: String) {
        set(slot.name, Self.slot(slot, filling, skillID: skillID))
    }

    private mutating func set(_ slot: String, _ document: Value) {
        var slots = fields["slots"]?.fields ?? Fields()
        slots[slot] = document
        fields["slots"] = .map(slots)
    }

    /// Takes over what a directive's `updatedIntent` says; slots that it does not name stay.
    mutating func update(_ updated: Fields) {
        if let status = updated["confirmationStatus"]?.string, ["NONE", "CONFIRMED", "DENIED"].contains(status) {
            confirmation = status
        }
        for entry in (updated["slots"]?.fields ?? Fields()).entries.prefix(Limits.slotsPerIntent) {
            guard var slot = entry.value.fields else { continue }
            slot["name"] = .string(entry.name)
            slot["confirmationStatus"] = slot["confirmationStatus"] ?? "NONE"
            // SDKs write null for what is not there.
            for member in slot.entries where member.value.isNull { slot[member.name] = nil }
            if slot["value"]?.string != fields["slots"]?[entry.name]?["value"]?.string, slot["resolutions"] == nil {
                slot["slotValue"] = nil
            }
            set(entry.name, .map(slot))
        }
    }

    // MARK: One slot

    private static func slot(_ slot: LanguageModel.Slot, _ filling: SlotFilling?, skillID: String) -> Value {
        var document: Fields = ["name": .string(slot.name)]
        guard let filling else {
            document["confirmationStatus"] = "NONE"
            return .map(document)
        }
        if filling.parts.isEmpty {
            document["value"] = .string(filling.value)
            if let resolutions = resolutions(slot.type, filling, skillID: skillID) {
                document["resolutions"] = resolutions
            }
        }
        document["confirmationStatus"] = "NONE"
        document["source"] = "USER"
        if filling.parts.isEmpty {
            document["slotValue"] = simple(slot.type, filling, skillID: skillID)
        } else {
            document["slotValue"] = [
                "type": "List",
                "values": .list(filling.parts.map { simple(slot.type, $0, skillID: skillID) }),
            ]
        }
        return .map(document)
    }

    private static func simple(_ type: SlotType, _ filling: SlotFilling, skillID: String) -> Value {
        var value: Fields = ["type": "Simple", "value": .string(filling.value)]
        if let resolutions = resolutions(type, filling, skillID: skillID) { value["resolutions"] = resolutions }
        return .map(value)
    }

    /// Entity resolution: of types with values of their own only.
    private static func resolutions(_ type: SlotType, _ filling: SlotFilling, skillID: String) -> Value? {
        guard type.hasValues, type.reading == .list || !filling.matches.isEmpty else { return nil }
        var authority: Fields = [
            "authority": .string("amzn1.er-authority.echo-sdk.\(skillID).\(type.name)"),
            "status": ["code": filling.matches.isEmpty ? "ER_SUCCESS_NO_MATCH" : "ER_SUCCESS_MATCH"],
        ]
        if !filling.matches.isEmpty {
            authority["values"] = .list(
                filling.matches.map { ["value": ["name": .string($0.name), "id": .string($0.id ?? hash($0.name))]] })
        }
        return ["resolutionsPerAuthority": [.map(authority)]]
    }

    /// A value without an id is told with the MD5 of its name, as Alexa does.
    private static func hash(_ text: String) -> String { hexEncoded(Insecure.MD5.hash(data: Array(text.utf8))) }

    /// As SMAPI tells considered intents: resolutions without the `value` around name and id.
    var forSMAPI: Value {
        var document = fields
        var slots = Fields()
        for entry in (fields["slots"]?.fields ?? Fields()).entries {
            var slot: Fields = ["name": .string(entry.name)]
            for member in ["value", "confirmationStatus"] { slot[member] = entry.value[member] }
            if let list = entry.value["resolutions"]?["resolutionsPerAuthority"]?.list {
                let authorities = list.map { authority -> Value in
                    var authority = authority
                    if let values = authority["values"]?.list {
                        authority["values"] = .list(values.map { $0["value"] ?? $0 })
                    }
                    return authority
                }
                slot["resolutions"] = ["resolutionsPerAuthority": .list(authorities)]
            }
            slots.append(entry.name, .map(slot))
        }
        document["slots"] = .map(slots)
        return .map(document)
    }
}
