import Crypto
import Logging
import Platform
import Storage
import Synchronization

/// Simulations and invocations of skills ("Skill Simulation API", "Skill Invocation API").
struct TalkOperations: Sendable {
    let database: any Database
    let cache: ModelCache
    let caller: SkillCaller
    let time: any TimeSource
    let logger: Logger
    private let busy = BusySessions()
    /// Names this process in rows of simulations.
    private let process = Identifier.hex(16)

    init(database: any Database, cache: ModelCache, caller: SkillCaller, time: any TimeSource, logger: Logger) {
        self.database = database
        self.cache = cache
        self.caller = caller
        self.time = time
        self.logger = logger
    }

    /// `given`: what follows the skill's id. Nil when it is none of these.
    func route(_ id: String, _ given: [String], _ call: APIRequest, version: Int) async throws -> APIAnswer? {
        var rest = given
        if version == 2 {
            guard rest.count >= 3, rest[0] == "stages" else { return nil }
            guard rest[1] == "development" else {
                throw APIError.notFound("the skill has no stage \(APIError.shown(rest[1])).")
            }
            rest.removeFirst(2)
        }
        switch (call.method, rest.first, rest.count) {
        case ("POST", "simulations", 1): return try await simulate(id, call, version: version)
        case ("GET", "simulations", 2): return try await result(id, rest[1])
        case ("POST", "invocations", 1): return try await invoke(id, call, version: version)
        default: return nil
        }
    }

    /// The skill, which must be enabled.
    private func enabled(_ id: String) async throws -> SkillRecord {
        guard let skill = try await database.read({ try SkillTable.get(id, in: $0) }) else {
            throw APIError.noSkill(id)
        }
        guard skill.isEnabled else {
            throw APIError(
                status: 403, message: "The skill is not enabled: PUT /v1/skills/\(id)/stages/development/enablement.")
        }
        return skill
    }

    // MARK: Simulations

    private struct Turn: Sendable {
        var id: String
        var skill: SkillRecord
        var model: LanguageModel
        var endpoint: SkillManifest.Endpoint
        var locale: String
        var device: String
        var utterance: String
        var isFresh: Bool
        var version: Int
        var busyKey: String
    }

    private func simulate(_ id: String, _ call: APIRequest, version: Int) async throws -> APIAnswer {
        let body = try call.json()
        let utterance = body["input"]?["content"]?.string ?? ""
        let locale = body["device"]?["locale"]?.string ?? ""
        var missing: [Problem] = []
        if utterance.isEmpty { missing.append(.missing("input.content")) }
        if locale.isEmpty { missing.append(.missing("device.locale")) }
        guard missing.isEmpty else { throw APIError.bad("The simulation request is not valid.", missing) }
        guard utterance.count <= Limits.utteranceCharacters else {
            throw APIError.bad("input.content exceeds \(Limits.utteranceCharacters) characters.")
        }
        guard SkillManifest.isLocale(locale) else {
            throw APIError.bad("device.locale is no locale: it is like en-US.")
        }
        if let type = body["simulation"]?["type"]?.string, type != "DEFAULT" {
            throw APIError.notImplemented("The simulation type \(APIError.shown(type))")
        }
        let mode = body["session"]?["mode"]?.string ?? "DEFAULT"
        guard ["DEFAULT", "FORCE_NEW_SESSION"].contains(mode) else {
            throw APIError.bad("session.mode must be DEFAULT or FORCE_NEW_SESSION.")
        }
        let name = body["device"]?["deviceId"]?.string ?? "simulator"
        guard name.utf8.count <= 100, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw APIError.bad("device.deviceId is not valid.")
        }
        let skill = try await enabled(id)
        let facts = skill.facts
        guard facts.kind == .custom else {
            throw APIError.bad("Only custom skills can be simulated; invoke the skill.")
        }
        guard let endpoint = facts.endpoint(region: SkillManifest.region(of: locale), of: .custom) else {
            throw APIError.bad("The skill's manifest has no endpoint.")
        }
        guard let model = try await cache.current(id, locale) else {
            throw APIError.bad("The skill has no interaction model for the locale \(locale).")
        }
        let turn = Turn(
            id: Identifier.uuid(), skill: skill, model: model, endpoint: endpoint, locale: locale,
            device: name + "/" + locale,
            utterance: utterance, isFresh: mode == "FORCE_NEW_SESSION", version: version,
            busyKey: "\(id)/\(name)/\(locale)")
        return try await begin(turn, now: call.now)
    }

    private func begin(_ turn: Turn, now: Instant) async throws -> APIAnswer {
        switch await busy.enter(turn.busyKey) {
        case .busy:
            throw APIError(status: 409, message: "This request conflicts with another one currently being processed.")
        case .full: throw APIError(status: 429, message: "There are too many simulations at once.")
        case .entered: break
        }
        let record = SimulationRecord(
            id: turn.id, skill: turn.skill.id, created: now, process: process, status: "IN_PROGRESS", result: .null)
        busy.began(turn.id)
        do {
            try await database.write { try SimulationTable.add(record, in: $0) }
        } catch {
            busy.leave(turn.busyKey, turn.id)
            throw error
        }
        Task {
            await run(turn)
            busy.leave(turn.busyKey, turn.id)
        }
        return APIAnswer(
            status: 200, body: ["id": .string(turn.id), "status": "IN_PROGRESS", "result": .null],
            headers: [
                (
                    name: "Location",
                    value: turn.version == 1
                        ? "/v1/skills/\(turn.skill.id)/simulations/\(turn.id)"
                        : "/v2/skills/\(turn.skill.id)/stages/development/simulations/\(turn.id)"
                )
            ])
    }

    private func run(_ turn: Turn) async {
        do {
            let (id, device, start) = (turn.skill.id, turn.device, time.now())
            let open = try await database.read { try SessionTable.get(id, device, now: start, in: $0) }
            var conversation = Conversation(skillID: id, model: turn.model, session: open)
            let invocations = await talk(turn, &conversation)
            let (session, end) = (conversation.session, time.now())
            let status = conversation.failure == nil ? "SUCCESSFUL" : "FAILED"
            let result = Self.result(conversation, invocations, version: turn.version)
            busy.isEnding(turn.busyKey)
            try await database.write { transaction in
                // The skill may have been deleted while it answered.
                let session = try SkillTable.get(id, in: transaction) == nil ? nil : session
                try SessionTable.set(session, id, device, now: end, in: transaction)
                try SimulationTable.finish(turn.id, status: status, result: result, in: transaction)
            }
        } catch {
            logger.error("a simulation could not be kept", metadata: ["id": "\(turn.id)", "error": "\(error)"])
        }
    }

    private func talk(_ turn: Turn, _ conversation: inout Conversation) async -> [Value] {
        let envelope = Envelope(
            skillID: turn.skill.id, userID: Self.userID(turn.skill.id), deviceID: Self.deviceID(turn),
            locale: turn.locale, apiEndpoint: "https://api.amazonalexa.com", interfaces: turn.skill.facts.interfaces,
            accessToken: nil)
        var invocations: [Value] = []
        var step = conversation.hear(turn.utterance, isFresh: turn.isFresh, now: time.now())
        while case .send(let request, let session, let isNew) = step {
            let body = envelope.body(
                request, session, isNew: isNew, now: time.now(),
                requestID: "amzn1.echo-api.request.\(Identifier.uuid())")
            if case .ended(_, .timedOut?) = request {
                // Nobody waits another eight seconds to hear that the session is over.
                let caller = caller
                Task { _ = await caller.send(JSON.encode(body), to: turn.endpoint, .custom, skillID: turn.skill.id) }
                break
            }
            let answer = await caller.send(JSON.encode(body), to: turn.endpoint, .custom, skillID: turn.skill.id)
            var invocation: Fields = [
                "invocationRequest": ["endpoint": .string(turn.endpoint.uri), "body": body],
                "metrics": ["skillExecutionTimeInMilliseconds": .int(answer.milliseconds)],
            ]
            switch answer.result {
            case .failure(let failure): step = conversation.fail(with: failure)
            case .success(let bytes):
                do {
                    let response = try SkillResponse(
                        bytes, isEnd: request.isEnd, interfaces: turn.skill.facts.interfaces)
                    invocation["invocationResponse"] = ["body": response.body]
                    step = conversation.receive(response)
                } catch {
                    if let body = try? JSON.parse(bytes.prefix(Limits.responseBytes)) {
                        invocation["invocationResponse"] = ["body": body]
                    }
                    step = conversation.fail(with: error)
                }
            }
            invocations.append(.map(invocation))
        }
        return invocations
    }

    private static func result(_ conversation: Conversation, _ invocations: [Value], version: Int) -> Value {
        var alexa: Fields = [
            "alexaResponses": .list(
                conversation.captions.map { ["type": "Speech", "content": ["caption": .string($0)]] })
        ]
        var result = Fields()
        if version == 2 {
            alexa["consideredIntents"] = .list(conversation.considered.map(\.forSMAPI))
            result["skillExecutionInfo"] = ["invocations": .list(invocations)]
        } else if let last = invocations.last {
            result["skillExecutionInfo"] = last
        }
        result["alexaExecutionInfo"] = .map(alexa)
        if let failure = conversation.failure { result["error"] = failure.value }
        return .map(result)
    }

    private func result(_ id: String, _ simulation: String) async throws -> APIAnswer {
        // Asked before the row is read: what was over by then has its end in the row, if that could be written.
        let isUnderWay = busy.isUnderWay(simulation)
        guard let record = try await database.read({ try SimulationTable.get(simulation, in: $0) }), record.skill == id
        else { throw APIError.notFound("there is no simulation \(APIError.shown(simulation)) of the skill.") }
        var (status, result) = (record.status, record.result)
        if status == "IN_PROGRESS", record.process != process {
            status = "FAILED"
            result = [
                "error": ["code": "INTERRUPTED", "message": "The server was restarted while the simulation ran."]
            ]
        } else if status == "IN_PROGRESS", !isUnderWay {
            status = "FAILED"
            result = ["error": ["code": "INTERNAL_SERVICE_EXCEPTION", "message": "The result could not be kept."]]
        }
        return APIAnswer(
            status: 200, body: ["id": .string(record.id), "status": .string(status), "result": result])
    }

    /// Alexa gives each skill another id for the same user.
    private static func userID(_ skill: String) -> String {
        "amzn1.ask.account." + hexEncoded(SHA256.hash(data: Array("user \(skill)".utf8))).uppercased()
    }

    private static func deviceID(_ turn: Turn) -> String {
        "amzn1.ask.device." + hexEncoded(SHA256.hash(data: Array("device \(turn.busyKey)".utf8))).uppercased()
    }

    // MARK: Invocations

    private func invoke(_ id: String, _ call: APIRequest, version: Int) async throws -> APIAnswer {
        let body = try call.json()
        let region = body["endpointRegion"]?.string ?? ""
        guard SkillManifest.regions.contains(region) || region == "default" else {
            throw APIError.bad("endpointRegion must be NA, EU, FE or default.", [.missing("endpointRegion")])
        }
        guard let request = body["skillRequest"]?["body"], request.fields != nil else {
            throw APIError.bad("The skill request is missing.", [.missing("skillRequest.body")])
        }
        let facts = try await enabled(id).facts
        let kind: SkillManifest.Kind = request["directive"] != nil ? .smartHome : .custom
        guard let endpoint = facts.endpoint(region: region, of: kind) else {
            throw APIError.bad("The skill's manifest has no endpoint for \(kind.rawValue) requests.")
        }
        if kind == .smartHome, let problem = SmartHome.problem(directive: request) { throw APIError.bad(problem) }
        guard case .entered = await busy.enter("") else {
            throw APIError(status: 429, message: "There are too many simulations and invocations at once.")
        }
        defer { busy.leave("") }
        let answer = await caller.send(JSON.encode(request), to: endpoint, kind, skillID: id)
        let isEnd = request["request"]?["type"]?.string == "SessionEndedRequest"
        var info: [(String, Value)] = [("invocationRequest", ["endpoint": .string(endpoint.uri), "body": request])]
        var failure: SkillFailure?
        switch answer.result {
        case .failure(let error): failure = error
        case .success(let bytes):
            do throws(SkillFailure) {
                let value =
                    kind == .smartHome
                    ? try SmartHome.read(bytes, for: request)
                    : try SkillResponse(bytes, isEnd: isEnd, interfaces: facts.interfaces).body
                info.append(("invocationResponse", ["body": value]))
            } catch {
                failure = error
                if let value = try? JSON.parse(bytes) { info.append(("invocationResponse", ["body": value])) }
            }
        }
        info.append(("metrics", ["skillExecutionTimeInMilliseconds": .int(answer.milliseconds)]))
        // Version 1 tells of each region that was called.
        let told = version == 1 ? info.map { ($0.0, .map([region: $0.1])) } : info
        var result: Fields = ["skillExecutionInfo": .map(Fields(told))]
        if let failure { result["error"] = failure.value }
        return APIAnswer(
            status: 200, body: ["status": failure == nil ? "SUCCEEDED" : "FAILED", "result": .map(result)])
    }
}

/// Sessions that a turn is under way in, and how many turns there are.
final class BusySessions: Sendable {
    enum Entry { case entered, busy, full }

    private struct State {
        var keys = Set<String>()
        /// Simulations under way.
        var ids = Set<String>()
        /// Turns whose result may be seen already, and who waits for them to be gone: whoever has seen a result may go on.
        var ending: [String: [CheckedContinuation<Void, Never>]] = [:]
        var count = 0
    }
    private let state = Mutex(State())

    /// An empty key is never busy.
    func enter(_ key: String) async -> Entry {
        while true {
            let entry: Entry? = state.withLock { state in
                if state.ending[key] != nil { return nil }
                guard state.count < Limits.concurrentTurns else { return .full }
                guard key.isEmpty || state.keys.insert(key).inserted else { return .busy }
                state.count += 1
                return .entered
            }
            if let entry { return entry }
            await withCheckedContinuation { continuation in
                let isGone = state.withLock { state in
                    state.ending[key]?.append(continuation)
                    return state.ending[key] == nil
                }
                if isGone { continuation.resume() }
            }
        }
    }

    /// The turn only has its result to be kept.
    func isEnding(_ key: String) { state.withLock { $0.ending[key] = [] } }

    func began(_ id: String) { state.withLock { _ = $0.ids.insert(id) } }

    func isUnderWay(_ id: String) -> Bool { state.withLock { $0.ids.contains(id) } }

    func leave(_ key: String, _ id: String? = nil) {
        let waiting = state.withLock { state in
            if let id { state.ids.remove(id) }
            if !key.isEmpty { state.keys.remove(key) }
            state.count -= 1
            return state.ending.removeValue(forKey: key) ?? []
        }
        for continuation in waiting { continuation.resume() }
    }
}
