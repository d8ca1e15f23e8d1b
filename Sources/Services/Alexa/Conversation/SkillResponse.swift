import Platform

/// A custom skill's answer, checked ("Request and Response JSON Reference").
struct SkillResponse: Sendable {
    enum DialogKind: Sendable, Hashable {
        case delegate
        case elicitSlot(String)
        case confirmSlot(String)
        case confirmIntent
    }

    struct DialogDirective: Sendable {
        var type: String
        var kind: DialogKind
        var updatedIntent: Fields?
    }

    var body: Value
    /// Nil when the answer names none: they stay.
    var attributes: Fields?
    /// What is said, as plain text.
    var captions: [String]
    var shouldEndSession: Bool?
    var dialog: DialogDirective?

    /// Reads an answer. Throws `.invalidResponse`, with the place. `isEnd`: what answers a SessionEndedRequest is not used.
    init(_ bytes: some Collection<UInt8>, isEnd: Bool, interfaces: Set<String>) throws(SkillFailure) {
        guard bytes.count <= Limits.responseBytes else {
            throw .invalidResponse(
                "The response has \(bytes.count) bytes and exceeds the allowed size of \(Limits.responseBytes) bytes.")
        }
        let value: Value
        do {
            value = try JSON.parse(bytes)
        } catch {
            throw .invalidResponse("The response is not JSON: \(error.message)")
        }
        body = value
        captions = []
        if isEnd { return }
        guard let root = value.fields else { throw .invalidResponse("SpeechletResponse was null") }
        guard root["version"]?.string != nil else { throw .invalidResponse("The response has no 'version'.") }
        if let given = root["sessionAttributes"], !given.isNull {
            guard let fields = given.fields else { throw .invalidResponse("'sessionAttributes' must be an object.") }
            attributes = fields
        } else {
            // A skill that answers none has none from then on.
            attributes = [:]
        }
        guard let response = root["response"], let fields = response.fields else {
            throw .invalidResponse("SpeechletResponse was null")
        }
        if let speech = fields["outputSpeech"], !speech.isNull {
            captions.append(try Self.speech(speech, "response.outputSpeech"))
        }
        if let reprompt = fields["reprompt"], !reprompt.isNull {
            guard reprompt.fields != nil else { throw .invalidResponse("'response.reprompt' must be an object.") }
            if let speech = reprompt["outputSpeech"], !speech.isNull {
                _ = try Self.speech(speech, "response.reprompt.outputSpeech")
            }
        }
        if let card = fields["card"], !card.isNull { try Self.check(card: card) }
        if let end = fields["shouldEndSession"], !end.isNull {
            guard let end = end.bool else {
                throw .invalidResponse("'response.shouldEndSession' must be true or false.")
            }
            shouldEndSession = end
        }
        if let list = fields["directives"], !list.isNull { try readDirectives(list, interfaces) }
    }

    // MARK: Speech

    private static func speech(_ value: Value, _ path: String) throws(SkillFailure) -> String {
        switch value["type"]?.string {
        case "PlainText":
            guard let text = value["text"]?.string else { throw .invalidResponse("'\(path).text' is missing.") }
            try checkLength(text)
            return text
        case "SSML":
            guard let text = value["ssml"]?.string else { throw .invalidResponse("'\(path).ssml' is missing.") }
            try checkLength(text)
            guard let plain = SSML.plain(text) else {
                throw .invalidResponse(
                    "Invalid SSML Output Speech for '\(path)': it must be well-formed, in one <speak>.")
            }
            return plain
        default: throw .invalidResponse("'\(path).type' must be PlainText or SSML.")
        }
    }

    private static func checkLength(_ text: String) throws(SkillFailure) {
        guard text.count <= Limits.speechCharacters else {
            throw .invalidResponse(
                "The speech of length \(text.count) exceeds the allowed size of \(Limits.speechCharacters) characters.")
        }
    }

    /// Text without SSML.
    static func plain(_ text: String) -> String { SSML.plain(text) ?? text }

    // MARK: Cards

    private static func check(card: Value) throws(SkillFailure) {
        let type = card["type"]?.string ?? ""
        guard ["Simple", "Standard", "LinkAccount", "AskForPermissionsConsent"].contains(type) else {
            throw .invalidResponse("'response.card.type' is '\(type.prefix(80))', which is none of Alexa's.")
        }
        var characters = 0
        for name in ["title", "content", "text"] { characters += card[name]?.string?.count ?? 0 }
        for name in ["smallImageUrl", "largeImageUrl"] {
            let url = card["image"]?[name]?.string?.count ?? 0
            guard url <= Limits.imageURLCharacters else {
                throw .invalidResponse(
                    "'response.card.image.\(name)' exceeds \(Limits.imageURLCharacters) characters.")
            }
            characters += url
        }
        guard characters <= Limits.cardCharacters else {
            throw .invalidResponse("The text of the card exceeds \(Limits.cardCharacters) characters.")
        }
    }

    // MARK: Directives

    private mutating func readDirectives(_ list: Value, _ interfaces: Set<String>) throws(SkillFailure) {
        guard let directives = list.list else { throw .invalidResponse("'response.directives' must be an array.") }
        guard directives.count <= Limits.directives else {
            throw .invalidResponse("The response has more than \(Limits.directives) directives.")
        }
        for directive in directives {
            guard let type = directive["type"]?.string else {
                throw .invalidResponse("A directive of the response has no 'type'.")
            }
            if let needed = Self.interface(of: type) {
                guard let interface = needed else {
                    throw .invalidResponse("The directive '\(type.prefix(80))' is none of Alexa's.")
                }
                guard interface.isEmpty || interfaces.contains(interface) else {
                    throw .invalidResponse(
                        "The directive '\(type)' needs the interface \(interface), which the skill's manifest does not declare."
                    )
                }
            }
            guard let kind = try Self.dialogKind(type, directive) else { continue }
            guard dialog == nil else { throw .invalidResponse("The response has more than one Dialog directive.") }
            let updated = directive["updatedIntent"]
            if let updated, !updated.isNull, updated.fields == nil {
                throw .invalidResponse("'updatedIntent' of \(type) must be an object.")
            }
            dialog = DialogDirective(type: type, kind: kind, updatedIntent: updated?.fields)
        }
    }

    private static func dialogKind(_ type: String, _ directive: Value) throws(SkillFailure) -> DialogKind? {
        func slot(_ member: String) throws(SkillFailure) -> String {
            guard let name = directive[member]?.string else { throw .invalidResponse("\(type) has no '\(member)'.") }
            return name
        }
        switch type {
        case "Dialog.Delegate": return .delegate
        case "Dialog.ElicitSlot": return .elicitSlot(try slot("slotToElicit"))
        case "Dialog.ConfirmSlot": return .confirmSlot(try slot("slotToConfirm"))
        case "Dialog.ConfirmIntent": return .confirmIntent
        default: return nil
        }
    }

    /// The manifest's name of the interface that a directive belongs to; an empty one needs none; `.some(nil)` when the
    /// directive is not known.
    private static func interface(of type: String) -> String?? {
        let prefixes: [(String, String)] = [
            ("Dialog.", ""), ("Hint", ""), ("Tasks.", ""), ("Connections.", ""),
            ("CustomInterfaceController.", "CUSTOM_INTERFACE"),
            ("AudioPlayer.", "AUDIO_PLAYER"), ("VideoApp.", "VIDEO_APP"), ("Display.", "RENDER_TEMPLATE"),
            ("Alexa.Presentation.APLT.", "ALEXA_PRESENTATION_APL"), ("Alexa.Presentation.APLA.", ""),
            ("Alexa.Presentation.APL.", "ALEXA_PRESENTATION_APL"),
            ("Alexa.Presentation.HTML.", "ALEXA_PRESENTATION_HTML"),
            ("GameEngine.", "GAME_ENGINE"), ("GadgetController.", "GADGET_CONTROLLER"), ("Geolocation.", "GEOLOCATION"),
            ("Navigation.", "NAVIGATION"), ("Alexa.", ""),
        ]
        return .some(prefixes.first { type.hasPrefix($0.0) }?.1)
    }
}

/// Speech Synthesis Markup Language, as far as it must be well-formed.
enum SSML {
    /// The text without its tags; nil when tags do not match, or something is outside `<speak>`.
    static func plain(_ text: String) -> String? {
        guard text.contains("<") else { return nil }
        var open: [Substring] = []
        var plain = ""
        var rest = text[...]
        var hasSpoken = false
        while let start = rest.firstIndex(of: "<") {
            guard append(rest[..<start], to: &plain, isInside: !open.isEmpty) else { return nil }
            if rest[start...].hasPrefix("<!--") {
                guard let end = rest.firstRange(of: "-->") else { return nil }
                rest = rest[end.upperBound...]
                continue
            }
            guard let end = rest[start...].firstIndex(of: ">") else { return nil }
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("?") { continue }
            if tag.hasPrefix("/") {
                guard open.popLast() == name(tag.dropFirst()) else { return nil }
            } else {
                let name = name(tag)
                guard !name.isEmpty, !open.isEmpty || (name == "speak" && !hasSpoken), open.count < Limits.depth else {
                    return nil
                }
                hasSpoken = true
                if !tag.hasSuffix("/") { open.append(name) }
            }
        }
        guard open.isEmpty, hasSpoken, append(rest, to: &plain, isInside: false) else { return nil }
        return plain.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func append(_ text: Substring, to plain: inout String, isInside: Bool) -> Bool {
        guard isInside else { return text.allSatisfy(\.isWhitespace) }
        plain += decoded(text)
        return true
    }

    private static func name(_ tag: Substring) -> Substring { tag.prefix { !$0.isWhitespace && $0 != "/" } }

    private static func decoded(_ text: Substring) -> String {
        guard text.contains("&") else { return String(text) }
        var decoded = String(text)
        for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
            decoded = decoded.replacing(entity, with: character)
        }
        return decoded
    }
}
