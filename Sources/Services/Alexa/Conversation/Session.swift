import Platform

/// A conversation with a skill: what Alexa knows between turns.
struct Session: Sendable, Hashable {
    var id: String
    /// What the skill has asked to be given again.
    var attributes: Fields = [:]
    var dialog: PendingDialog?

    struct PendingDialog: Sendable, Hashable {
        var intent: IntentDocument
        var awaited: Awaited
        /// What was asked, to ask it again.
        var prompt: String
    }

    static func fresh() -> Session { Session(id: "amzn1.echo-api.session.\(Identifier.uuid())") }

    init(id: String) { self.id = id }

    /// Nil for what is no session.
    init?(_ value: Value) {
        guard let id = value["id"]?.string else { return nil }
        self.id = id
        attributes = value["attributes"]?.fields ?? [:]
        guard let dialog = value["dialog"], let intent = dialog["intent"]?.fields else { return }
        let slot = dialog["slot"]?.string ?? ""
        let awaited: Awaited =
            switch dialog["awaited"]?.string {
            case "slot": .slot(slot)
            case "slotConfirmation": .slotConfirmation(slot)
            case "intentConfirmation": .intentConfirmation
            default: .nothing
            }
        self.dialog = PendingDialog(
            intent: IntentDocument(fields: intent), awaited: awaited, prompt: dialog["prompt"]?.string ?? "")
    }

    var value: Value {
        var value: Fields = ["id": .string(id), "attributes": .map(attributes)]
        if let dialog {
            var document: Fields = ["intent": .map(dialog.intent.fields), "prompt": .string(dialog.prompt)]
            switch dialog.awaited {
            case .nothing: break
            case .slot(let name):
                document["awaited"] = "slot"
                document["slot"] = .string(name)
            case .slotConfirmation(let name):
                document["awaited"] = "slotConfirmation"
                document["slot"] = .string(name)
            case .intentConfirmation: document["awaited"] = "intentConfirmation"
            }
            value["dialog"] = .map(document)
        }
        return .map(value)
    }
}
