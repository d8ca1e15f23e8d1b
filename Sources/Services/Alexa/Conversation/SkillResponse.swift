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
            if let list = reprompt["directives"], !list.isNull {
                // Only APL for audio is heard again ("Response format", reprompt).
                guard let list = list.list,
                    list.allSatisfy({ $0["type"]?.string == "Alexa.Presentation.APLA.RenderDocument" })
                else {
                    throw .invalidResponse(
                        "'response.reprompt.directives' may have Alexa.Presentation.APLA.RenderDocument only.")
                }
                try DirectiveRules.check(list, of: fields, interfaces: interfaces)
            }
        }
        if let card = fields["card"], !card.isNull { try Self.check(card: card) }
        if let end = fields["shouldEndSession"], !end.isNull {
            guard let end = end.bool else {
                throw .invalidResponse("'response.shouldEndSession' must be true or false.")
            }
            shouldEndSession = end
        }
        if let list = fields["directives"], !list.isNull { try readDirectives(list, of: fields, interfaces) }
    }

    // MARK: Speech

    private static func speech(_ value: Value, _ path: String) throws(SkillFailure) -> String {
        if let behavior = value["playBehavior"], !behavior.isNull {
            guard let name = behavior.string, ["ENQUEUE", "REPLACE_ALL", "REPLACE_ENQUEUED"].contains(name) else {
                throw .invalidResponse("'\(path).playBehavior' must be ENQUEUE, REPLACE_ALL or REPLACE_ENQUEUED.")
            }
        }
        switch value["type"]?.string {
        case "PlainText":
            guard let text = value["text"]?.string else { throw .invalidResponse("'\(path).text' is missing.") }
            try checkLength(text)
            return text
        case "SSML":
            guard let text = value["ssml"]?.string else { throw .invalidResponse("'\(path).ssml' is missing.") }
            try checkLength(text)
            guard let reading = SSML.read(text) else {
                throw .invalidResponse(
                    "Invalid SSML Output Speech for '\(path)': it must be well-formed, in one <speak>.")
            }
            guard reading.audio.count <= Limits.audioClips else {
                throw .invalidResponse("'\(path)' has more than \(Limits.audioClips) <audio> tags.")
            }
            // "SSML Reference", audio: a file at an HTTPS endpoint, or one of the sound library.
            guard reading.audio.allSatisfy({ $0.hasPrefix("https://") || $0.hasPrefix("soundbank://") }) else {
                throw .invalidResponse("The src of <audio> in '\(path)' must be an https or soundbank URL.")
            }
            return reading.plain
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
        if type == "AskForPermissionsConsent" {
            guard let scopes = card["permissions"]?.list, !scopes.isEmpty, scopes.allSatisfy({ $0.string != nil })
            else {
                throw .invalidResponse("'response.card.permissions' must name the permissions that are asked for.")
            }
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

    private mutating func readDirectives(
        _ list: Value, of response: Fields, _ interfaces: Set<String>
    ) throws(SkillFailure) {
        guard let directives = list.list else { throw .invalidResponse("'response.directives' must be an array.") }
        guard directives.count <= Limits.directives else {
            throw .invalidResponse("The response has more than \(Limits.directives) directives.")
        }
        try DirectiveRules.check(directives, of: response, interfaces: interfaces)
        for directive in directives {
            guard let type = directive["type"]?.string, let kind = Self.dialogKind(type, directive) else { continue }
            guard dialog == nil else { throw .invalidResponse("The response has more than one Dialog directive.") }
            dialog = DialogDirective(type: type, kind: kind, updatedIntent: directive["updatedIntent"]?.fields)
        }
    }

    /// What a directive asks for that has been checked.
    private static func dialogKind(_ type: String, _ directive: Value) -> DialogKind? {
        switch type {
        case "Dialog.Delegate": .delegate
        case "Dialog.ElicitSlot": .elicitSlot(directive["slotToElicit"]?.string ?? "")
        case "Dialog.ConfirmSlot": .confirmSlot(directive["slotToConfirm"]?.string ?? "")
        case "Dialog.ConfirmIntent": .confirmIntent
        default: nil
        }
    }
}

/// Speech Synthesis Markup Language, as far as it must be well-formed.
enum SSML {
    struct Reading: Sendable, Equatable {
        /// The text without its tags.
        var plain: String
        /// `src` of each `<audio>`, empty where there is none.
        var audio: [String]
    }

    /// The text without its tags; nil when tags do not match, or something is outside `<speak>`.
    static func plain(_ text: String) -> String? { read(text)?.plain }

    /// Nil as for `plain`.
    static func read(_ text: String) -> Reading? {
        guard text.contains("<") else { return nil }
        var open: [Substring] = []
        var plain = ""
        var audio: [String] = []
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
                if name == "audio" { audio.append(source(of: tag)) }
                if !tag.hasSuffix("/") { open.append(name) }
            }
        }
        guard open.isEmpty, hasSpoken, append(rest, to: &plain, isInside: false) else { return nil }
        return Reading(plain: plain.split(whereSeparator: \.isWhitespace).joined(separator: " "), audio: audio)
    }

    /// The value of the attribute `src`.
    private static func source(of tag: Substring) -> String {
        guard let start = tag.firstRange(of: "src")?.upperBound else { return "" }
        let rest = tag[start...].drop { $0.isWhitespace || $0 == "=" }
        guard let quote = rest.first, quote == "\"" || quote == "'" else { return "" }
        return String(rest.dropFirst().prefix { $0 != quote })
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
