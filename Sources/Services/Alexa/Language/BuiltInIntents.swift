/// What people say for Amazon's own intents ("Standard Built-in Intents"), beside what a model adds.
enum BuiltInIntents {
    static func samples(of intent: String) -> [LanguageModel.Sample] { known[intent] ?? [] }

    private static let phrases: [String: [String]] = [
        "AMAZON.StopIntent": ["stop", "off", "shut up", "stop it", "stop that"],
        "AMAZON.CancelIntent": ["cancel", "never mind", "forget it", "cancel it", "cancel that"],
        "AMAZON.HelpIntent": ["help", "help me", "can you help me", "what can i say"],
        "AMAZON.YesIntent": ["yes", "yes please", "sure", "yeah", "yep", "okay", "ok", "correct", "right"],
        "AMAZON.NoIntent": ["no", "no thanks", "no thank you", "nope", "nah"],
        "AMAZON.NextIntent": ["next", "skip", "skip forward", "next one"],
        "AMAZON.PreviousIntent": ["go back", "skip back", "back up", "previous"],
        "AMAZON.PauseIntent": ["pause", "pause that", "pause it"],
        "AMAZON.ResumeIntent": ["resume", "continue", "keep going"],
        "AMAZON.RepeatIntent": ["repeat", "say that again", "repeat that", "repeat it"],
        "AMAZON.StartOverIntent": ["start over", "restart", "start again"],
        "AMAZON.LoopOnIntent": ["loop", "loop on", "keep repeating this song"],
        "AMAZON.LoopOffIntent": ["loop off", "stop looping"],
        "AMAZON.ShuffleOnIntent": ["shuffle", "shuffle on", "shuffle mode"],
        "AMAZON.ShuffleOffIntent": ["shuffle off", "stop shuffling"],
        "AMAZON.NavigateHomeIntent": ["home", "go home", "home screen"],
        "AMAZON.MoreIntent": ["more", "tell me more", "more information"],
        "AMAZON.ScrollUpIntent": ["scroll up"],
        "AMAZON.ScrollDownIntent": ["scroll down"],
        "AMAZON.ScrollLeftIntent": ["scroll left"],
        "AMAZON.ScrollRightIntent": ["scroll right"],
        "AMAZON.PageUpIntent": ["page up"],
        "AMAZON.PageDownIntent": ["page down"],
        "AMAZON.NavigateSettingsIntent": ["settings", "go to settings"],
    ]

    private static let known: [String: [LanguageModel.Sample]] = phrases.mapValues { list in
        list.map { phrase in LanguageModel.Sample(Words.split(phrase).map { .word($0.key) }) }
    }

    static let yes: Set<String> = Set(phrases["AMAZON.YesIntent"] ?? [])
    static let no: Set<String> = Set(phrases["AMAZON.NoIntent"] ?? [])
    /// What ends a session without asking the skill ("exit", "quit"), or if it has no intent for it ("stop", "cancel").
    static let exit: Set<String> = ["exit", "quit"]
    static let stop: Set<String> = Set((phrases["AMAZON.StopIntent"] ?? []) + (phrases["AMAZON.CancelIntent"] ?? []))
}

/// How people call a skill by its invocation name ("Understand How Users Invoke Custom Skills"), in English.
enum InvocationPhrase {
    enum Call: Sendable, Equatable {
        /// "Open daily horoscopes".
        case launch
        /// "Ask daily horoscopes for Gemini": what is left may be understood with and without the connecting word.
        case request([[Word]])
    }

    private static let launchers: [[String]] = [
        ["open"], ["launch"], ["start"], ["begin"], ["play"], ["load"], ["run"], ["resume"], ["use"], ["enable"],
        ["talk", "to"], ["speak", "to"], ["speak", "with"], ["give", "me"], ["ask"], ["tell"],
    ]
    private static let askers: [[String]] = [
        ["ask"], ["tell"], ["search"], ["open"], ["launch"], ["start"], ["talk", "to"], ["speak", "to"], ["use"],
        ["play"],
        ["run"], ["load"], ["begin"], ["resume"],
    ]
    private static let connectors: Set<String> = [
        "to", "for", "about", "that", "if", "whether", "and", "when", "where", "how", "what", "why", "who",
    ]
    private static let politeness: [[String]] = [["alexa"], ["please"], ["can", "you"], ["could", "you"]]
    /// "… from daily horoscopes".
    private static let trailers: [[String]] = [
        ["by", "asking"], ["using"], ["with"], ["from"], ["in"], ["asking"], ["on"],
    ]

    /// How `words` call the skill named `name`; nil when they do not.
    static func read(_ given: [Word], name: [String]) -> Call? {
        guard !name.isEmpty else { return nil }
        var words = given[...]
        while let prefix = politeness.first(where: { words.map(\.key).starts(with: $0) }), words.count > prefix.count {
            words = words.dropFirst(prefix.count)
        }
        let keys = words.map(\.key)
        if keys == name { return .launch }
        for verb in launchers where keys == verb + name || keys == verb + ["the"] + name { return .launch }
        for verb in askers {
            for article in [[], ["the"]] {
                let head = verb + article + name
                guard keys.count > head.count, keys.starts(with: head) else { continue }
                return request(Array(words.dropFirst(head.count)))
            }
        }
        for trailer in trailers {
            let tail = trailer + name
            guard keys.count > tail.count, keys.suffix(tail.count).elementsEqual(tail) else { continue }
            return request(Array(words.dropLast(tail.count)))
        }
        return nil
    }

    private static func request(_ rest: [Word]) -> Call {
        guard let first = rest.first, rest.count > 1, connectors.contains(first.key) else { return .request([rest]) }
        return .request([rest, Array(rest.dropFirst())])
    }
}
