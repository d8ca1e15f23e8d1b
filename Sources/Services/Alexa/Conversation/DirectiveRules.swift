import Platform

/// What Amazon's references say of each directive: the interface that the manifest has to declare, and members without which,
/// or with other values of which, Alexa refuses the response ("Request and Response JSON Reference" and the page of each
/// interface). Members that are not named here may be anything.
enum DirectiveRules {
    private struct Rule {
        /// The manifest's name of the interface; nil when none is needed.
        var interface: String?
        var members: [Member] = []
    }

    private struct Member {
        var path: [String]
        var kind: Kind
        var isRequired: Bool

        init(_ path: String, _ kind: Kind, optional: Bool = false) {
            self.path = path.split(separator: ".").map(String.init)
            self.kind = kind
            isRequired = !optional
        }
    }

    private enum Kind {
        case text
        /// In characters.
        case shortText(Int)
        /// In characters.
        case url(Int)
        case choice([String])
        case natural
        case object
        case list
        case any
    }

    /// Checks the directives of a response by themselves and beside one another.
    static func check(_ directives: [Value], of response: Fields, interfaces: Set<String>) throws(SkillFailure) {
        var types: [String] = []
        for directive in directives {
            guard let type = directive["type"]?.string else {
                throw .invalidResponse("A directive of the response has no 'type'.")
            }
            let name = String(type.prefix(80))
            guard let rule = rules[type] ?? family(of: type) else {
                throw .invalidResponse("The directive '\(name)' is none of Alexa's.")
            }
            if let interface = rule.interface, !interfaces.contains(interface) {
                throw .invalidResponse(
                    "The following directives are not supported: \(name). It needs the interface \(interface), which the "
                        + "skill's manifest does not declare.")
            }
            for member in rule.members { try check(member, of: directive, name) }
            try checkFurther(directive, type)
            types.append(type)
        }
        try checkTogether(types, response)
    }

    // MARK: Rules between directives

    private static func checkTogether(_ types: [String], _ response: Fields) throws(SkillFailure) {
        for single in ["AudioPlayer.Play", "VideoApp.Launch"] where types.count(where: { $0 == single }) > 1 {
            throw .invalidResponse("The response has more than one \(single) directive.")
        }
        // Not even null: "VideoApp Interface Reference"; the text is Alexa's.
        if types.contains("VideoApp.Launch"), response["shouldEndSession"] != nil {
            throw .invalidResponse("shouldEndSession flag is not allowed with LaunchVideoApp.Launch Directive")
        }
        // "Use Skill Connections to Request Tasks".
        let handsOver = types.first { $0 == "Tasks.CompleteTask" || $0 == "Connections.StartConnection" }
        if let handsOver, let player = types.first(where: { $0.hasPrefix("AudioPlayer.") || $0 == "VideoApp.Launch" }) {
            throw .invalidResponse("A response with \(handsOver) may not have the directive \(player).")
        }
    }

    // MARK: Rules of one directive that no table holds

    private static func checkFurther(_ directive: Value, _ type: String) throws(SkillFailure) {
        switch type {
        case "AudioPlayer.Play":
            let previous = directive["audioItem"]?["stream"]?["expectedPreviousToken"]
            let isEnqueued = directive["playBehavior"]?.string == "ENQUEUE"
            // "This property is required and allowed only when the playBehavior is ENQUEUE."
            guard isEnqueued == (previous?.string != nil), previous?.isNull ?? true || isEnqueued else {
                throw .invalidResponse(
                    "'audioItem.stream.expectedPreviousToken' of AudioPlayer.Play is required and allowed only when the "
                        + "playBehavior is ENQUEUE.")
            }
        case "CustomInterfaceController.SendDirective":
            guard let payload = directive["payload"], JSON.encode(payload).count <= Limits.gadgetPayloadBytes else {
                throw .invalidResponse("'payload' of \(type) exceeds \(Limits.gadgetPayloadBytes) bytes.")
            }
        case "Dialog.UpdateDynamicEntities":
            guard directive["updateBehavior"]?.string == "REPLACE" else { return }
            guard let types = directive["types"]?.list else { throw .invalidResponse("\(type) has no 'types'.") }
            var count = 0
            for slotType in types {
                guard slotType["name"]?.string != nil, let values = slotType["values"]?.list,
                    values.allSatisfy({ $0["name"]?["value"]?.string != nil })
                else {
                    throw .invalidResponse("A slot type of \(type) must have a 'name' and 'values' with names.")
                }
                count += values.count
            }
            guard count <= Limits.dynamicEntities else {
                throw .invalidResponse("\(type) has more than \(Limits.dynamicEntities) entities.")
            }
        default: break
        }
    }

    private static func check(_ member: Member, of directive: Value, _ type: String) throws(SkillFailure) {
        let path = member.path.joined(separator: ".")
        var value: Value? = directive
        for name in member.path { value = value?[name] }
        guard let value, !value.isNull else {
            if member.isRequired { throw .invalidResponse("\(type) has no '\(path)'.") }
            return
        }
        switch member.kind {
        case .text, .shortText, .url:
            guard let text = value.string else { throw .invalidResponse("'\(path)' of \(type) must be a text.") }
            try check(text: text, member.kind, path, type)
        case .choice(let choices):
            guard let text = value.string, choices.contains(text) else {
                throw .invalidResponse("'\(path)' of \(type) must be one of \(choices.joined(separator: ", ")).")
            }
        case .natural:
            guard case .int(let number) = value, number >= 0 else {
                throw .invalidResponse("'\(path)' of \(type) must be a whole number of at least 0.")
            }
        case .object:
            guard value.fields != nil else { throw .invalidResponse("'\(path)' of \(type) must be an object.") }
        case .list:
            guard let list = value.list, !list.isEmpty else {
                throw .invalidResponse("'\(path)' of \(type) must be an array that is not empty.")
            }
        case .any: break
        }
    }

    private static func check(text: String, _ kind: Kind, _ path: String, _ type: String) throws(SkillFailure) {
        let limit: Int
        switch kind {
        case .shortText(let characters): limit = characters
        case .url(let characters):
            limit = characters
            guard text.prefix(8).lowercased() == "https://" else {
                throw .invalidResponse("'\(path)' of \(type) must be a URL with https.")
            }
        default:
            guard !text.isEmpty else { throw .invalidResponse("\(type) has no '\(path)'.") }
            return
        }
        guard !text.isEmpty else { throw .invalidResponse("\(type) has no '\(path)'.") }
        guard text.count <= limit else { throw .invalidResponse("'\(path)' of \(type) exceeds \(limit) characters.") }
    }

    // MARK: Tables

    /// Families of which more is there than is known here.
    private static func family(of type: String) -> Rule? {
        let families = [
            ("CustomInterfaceController.", "CUSTOM_INTERFACE"), ("Alexa.Presentation.APLT.", "ALEXA_PRESENTATION_APL"),
            ("Alexa.Presentation.APLA.", nil), ("Alexa.Presentation.APL.", "ALEXA_PRESENTATION_APL"),
            ("Alexa.Presentation.HTML.", "ALEXA_PRESENTATION_HTML"), ("GameEngine.", "GAME_ENGINE"),
            ("GadgetController.", "GADGET_CONTROLLER"), ("Geolocation.", "GEOLOCATION"), ("Navigation.", "NAVIGATION"),
            ("Alexa.", nil),
        ]
        return families.first { type.hasPrefix($0.0) }.map { Rule(interface: $0.1) }
    }

    private static let rules: [String: Rule] = dialogs.merging(players) { $1 }.merging(screens) { $1 }
        .merging(connections) { $1 }.merging(gadgets) { $1 }

    private static let dialogs: [String: Rule] = [
        "Dialog.Delegate": Rule(members: [Member("updatedIntent", .object, optional: true)]),
        "Dialog.ElicitSlot": Rule(members: [
            Member("slotToElicit", .text), Member("updatedIntent", .object, optional: true),
        ]),
        "Dialog.ConfirmSlot": Rule(members: [
            Member("slotToConfirm", .text), Member("updatedIntent", .object, optional: true),
        ]),
        "Dialog.ConfirmIntent": Rule(members: [Member("updatedIntent", .object, optional: true)]),
        "Dialog.UpdateDynamicEntities": Rule(members: [Member("updateBehavior", .choice(["REPLACE", "CLEAR"]))]),
        "Dialog.DelegateRequest": Rule(members: [Member("target", .text)]),
        "Conversations.ResetContext": Rule(),
    ]

    private static let players: [String: Rule] = [
        "AudioPlayer.Play": Rule(
            interface: "AUDIO_PLAYER",
            members: [
                Member("playBehavior", .choice(["ENQUEUE", "REPLACE_ALL", "REPLACE_ENQUEUED"])),
                Member("audioItem.stream.url", .url(Limits.playURLCharacters)),
                Member("audioItem.stream.token", .shortText(Limits.playTokenCharacters)),
                Member("audioItem.stream.offsetInMilliseconds", .natural, optional: true),
            ]),
        "AudioPlayer.Stop": Rule(interface: "AUDIO_PLAYER"),
        "AudioPlayer.ClearQueue": Rule(
            interface: "AUDIO_PLAYER", members: [Member("clearBehavior", .choice(["CLEAR_ENQUEUED", "CLEAR_ALL"]))]),
        "VideoApp.Launch": Rule(
            interface: "VIDEO_APP", members: [Member("videoItem.source", .url(Limits.playURLCharacters))]),
    ]

    private static let screens: [String: Rule] = [
        "Hint": Rule(members: [Member("hint.type", .choice(["PlainText"])), Member("hint.text", .text)]),
        "Display.RenderTemplate": Rule(
            interface: "RENDER_TEMPLATE",
            members: [
                Member(
                    "template.type",
                    .choice([
                        "BodyTemplate1", "BodyTemplate2", "BodyTemplate3", "BodyTemplate6", "BodyTemplate7",
                        "ListTemplate1", "ListTemplate2",
                    ]))
            ]),
        "Alexa.Presentation.APL.RenderDocument": Rule(
            interface: "ALEXA_PRESENTATION_APL",
            members: [Member("document", .object), Member("token", .text, optional: true)]),
        "Alexa.Presentation.APL.ExecuteCommands": Rule(
            interface: "ALEXA_PRESENTATION_APL", members: [Member("token", .text), Member("commands", .list)]),
        "Alexa.Presentation.APLT.RenderDocument": Rule(
            interface: "ALEXA_PRESENTATION_APL",
            members: [Member("document", .object), Member("token", .text, optional: true)]),
        "Alexa.Presentation.APLT.ExecuteCommands": Rule(
            interface: "ALEXA_PRESENTATION_APL", members: [Member("token", .text), Member("commands", .list)]),
        "Alexa.Presentation.APLA.RenderDocument": Rule(members: [Member("document", .object)]),
        "Alexa.Presentation.HTML.Start": Rule(
            interface: "ALEXA_PRESENTATION_HTML", members: [Member("request.uri", .url(Limits.playURLCharacters))]),
    ]

    private static let connections: [String: Rule] = [
        "Connections.StartConnection": Rule(members: [
            Member("uri", .text),
            Member("onCompletion", .choice(["RESUME_SESSION", "SEND_ERRORS_ONLY"]), optional: true),
        ]),
        "Connections.SendRequest": Rule(members: [
            Member("name", .text), Member("payload", .object), Member("token", .text),
        ]),
        "Connections.SendResponse": Rule(members: [Member("status.code", .any), Member("status.message", .text)]),
        "Tasks.CompleteTask": Rule(members: [Member("status.code", .any), Member("status.message", .text)]),
    ]

    private static let gadgets: [String: Rule] = [
        "GameEngine.StartInputHandler": Rule(
            interface: "GAME_ENGINE",
            members: [Member("timeout", .natural), Member("recognizers", .object), Member("events", .object)]),
        "GameEngine.StopInputHandler": Rule(
            interface: "GAME_ENGINE", members: [Member("originatingRequestId", .text)]),
        "CustomInterfaceController.SendDirective": Rule(
            interface: "CUSTOM_INTERFACE",
            members: [
                Member("endpoint.endpointId", .text), Member("header.namespace", .text), Member("header.name", .text),
                Member("payload", .object),
            ]),
    ]
}
