import Platform
import Storage
import Synchronization

/// Compiled models, by the version they were compiled from.
final class ModelCache: Sendable {
    private struct Key: Hashable {
        var skill: String
        var locale: String
        var version: Int64
    }

    private let models = Mutex<[Key: LanguageModel]>([:])
    private let database: any Database

    init(database: any Database) { self.database = database }

    /// The model of a locale that is in use; nil when none was built.
    func current(_ skill: String, _ locale: String) async throws -> LanguageModel? {
        let version = try await database.read { try ModelTable.build(skill, locale, in: $0)?.version ?? 0 }
        guard version > 0 else { return nil }
        let key = Key(skill: skill, locale: locale, version: version)
        if let model = models.withLock({ $0[key] }) { return model }
        guard let row = try await database.read({ try ModelTable.version(skill, locale, version, in: $0) }),
            let (model, problems) = try? ModelReader.read(row.document), problems.isEmpty
        else { return nil }
        models.withLock { models in
            if models.count >= Limits.cachedModels { models.removeAll() }
            models[key] = model
        }
        return model
    }
}

/// Interaction models ("Interaction Model API Operations", "Utterance Profiler").
struct ModelOperations: Sendable {
    let database: any Database
    let cache: ModelCache
    let time: any TimeSource

    /// `rest`: what follows the stage. Nil when it is none of these.
    func route(_ id: String, _ rest: [String], _ call: APIRequest) async throws -> APIAnswer? {
        guard rest.count >= 3, rest[0] == "interactionModel", rest[1] == "locales" else { return nil }
        let locale = rest[2]
        guard SkillManifest.isLocale(locale) else {
            throw APIError.bad("\(APIError.shown(locale)) is no locale: it is like en-US.")
        }
        switch (call.method, Array(rest[3...])) {
        case ("GET", []), ("HEAD", []): return try await get(id, locale, version: nil, isHead: call.method == "HEAD")
        case ("PUT", []): return try await put(id, locale, call)
        case ("GET", ["versions"]): return try await versions(id, locale)
        case ("GET", let tail) where tail.count == 2 && tail[0] == "versions":
            return try await get(id, locale, version: tail[1], isHead: false)
        case ("POST", ["profileNlu"]): return try await profile(id, locale, call)
        default: return nil
        }
    }

    // MARK: Reading

    private func get(_ id: String, _ locale: String, version: String?, isHead: Bool) async throws -> APIAnswer {
        let wanted: Int64?
        if let version, version != "~current" {
            guard let number = Int64(version), number > 0 else { throw APIError.notFound("no such version.") }
            wanted = number
        } else {
            wanted = nil
        }
        let found = try await database.read { transaction -> ModelTable.Version? in
            guard try SkillTable.get(id, in: transaction) != nil else { throw APIError.noSkill(id) }
            let number = try wanted ?? ModelTable.build(id, locale, in: transaction)?.version ?? 0
            return try ModelTable.version(id, locale, number, in: transaction)
        }
        guard let found else { throw APIError.notFound("the skill has no such interaction model for \(locale).") }
        let tag = (name: "ETag", value: ETag.make(id, found.number))
        if isHead { return APIAnswer(status: 200, body: nil, headers: [tag]) }
        var document = found.document
        document["version"] = .string(String(found.number))
        return APIAnswer(status: 200, body: document, headers: [tag])
    }

    private func versions(_ id: String, _ locale: String) async throws -> APIAnswer {
        let found = try await database.read { transaction -> [ModelTable.Version] in
            guard try SkillTable.get(id, in: transaction) != nil else { throw APIError.noSkill(id) }
            return try ModelTable.versions(id, locale, in: transaction)
        }
        let path = "/v1/skills/\(id)/stages/development/interactionModel/locales/\(locale)/versions"
        return APIAnswer(
            status: 200,
            body: [
                "_links": ["self": ["href": .string(path)]], "isTruncated": false,
                "skillModelVersions": .list(
                    found.map { version in
                        [
                            "version": .string(String(version.number)),
                            "creationTime": .string(version.created.iso8601(fractionDigits: 3)),
                            "_links": ["self": ["href": .string("\(path)/\(version.number)")]],
                        ]
                    }),
            ])
    }

    // MARK: Building

    private func put(_ id: String, _ locale: String, _ call: APIRequest) async throws -> APIAnswer {
        let document = try call.json()
        let problems: [Problem]
        do throws(ModelReader.SchemaProblems) {
            problems = try ModelReader.read(document).problems
        } catch {
            throw APIError.bad("Interaction model is not valid.", error.problems)
        }
        let now = call.now
        let ifMatch = call.ifMatch
        let outcome = Self.outcome(problems)
        try await database.write { transaction in
            guard try SkillTable.get(id, in: transaction) != nil else { throw APIError.noSkill(id) }
            let builds = try ModelTable.builds(id, in: transaction)
            var build =
                builds.first { $0.locale == locale } ?? ModelTable.Build(locale: locale, version: 0, outcome: .null)
            if builds.count >= Limits.locales, !builds.contains(where: { $0.locale == locale }) {
                throw APIError.bad("A skill has at most \(Limits.locales) locales.")
            }
            let tag = ETag.make(id, build.version)
            guard ifMatch.map({ $0 == tag || $0 == "*" }) ?? true else {
                throw APIError(status: 412, message: "Precondition failed: the model has the ETag \(tag).")
            }
            build.outcome = outcome
            if problems.isEmpty {
                build.version += 1
                try ModelTable.add(document, id, locale, version: build.version, now: now, in: transaction)
            }
            try ModelTable.put(build, of: id, in: transaction)
        }
        return APIAnswer(
            status: 202, body: nil,
            headers: [(name: "Location", value: "/v1/skills/\(id)/status?resource=interactionModel")])
    }

    private static func outcome(_ problems: [Problem]) -> Value {
        let status: Value = problems.isEmpty ? "SUCCEEDED" : "FAILED"
        var outcome: Fields = ["status": status]
        if !problems.isEmpty { outcome["errors"] = .list(problems.map(\.value)) }
        outcome["buildDetails"] = [
            "steps": [
                ["name": "LANGUAGE_MODEL_QUICK_BUILD", "status": status],
                ["name": "LANGUAGE_MODEL_FULL_BUILD", "status": status],
            ]
        ]
        return .map(outcome)
    }

    // MARK: Trying

    private func profile(_ id: String, _ locale: String, _ call: APIRequest) async throws -> APIAnswer {
        let body = try call.json()
        guard let utterance = body["utterance"]?.string, !utterance.isEmpty else {
            throw APIError.bad("The utterance is missing.", [.missing("utterance")])
        }
        if let token = body["multiTurnToken"], !token.isNull {
            throw APIError.notImplemented("The utterance profiler's multiTurnToken")
        }
        guard try await database.read({ try SkillTable.get(id, in: $0) }) != nil else { throw APIError.noSkill(id) }
        guard let model = try await cache.current(id, locale) else {
            throw APIError.notFound("the skill has no interaction model for \(locale).")
        }
        let words = Words.split(utterance)
        var matcher = UtteranceMatcher(model, words, now: time.now())
        let found = matcher.interpretations().prefix(Limits.consideredIntents).map {
            IntentDocument(model.intents[$0.intent], $0.slots, skillID: id).forSMAPI
        }
        var answer: Fields = ["sessionEnded": false, "consideredIntents": .list(Array(found.dropFirst()))]
        if let first = found.first {
            answer["selectedIntent"] = first
        } else if model.intent(named: "AMAZON.FallbackIntent") != nil {
            answer["selectedIntent"] = ["name": "AMAZON.FallbackIntent", "confirmationStatus": "NONE", "slots": [:]]
        }
        return APIAnswer(status: 200, body: .map(answer))
    }
}
