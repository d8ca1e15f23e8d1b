import Platform

/// One turn of a conversation: what is to be sent to the skill for an utterance, and what Alexa says in the end. A value without
/// clock or I/O; the caller sends what it asks for and hands back what came.
struct Conversation: Sendable {
    enum Request: Sendable {
        case launch
        case intent(IntentDocument, dialogState: String?)
        case ended(reason: String, error: SkillFailure?)

        var isEnd: Bool { if case .ended = self { true } else { false } }
    }

    enum Step: Sendable {
        /// Send this to the skill; `session` goes with it.
        case send(Request, Session, isNew: Bool)
        /// The turn is over.
        case done
    }

    let skillID: String
    let model: LanguageModel
    /// Open when the turn ends: to be kept for the next one.
    private(set) var session: Session?
    /// What Alexa said, in order.
    private(set) var captions: [String] = []
    private(set) var considered: [IntentDocument] = []
    /// Why the turn failed.
    private(set) var failure: SkillFailure?

    private var sent = 0
    private var current: (request: Request, session: Session)?

    init(skillID: String, model: LanguageModel, session: Session?) {
        self.skillID = skillID
        self.model = model
        self.session = session
    }

    // MARK: Hearing

    /// Begins the turn. `isFresh`: what was open is forgotten.
    mutating func hear(_ utterance: String, isFresh: Bool, now: Instant) -> Step {
        if isFresh { session = nil }
        let words = Words.split(utterance)
        guard !words.isEmpty else { return fail(.notUnderstood("The utterance has no words.")) }
        if let call = InvocationPhrase.read(words, name: model.invocationName) {
            return begin(call, now: now)
        }
        guard let session else {
            return fail(
                .notUnderstood(
                    "The utterance does not name the skill, and no session is open: say 'open \(model.invocationText)' or "
                        + "'ask \(model.invocationText) …' first."))
        }
        let text = words.map(\.key).joined(separator: " ")
        if BuiltInIntents.exit.contains(text) { return end(session) }
        var matcher = UtteranceMatcher(model, words, now: now)
        if let dialog = session.dialog, dialog.awaited != .nothing {
            return answer(dialog, text, &matcher, session)
        }
        return understand(&matcher, text, session, isNew: false)
    }

    private mutating func begin(_ call: InvocationPhrase.Call, now: Instant) -> Step {
        let session = Session.fresh()
        self.session = session
        guard case .request(let ways) = call else { return send(.launch, session, isNew: true) }
        var best: Interpretation?
        for words in ways {
            var matcher = UtteranceMatcher(model, words, now: now)
            let found = matcher.interpretations()
            note(found)
            if let first = found.first, best.map({ first.cost < $0.cost }) ?? true { best = first }
        }
        if let best { return start(best, session, isNew: true) }
        if let fallback = model.intent(named: "AMAZON.FallbackIntent") {
            return start(Interpretation(intent: fallback, slots: [:], cost: 0, literals: 0), session, isNew: true)
        }
        return send(.launch, session, isNew: true)
    }

    private mutating func understand(
        _ matcher: inout UtteranceMatcher, _ text: String, _ session: Session, isNew: Bool
    ) -> Step {
        let found = matcher.interpretations()
        note(found)
        if let best = found.first { return start(best, session, isNew: isNew) }
        if BuiltInIntents.stop.contains(text) { return end(session) }
        if let fallback = model.intent(named: "AMAZON.FallbackIntent") {
            return start(Interpretation(intent: fallback, slots: [:], cost: 0, literals: 0), session, isNew: isNew)
        }
        return fail(
            .notUnderstood("No intent of the model matches the utterance, and it has no AMAZON.FallbackIntent."))
    }

    private mutating func note(_ found: [Interpretation]) {
        for interpretation in found where considered.count < Limits.consideredIntents {
            let document = document(interpretation)
            if !considered.contains(where: { $0.name == document.name }) { considered.append(document) }
        }
    }

    private func document(_ interpretation: Interpretation) -> IntentDocument {
        IntentDocument(model.intents[interpretation.intent], interpretation.slots, skillID: skillID)
    }

    /// A new intent, which leaves whatever dialog there was.
    private mutating func start(_ interpretation: Interpretation, _ given: Session, isNew: Bool) -> Step {
        var session = given
        let intent = model.intents[interpretation.intent]
        let document = document(interpretation)
        session.dialog = nil
        guard let dialog = intent.dialog else {
            return send(.intent(document, dialogState: nil), session, isNew: isNew)
        }
        if dialog.isDelegated { return advance(document, intent, session, isNew: isNew) }
        session.dialog = Session.PendingDialog(intent: document, awaited: .nothing, prompt: "")
        return send(.intent(document, dialogState: "STARTED"), session, isNew: isNew)
    }

    /// Alexa leads the dialog: asks for what is missing, or sends the intent complete.
    private mutating func advance(
        _ given: IntentDocument, _ intent: LanguageModel.Intent, _ given2: Session, isNew: Bool
    ) -> Step {
        var (document, session) = (given, given2)
        let rules = DialogRules(intent: intent, prompts: model.prompts)
        switch rules.next(&document) {
        case .complete:
            session.dialog = nil
            return send(.intent(document, dialogState: "COMPLETED"), session, isNew: isNew)
        case .ask(let awaited, let text):
            session.dialog = Session.PendingDialog(intent: document, awaited: awaited, prompt: text)
            self.session = session
            captions.append(SkillResponse.plain(text))
            return .done
        }
    }

    // MARK: Answers in a dialog

    private mutating func answer(
        _ dialog: Session.PendingDialog, _ text: String, _ matcher: inout UtteranceMatcher, _ session: Session
    ) -> Step {
        guard let place = model.intent(named: dialog.intent.name) else {
            return understand(&matcher, text, session, isNew: false)
        }
        let found = matcher.interpretations()
        note(found)
        let intent = model.intents[place]
        var document = dialog.intent
        switch dialog.awaited {
        case .slot(let name):
            guard let slot = intent.slot(named: name) else { break }
            // "Stop" and "help" are heard as such; the rest is for the slot first, if it fits well.
            if let best = found.first, best.literals > 0, best.slots.isEmpty, best.intent != place {
                return start(best, session, isNew: false)
            }
            let filled = matcher.fill(slot, of: place)
            let isSure = filled.map { fit in fit.slots.values.allSatisfy { isCertain($0, intent, fit) } } ?? false
            if !isSure, let best = found.first, best.literals > 0 {
                if best.intent != place { return start(best, session, isNew: false) }
                return merge(best, into: &document, intent, session)
            }
            guard let filled else { break }
            return merge(filled, into: &document, intent, session)
        case .slotConfirmation(let name):
            if let status = Self.confirmation(text) {
                document.confirm(name, status)
                return goOn(document, intent, session)
            }
            if let best = found.first { return start(best, session, isNew: false) }
        case .intentConfirmation:
            if let status = Self.confirmation(text) {
                document.confirmation = status
                return goOn(document, intent, session)
            }
            if let best = found.first { return start(best, session, isNew: false) }
        case .nothing: break
        }
        if BuiltInIntents.stop.contains(text) { return end(session) }
        self.session = session
        if !dialog.prompt.isEmpty { captions.append(SkillResponse.plain(dialog.prompt)) }
        return .done
    }

    private func isCertain(_ filling: SlotFilling, _ intent: LanguageModel.Intent, _ fit: Interpretation) -> Bool {
        !filling.matches.isEmpty || !filling.parts.isEmpty
            || fit.slots.keys.allSatisfy { ![.list, .query].contains(intent.slots[$0].type.reading) }
    }

    private static func confirmation(_ text: String) -> String? {
        BuiltInIntents.yes.contains(text) ? "CONFIRMED" : BuiltInIntents.no.contains(text) ? "DENIED" : nil
    }

    private mutating func merge(
        _ interpretation: Interpretation, into document: inout IntentDocument, _ intent: LanguageModel.Intent,
        _ session: Session
    ) -> Step {
        for (index, filling) in interpretation.slots.sorted(by: { $0.key < $1.key }) {
            document.fill(intent.slots[index], filling, skillID: skillID)
        }
        return goOn(document, intent, session)
    }

    /// The dialog has got an answer: Alexa leads on, or the skill is told.
    private mutating func goOn(_ document: IntentDocument, _ intent: LanguageModel.Intent, _ given: Session) -> Step {
        var session = given
        if intent.dialog?.isDelegated == true { return advance(document, intent, session, isNew: false) }
        let rules = DialogRules(intent: intent, prompts: model.prompts)
        let state = rules.isComplete(document) ? "COMPLETED" : "IN_PROGRESS"
        session.dialog = Session.PendingDialog(intent: document, awaited: .nothing, prompt: "")
        return send(.intent(document, dialogState: state), session, isNew: false)
    }

    // MARK: The skill's answers

    /// The skill has answered what was sent last.
    mutating func receive(_ response: SkillResponse) -> Step {
        guard var (request, session) = current, !request.isEnd else { return .done }
        current = nil
        if let attributes = response.attributes { session.attributes = attributes }
        captions += response.captions
        if let directive = response.dialog { return follow(directive, request, session, response) }
        if case .intent(_, let state?) = request, state == "COMPLETED" { session.dialog = nil }
        session.dialog?.awaited = .nothing
        request = .launch
        // Without a word about it the session ends, as on a device without a screen.
        self.session = response.shouldEndSession == false ? session : nil
        return .done
    }

    private mutating func follow(
        _ directive: SkillResponse.DialogDirective, _ request: Request, _ given: Session, _ response: SkillResponse
    ) -> Step {
        var session = given
        var document: IntentDocument? = nil
        if case .intent(let sent, _) = request { document = sent }
        if let updated = directive.updatedIntent {
            let name = updated["name"]?.string ?? document?.name ?? ""
            if document?.name != name, let place = model.intent(named: name) {
                document = IntentDocument(model.intents[place], [:], skillID: skillID)
            }
            if document?.name == name { document?.update(updated) } else { document = nil }
        }
        guard let document, let place = model.intent(named: document.name) else {
            return reject(
                "The directive \(directive.type) has no intent of the interaction model to go on with.", session)
        }
        guard model.intents.contains(where: { $0.dialog != nil }) else {
            return reject(
                "The requested skill has not been configured to support dialogs yet: its interaction model has no dialog model, "
                    + "which the directive \(directive.type) needs.", session)
        }
        let intent = model.intents[place]
        let spoken = response.captions.joined(separator: " ")
        switch directive.kind {
        case .delegate:
            guard intent.dialog != nil else {
                return reject(
                    "The intent '\(intent.name)' has no dialog model, so that it cannot be delegated.", session)
            }
            if DialogRules(intent: intent, prompts: model.prompts).isComplete(document), isCompleted(request) {
                return reject("The dialog of '\(intent.name)' is complete, so that it cannot be delegated.", session)
            }
            return advance(document, intent, session, isNew: false)
        case .elicitSlot(let slot):
            guard intent.slot(named: slot) != nil else {
                return reject("The intent '\(intent.name)' has no slot '\(slot.prefix(80))' to elicit.", session)
            }
            session.dialog = Session.PendingDialog(intent: document, awaited: .slot(slot), prompt: spoken)
        case .confirmSlot(let slot):
            guard intent.slot(named: slot) != nil else {
                return reject("The intent '\(intent.name)' has no slot '\(slot.prefix(80))' to confirm.", session)
            }
            session.dialog = Session.PendingDialog(intent: document, awaited: .slotConfirmation(slot), prompt: spoken)
        case .confirmIntent:
            session.dialog = Session.PendingDialog(intent: document, awaited: .intentConfirmation, prompt: spoken)
        }
        self.session = response.shouldEndSession == true ? nil : session
        return .done
    }

    private func isCompleted(_ request: Request) -> Bool {
        if case .intent(_, let state?) = request { state == "COMPLETED" } else { false }
    }

    /// The skill could not be reached or did not answer as it must: the session ends, and the skill is told why if that has sense.
    mutating func fail(with failure: SkillFailure) -> Step {
        guard let (request, session) = current else { return .done }
        current = nil
        guard !request.isEnd else { return .done }
        self.failure = failure
        self.session = nil
        captions.append(failure.speech)
        guard failure.tellsSkill else { return .done }
        return send(.ended(reason: "ERROR", error: failure), session, isNew: false)
    }

    private mutating func reject(_ message: String, _ session: Session) -> Step {
        current = (.launch, session)
        return fail(with: .invalidResponse(message))
    }

    private mutating func end(_ session: Session) -> Step {
        self.session = nil
        return send(.ended(reason: "USER_INITIATED", error: nil), session, isNew: false)
    }

    private mutating func send(_ request: Request, _ session: Session, isNew: Bool) -> Step {
        sent += 1
        current = (request, session)
        if !request.isEnd { self.session = session }
        guard sent <= Limits.requestsPerTurn || request.isEnd else {
            return fail(with: .invalidResponse("The dialog went on \(Limits.requestsPerTurn) times without the user."))
        }
        return .send(request, session, isNew: isNew)
    }

    private mutating func fail(_ failure: SkillFailure) -> Step {
        self.failure = failure
        captions.append(failure.speech)
        return .done
    }
}
