import Platform
import Storage

/// Skills and their manifests ("Skill Management API", "Skill Operations", "Skill Enablement").
struct SkillOperations: Sendable {
    /// The one vendor: whoever has a token.
    static let vendorID = "MARTLETVENDOR0"

    let database: any Database
    let caller: SkillCaller
    let signer: SignerKeeper

    func vendors() -> APIAnswer {
        APIAnswer(
            status: 200,
            body: [
                "vendors": [
                    ["name": "Martlet", "id": .string(Self.vendorID), "roles": ["ROLE_ADMINISTRATOR"]]
                ]
            ])
    }

    private func check(vendor: String?) throws(APIError) {
        guard let vendor else { throw .bad("The vendorId is missing.", [.missing("vendorId")]) }
        guard vendor == Self.vendorID else {
            throw APIError(
                status: 403,
                message:
                    "The user is not authorized for the vendor \(APIError.shown(vendor)). GET /v1/vendors tells yours.")
        }
    }

    // MARK: Lists

    func list(_ call: APIRequest) async throws -> APIAnswer {
        try check(vendor: call.query["vendorId"])
        var limit = Limits.pageSize
        if let text = call.query["maxResults"] {
            guard let value = Int(text), (1...Limits.pageSize).contains(value) else {
                throw APIError.bad("maxResults must be from 1 to \(Limits.pageSize).")
            }
            limit = value
        }
        let wanted = call.query.all("skillId")
        if !wanted.isEmpty {
            guard wanted.count <= 10 else { throw APIError.bad("At most 10 skillIds may be asked for.") }
            let found = try await database.read { transaction in
                try wanted.compactMap { try SkillTable.get($0, in: transaction) }
            }
            return page(found, next: nil)
        }
        let place = try Self.place(call.query["nextToken"])
        let found = try await database.read { [limit] in
            try SkillTable.list(after: place, limit: limit + 1, in: $0)
        }
        let shown = Array(found.prefix(limit))
        guard found.count > limit, let last = shown.last else { return page(shown, next: nil) }
        return page(shown, next: PageToken.encode("\(last.created.nanoseconds):\(last.id)"))
    }

    private static func place(_ token: String?) throws(APIError) -> (created: Int64, id: String) {
        guard let token else { return (Int64.min, "") }
        let parts = PageToken.decodeText(token)?.split(separator: ":", maxSplits: 1) ?? []
        guard parts.count == 2, let created = Int64(parts[0]) else { throw .bad("The nextToken is not valid.") }
        return (created, String(parts[1]))
    }

    private func page(_ skills: [SkillRecord], next: String?) -> APIAnswer {
        var body: Fields = [
            "_links": ["self": ["href": .string("/v1/skills?vendorId=\(Self.vendorID)")]],
            "skills": .list(skills.map(Self.summary)), "isTruncated": .bool(next != nil),
        ]
        if let next { body["nextToken"] = .string(next) }
        return APIAnswer(status: 200, body: .map(body))
    }

    private static func summary(_ skill: SkillRecord) -> Value {
        let facts = skill.facts
        return [
            "skillId": .string(skill.id), "stage": "development", "apis": .strings(facts.apis),
            "publicationStatus": "DEVELOPMENT", "lastUpdated": .string(skill.updated.iso8601(fractionDigits: 3)),
            "nameByLocale": .stringMap(facts.names.map { ($0.locale, $0.name) }),
            "_links": ["self": ["href": .string("/v1/skills/\(skill.id)/stages/development/manifest")]],
        ]
    }

    // MARK: One skill

    func create(_ call: APIRequest) async throws -> APIAnswer {
        let body = try call.json()
        try check(vendor: body["vendorId"]?.string)
        if let hosting = body["hosting"], !hosting.isNull {
            throw APIError.notImplemented("Hosting of skills by Alexa")
        }
        let document = try Self.manifest(body)
        let id = "amzn1.ask.skill.\(Identifier.uuid())"
        let outcome = await outcome(of: SkillManifest(document: document), id)
        let skill = SkillRecord(
            id: id, created: call.now, updated: call.now, revision: 1, isEnabled: false, manifest: document,
            outcome: outcome)
        try await database.write { transaction in
            guard try SkillTable.count(in: transaction) < Limits.skills else {
                throw APIError(status: 403, message: "There are \(Limits.skills) skills, which is the limit.")
            }
            try SkillTable.put(skill, in: transaction)
        }
        begin(skill)
        return accepted(id, body: ["skillId": .string(id)])
    }

    private func accepted(_ id: String, body: Value?) -> APIAnswer {
        APIAnswer(
            status: 202, body: body, headers: [(name: "Location", value: "/v1/skills/\(id)/status?resource=manifest")])
    }

    /// The keys for a web service are made while nobody waits for them.
    private func begin(_ skill: SkillRecord) {
        if skill.facts.endpoints.contains(where: { if case .web = $0.endpoint { true } else { false } }) {
            signer.begin()
        }
    }

    private static func manifest(_ body: Value) throws(APIError) -> Value {
        let document: Value = ["manifest": body["manifest"] ?? .null]
        let violations = SkillManifest(document: document).violations()
        guard violations.isEmpty else {
            throw .bad("Skill manifest is not valid.", Array(violations.prefix(Limits.problems)))
        }
        guard JSON.encode(document).count <= Limits.manifestBytes else {
            throw .bad("The manifest exceeds \(Limits.manifestBytes) bytes.")
        }
        return document
    }

    /// Alexa takes a function only when its policy lets the skill in.
    private func outcome(of facts: SkillManifest, _ id: String) async -> Value {
        var errors: [Value] = []
        for (kind, endpoint) in facts.endpoints {
            guard case .function(let arn) = endpoint else { continue }
            do {
                try await caller.check(arn, kind, skillID: id)
            } catch {
                let problem = Problem(
                    code: "SkillManifestError",
                    message: "The trigger setting for the Lambda \(arn) is invalid. Error code: SkillManifestError - "
                        + error.message)
                errors.append(problem.value)
            }
        }
        guard errors.isEmpty else { return ["status": "FAILED", "errors": .list(errors)] }
        return ["status": "SUCCEEDED"]
    }

    func delete(_ id: String) async throws -> APIAnswer {
        guard try await database.write({ try SkillTable.delete(id, in: $0) }) else { throw APIError.noSkill(id) }
        return APIAnswer(status: 204, body: nil)
    }

    func status(_ id: String, _ call: APIRequest) async throws -> APIAnswer {
        let wanted = call.query.all("resource")
        let (found, builds) = try await database.read { transaction in
            (try SkillTable.get(id, in: transaction), try ModelTable.builds(id, in: transaction))
        }
        guard let skill = found else { throw APIError.noSkill(id) }
        var body = Fields()
        if wanted.isEmpty || wanted.contains("manifest") {
            body["manifest"] = ["eTag": .string(skill.eTag), "lastUpdateRequest": skill.outcome]
        }
        if wanted.isEmpty || wanted.contains("interactionModel"), !builds.isEmpty {
            var models = Fields()
            for build in builds {
                var document: Fields = ["lastUpdateRequest": build.outcome]
                if build.version > 0 {
                    document["eTag"] = .string(ETag.make(id, build.version))
                    document["version"] = .string(String(build.version))
                }
                models.append(build.locale, .map(document))
            }
            body["interactionModel"] = .map(models)
        }
        return APIAnswer(status: 200, body: .map(body))
    }

    // MARK: The stage

    /// `rest`: what follows the stage. Nil when it is none of these.
    func route(_ id: String, _ rest: [String], _ call: APIRequest) async throws -> APIAnswer? {
        switch (call.method, rest) {
        case ("GET", ["manifest"]):
            let skill = try await require(id)
            return APIAnswer(status: 200, body: skill.manifest, headers: [(name: "ETag", value: skill.eTag)])
        case ("PUT", ["manifest"]): return try await update(id, call)
        case ("GET", ["enablement"]):
            guard try await require(id).isEnabled else { throw APIError.notFound("the skill is not enabled.") }
            return APIAnswer(status: 204, body: nil)
        case ("PUT", ["enablement"]): return try await enable(id, true)
        case ("DELETE", ["enablement"]): return try await enable(id, false)
        default: return nil
        }
    }

    private func require(_ id: String) async throws -> SkillRecord {
        guard let skill = try await database.read({ try SkillTable.get(id, in: $0) }) else {
            throw APIError.noSkill(id)
        }
        return skill
    }

    private func update(_ id: String, _ call: APIRequest) async throws -> APIAnswer {
        let document = try Self.manifest(try call.json())
        _ = try await require(id)
        let outcome = await outcome(of: SkillManifest(document: document), id)
        let now = call.now
        let ifMatch = call.ifMatch
        let updated = try await database.write { transaction in
            guard var skill = try SkillTable.get(id, in: transaction) else { throw APIError.noSkill(id) }
            guard ifMatch.map({ $0 == skill.eTag || $0 == "*" }) ?? true else {
                throw APIError(status: 412, message: "Precondition failed: the skill has the ETag \(skill.eTag).")
            }
            // A manifest that Alexa does not take leaves the one before.
            if outcome["status"]?.string == "SUCCEEDED" {
                skill.manifest = document
                skill.revision += 1
            }
            skill.outcome = outcome
            skill.updated = now
            try SkillTable.put(skill, in: transaction)
            return skill
        }
        begin(updated)
        return accepted(id, body: nil)
    }

    private func enable(_ id: String, _ enabled: Bool) async throws -> APIAnswer {
        try await database.write { transaction in
            guard var skill = try SkillTable.get(id, in: transaction) else { throw APIError.noSkill(id) }
            if enabled, skill.facts.kind == .custom,
                !(try ModelTable.builds(id, in: transaction).contains { $0.version > 0 })
            {
                throw APIError(
                    status: 409, message: "The skill cannot be enabled before an interaction model of it is built.")
            }
            skill.isEnabled = enabled
            try SkillTable.put(skill, in: transaction)
        }
        return APIAnswer(status: 204, body: nil)
    }
}
