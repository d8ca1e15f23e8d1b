import Contracts
import Platform
import Storage
import Wire

/// API keys of an account and Region.
struct APIKeyOperations: Sendable {
    let editor: RESTEditor

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        // Terraform sends an empty value for a key whose value is to be made.
        let given = input["value"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        var document: Value = ["id": .string(ResourceID.api()), "value": .string(given ?? Self.value())]
        document = document.merging(input, ["name", "customerId", "description"])
        document["enabled"] = input["enabled"] ?? false
        document["createdDate"] = .timestamp(context.now)
        document["lastUpdatedDate"] = .timestamp(context.now)
        document["stageKeys"] = []
        guard input["stageKeys"]?.list?.isEmpty != false else {
            throw RESTError.missing("Stage keys (usage plans have taken their place)")
        }
        if let tags = input["tags"]?.fields, !tags.isEmpty {
            try RESTTags.check(tags)
            document["tags"] = .map(tags)
        }
        try Self.validate(document)
        let made = document
        try await editor.editOwned(request) { transaction in
            try Self.insert(made, context.scope, in: transaction)
        }
        return OperationResponse(made)
    }

    private static func insert(_ document: Value, _ scope: AccountRegion, in transaction: any WriteTransaction) throws {
        guard try Owned.count(.apiKey, scope, in: transaction) < RESTLimits.apiKeys else {
            throw RESTError.tooMany("API keys")
        }
        let value = document["value"]?.string ?? ""
        guard try Owned.find(.apiKey, lookup: value, scope, in: transaction).isEmpty else {
            throw RESTError.conflict("API Key already exists")
        }
        try Owned.put(.apiKey, document["id"]?.string ?? "", document, lookup: value, scope, in: transaction)
    }

    /// Forty letters and digits.
    private static func value() -> String { (0..<4).map { _ in ResourceID.api() }.joined() }

    private static func validate(_ document: Value) throws(AWSError) {
        let value = document["value"]?.string ?? ""
        guard value.utf8.count >= 20 else { throw RESTError.bad("API Key value should be at least 20 characters") }
        guard value.utf8.count <= 128, ProxyAnswer.isHeader("x-api-key", value) else {
            throw RESTError.bad("API Key value should be at most 128 characters")
        }
        guard (document["name"]?.string ?? "").utf8.count <= 1_024,
            (document["description"]?.string ?? "").utf8.count <= 1_024
        else { throw RESTError.bad("Name and description must be at most 1024 characters") }
    }

    static let noKey = RESTError.notFound("Invalid API Key identifier specified")

    private static func shape(_ document: Value, includesValue: Bool) -> Value {
        var output = document
        if !includesValue { output["value"] = nil }
        return output
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, scope) = (request.input["apiKey"]?.string ?? "", request.context.scope)
        let found = try await editor.database.read { try Owned.find(.apiKey, id, scope, in: $0) }
        guard let found else { throw Self.noKey }
        return OperationResponse(Self.shape(found, includesValue: request.input["includeValue"]?.bool ?? false))
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, scope, paging) = (request.input, request.context.scope, try RESTPaging(request.input))
        let (name, customer) = (input["nameQuery"]?.string, input["customerId"]?.string)
        let includes = input["includeValues"]?.bool ?? false
        let rows = try await editor.database.read { transaction in
            try Owned.list(.apiKey, scope, after: paging.after, in: transaction)
        }
        let wanted = rows.filter { row in
            (name.map { row.document["name"]?.string?.hasPrefix($0) == true } ?? true)
                && (customer.map { row.document["customerId"]?.string == $0 } ?? true)
        }
        return OperationResponse(
            paging.page(
                wanted.prefix(paging.limit + 1).map { ($0.id, Self.shape($0.document, includesValue: includes)) }))
    }

    private static let patches = PatchTable(
        style: .listing,
        rules: [.text("name"), .text("description"), .text("customerId"), .truth("enabled")])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, context) = (request.input["apiKey"]?.string ?? "", request.context)
        let operations = try PatchOperation.read(request.input)
        let made = try await editor.editOwned(request) { transaction in
            guard var document = try Owned.find(.apiKey, id, context.scope, in: transaction) else { throw Self.noKey }
            try Self.patches.apply(operations, to: &document)
            document["lastUpdatedDate"] = .timestamp(context.now)
            try Self.validate(document)
            try Owned.put(
                .apiKey, id, document, lookup: document["value"]?.string ?? "", context.scope, in: transaction)
            return document
        }
        var output = Self.shape(made, includesValue: false)
        if output["tags"] == nil { output["tags"] = [:] }
        return OperationResponse(output)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, scope) = (request.input["apiKey"]?.string ?? "", request.context.scope)
        try await editor.editOwned(request) { transaction in
            guard try Owned.find(.apiKey, id, scope, in: transaction) != nil else { throw Self.noKey }
            for key in try Owned.find(.usagePlanKey, lookup: id, scope, in: transaction) {
                try Owned.delete(.usagePlanKey, key.id, scope, in: transaction)
            }
            try Owned.delete(.apiKey, id, scope, in: transaction)
        }
        return OperationResponse()
    }
}

enum UsagePlans {
    /// Whether a plan is for the API, or for one of its stages.
    static func names(_ plan: Value, api: String, stage: String? = nil) -> Bool {
        plan["apiStages"]?.list?.contains { item in
            item["apiId"]?.string == api && (stage == nil || item["stage"]?.string == stage)
        } ?? false
    }
}

/// Usage plans: which keys open which stages, and how often. Quotas are not there.
struct UsagePlanOperations: Sendable {
    let editor: RESTEditor

    private static let noPlan = RESTError.notFound("Invalid Usage Plan identifier specified")

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, scope) = (request.input, request.context.scope)
        let id = ResourceID.deployment()
        guard input["quota"] == nil else { throw RESTError.missing("A usage plan's quota") }
        var document: Value = ["id": .string(id)]
        document = document.merging(input, ["name", "description", "apiStages", "throttle"])
        if document["apiStages"] == nil { document["apiStages"] = [] }
        if let tags = input["tags"]?.fields, !tags.isEmpty {
            try RESTTags.check(tags)
            document["tags"] = .map(tags)
        }
        let made = document
        try await editor.editOwned(request) { transaction in
            guard try Owned.count(.usagePlan, scope, in: transaction) < RESTLimits.usagePlans else {
                throw RESTError.tooMany("usage plans")
            }
            try Self.validate(made, scope, in: transaction)
            try Owned.put(.usagePlan, id, made, scope, in: transaction)
        }
        return OperationResponse(made)
    }

    private static func validate(_ plan: Value, _ scope: AccountRegion, in transaction: any ReadTransaction) throws {
        guard let name = plan["name"]?.string, !name.isEmpty else {
            throw RESTError.bad("Usage plan name cannot be blank")
        }
        let stages = plan["apiStages"]?.list ?? []
        guard stages.count <= RESTLimits.entries else { throw RESTError.bad("Too many API stages") }
        for item in stages {
            guard let api = item["apiId"]?.string, let stage = item["stage"]?.string else {
                throw RESTError.bad("Invalid API Stage specified")
            }
            guard item["throttle"] == nil else { throw RESTError.missing(Self.throttleOfMethods) }
            let unknown = RESTError.notFound(
                "Invalid API Stage {api: \(api), stage: \(stage)} specified for usageplan \(plan["id"]?.string ?? "")")
            guard let row = try APIRow.find(api, in: transaction), row.scope == scope, row.proto == APIRow.rest,
                try Item.find(.stage, stage, api: api, in: transaction) != nil
            else { throw unknown }
        }
        if let throttle = plan["throttle"] {
            guard (throttle["burstLimit"]?.int ?? 0) >= 0, (throttle["rateLimit"]?.double ?? 0) >= 0 else {
                throw RESTError.bad("Usage plan throttle limits must not be negative")
            }
        }
    }

    private func find(_ id: String, _ scope: AccountRegion) async throws -> Value {
        let found = try await editor.database.read { try Owned.find(.usagePlan, id, scope, in: $0) }
        guard let found else { throw Self.noPlan }
        return found
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        var output = try await find(request.input["usagePlanId"]?.string ?? "", request.context.scope)
        if output["tags"] == nil { output["tags"] = [:] }
        return OperationResponse(output)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let (scope, paging) = (request.context.scope, try RESTPaging(request.input))
        let key = request.input["keyId"]?.string
        let rows = try await editor.database.read { transaction in
            var plans = try Owned.list(.usagePlan, scope, after: paging.after, in: transaction)
            if let key {
                let known = Set(try Owned.find(.usagePlanKey, lookup: key, scope, in: transaction).map(\.id))
                plans = plans.filter { known.contains("\($0.id)/\(key)") }
            }
            return plans
        }
        return OperationResponse(paging.page(rows.prefix(paging.limit + 1).map { ($0.id, $0.document) }))
    }

    private static let throttleOfMethods = "A usage plan's throttle of single methods"

    private static let patches = PatchTable(
        style: .plain,
        rules: [
            .text("name"), .text("description"),
            .custom("/apiStages", [.add, .remove]) { document, patch in
                let parts = (patch.value ?? "").split(separator: ":").map(String.init)
                guard parts.count == 2 else { throw RESTError.bad("Invalid API Stage specified") }
                var stages = document["apiStages"]?.list ?? []
                stages.removeAll { $0["apiId"]?.string == parts[0] && $0["stage"]?.string == parts[1] }
                if patch.verb == .add { stages.append(["apiId": .string(parts[0]), "stage": .string(parts[1])]) }
                document["apiStages"] = .list(stages)
            },
            .custom("/throttle", [.remove]) { document, _ in document["throttle"] = nil },
            .custom("/throttle/burstLimit", [.add, .replace]) { document, patch in
                guard let number = patch.number else { throw RESTError.bad("Invalid value for burstLimit") }
                document["throttle"] = (document["throttle"] ?? [:]).merging(
                    ["burstLimit": .int(number)], ["burstLimit"])
            },
            .custom("/throttle/rateLimit", [.add, .replace]) { document, patch in
                guard let number = patch.value.flatMap({ Double($0) }), number.isFinite else {
                    throw RESTError.bad("Invalid value for rateLimit")
                }
                document["throttle"] = (document["throttle"] ?? [:]).merging(
                    ["rateLimit": .double(number)], ["rateLimit"])
            },
            .missing("/quota/*", "A usage plan's quota"), .missing("/quota", "A usage plan's quota", [.add, .replace]),
            .custom("/quota", [.remove]) { _, _ in },
            .missing("/apiStages/*/throttle", throttleOfMethods),
            .missing("/apiStages/*/throttle/*", throttleOfMethods),
            .missing("/apiStages/*/throttle/*/*", throttleOfMethods),
            .missing("/productCode", "A usage plan's product code"),
        ])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, scope) = (request.input["usagePlanId"]?.string ?? "", request.context.scope)
        let operations = try PatchOperation.read(request.input)
        let made = try await editor.editOwned(request) { transaction in
            guard var document = try Owned.find(.usagePlan, id, scope, in: transaction) else { throw Self.noPlan }
            try Self.patches.apply(operations, to: &document)
            try Self.validate(document, scope, in: transaction)
            try Owned.put(.usagePlan, id, document, scope, in: transaction)
            return document
        }
        var output = made
        if output["tags"] == nil { output["tags"] = [:] }
        return OperationResponse(output)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, scope) = (request.input["usagePlanId"]?.string ?? "", request.context.scope)
        try await editor.editOwned(request) { transaction in
            guard let plan = try Owned.find(.usagePlan, id, scope, in: transaction) else { throw Self.noPlan }
            guard plan["apiStages"]?.list?.isEmpty != false else {
                throw RESTError.bad(
                    "Cannot delete usage plan '\(id)' because it is associated with API stages. Please remove all API "
                        + "stages from the usage plan first.")
            }
            for key in try Owned.list(.usagePlanKey, scope, prefix: id + "/", in: transaction) {
                try Owned.delete(.usagePlanKey, key.id, scope, in: transaction)
            }
            try Owned.delete(.usagePlan, id, scope, in: transaction)
        }
        return OperationResponse()
    }

    // MARK: Keys

    private static func shape(_ key: Value) -> Value {
        var output: Value = ["type": "API_KEY"]
        for name in ["id", "value", "name"] { output[name] = key[name] }
        return output
    }

    func createKey(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, scope) = (request.input, request.context.scope)
        let (plan, id) = (input["usagePlanId"]?.string ?? "", input["keyId"]?.string ?? "")
        guard input["keyType"]?.string == "API_KEY" else { throw RESTError.bad("Only API_KEY is supported as keyType") }
        let made = try await editor.editOwned(request) { transaction in
            guard try Owned.find(.usagePlan, plan, scope, in: transaction) != nil else { throw Self.noPlan }
            guard let key = try Owned.find(.apiKey, id, scope, in: transaction) else { throw APIKeyOperations.noKey }
            guard try Owned.find(.usagePlanKey, "\(plan)/\(id)", scope, in: transaction) == nil else {
                throw RESTError.conflict("Usage Plan Key already exists")
            }
            try Owned.put(.usagePlanKey, "\(plan)/\(id)", ["id": .string(id)], lookup: id, scope, in: transaction)
            return Self.shape(key)
        }
        return OperationResponse(made)
    }

    private static let noPlanKey = RESTError.notFound("Invalid Usage Plan Key identifier specified")

    func getKey(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, scope) = (request.input, request.context.scope)
        let (plan, id) = (input["usagePlanId"]?.string ?? "", input["keyId"]?.string ?? "")
        let found = try await editor.database.read { transaction -> Value in
            guard try Owned.find(.usagePlanKey, "\(plan)/\(id)", scope, in: transaction) != nil,
                let key = try Owned.find(.apiKey, id, scope, in: transaction)
            else { throw Self.noPlanKey }
            return Self.shape(key)
        }
        return OperationResponse(found)
    }

    func listKeys(_ request: OperationRequest) async throws -> OperationResponse {
        let (scope, paging) = (request.context.scope, try RESTPaging(request.input))
        let (plan, name) = (request.input["usagePlanId"]?.string ?? "", request.input["nameQuery"]?.string)
        let rows = try await editor.database.read { transaction -> [(id: String, value: Value)] in
            guard try Owned.find(.usagePlan, plan, scope, in: transaction) != nil else { throw Self.noPlan }
            var rows: [(id: String, value: Value)] = []
            for item in try Owned.list(.usagePlanKey, scope, prefix: plan + "/", after: paging.after, in: transaction) {
                guard rows.count <= paging.limit else { break }
                guard let key = try Owned.find(.apiKey, item.document["id"]?.string ?? "", scope, in: transaction),
                    name.map({ key["name"]?.string?.hasPrefix($0) == true }) ?? true
                else { continue }
                rows.append((item.id, Self.shape(key)))
            }
            return rows
        }
        return OperationResponse(paging.page(rows))
    }

    func deleteKey(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, scope) = (request.input, request.context.scope)
        let id = "\(input["usagePlanId"]?.string ?? "")/\(input["keyId"]?.string ?? "")"
        try await editor.editOwned(request) { transaction in
            guard try Owned.find(.usagePlanKey, id, scope, in: transaction) != nil else { throw Self.noPlanKey }
            try Owned.delete(.usagePlanKey, id, scope, in: transaction)
        }
        return OperationResponse()
    }
}
