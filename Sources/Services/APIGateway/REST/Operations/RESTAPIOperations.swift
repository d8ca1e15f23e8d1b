import Contracts
import Platform
import Policies
import Storage
import Wire

struct RESTAPIOperations: Sendable {
    let editor: RESTEditor

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        let document = try Self.document(of: input, now: context.now)
        let row = APIRow(id: ResourceID.api(), scope: context.scope, proto: APIRow.rest, document: document)
        let source = input["cloneFrom"]?.string
        let made = try await editor.database.write { transaction in
            guard try APIRow.count(row.scope, in: transaction) < Limits.apis else { throw RESTError.tooMany("APIs") }
            if let source { return try Self.clone(source, row, now: context.now, in: transaction) }
            return try Self.insert(row, now: context.now, in: transaction)
        }
        return OperationResponse(Self.shape(made))
    }

    /// A new API's document, checked.
    static func document(of input: Value, now: Instant) throws -> Value {
        var document: Value = ["apiKeySource": "HEADER"]
        document["createdDate"] = .timestamp(now)
        document["disableExecuteApiEndpoint"] = false
        document["endpointConfiguration"] = ["types": ["EDGE"], "ipAddressType": "ipv4"]
        if input["description"]?.string == "" { throw RESTError.bad("Description cannot be an empty string") }
        let members = [
            "name", "description", "version", "minimumCompressionSize", "apiKeySource", "disableExecuteApiEndpoint",
            "policy", "securityPolicy",
        ]
        document = document.merging(input, members)
        let types = input["binaryMediaTypes"]?.list ?? []
        if !types.isEmpty { document["binaryMediaTypes"] = .list(types) }
        if let endpoint = input["endpointConfiguration"] {
            document["endpointConfiguration"] = (document["endpointConfiguration"] ?? [:]).merging(
                endpoint, ["types", "ipAddressType", "vpcEndpointIds"])
        }
        if let tags = input["tags"]?.fields, !tags.isEmpty {
            try RESTTags.check(tags)
            document["tags"] = .map(tags)
        }
        try validate(document)
        return document
    }

    static func validate(_ document: Value) throws {
        guard let name = document["name"]?.string, !name.isEmpty else {
            throw RESTError.bad("RestApi name cannot be an empty string")
        }
        guard name.utf8.count <= 1_024, (document["description"]?.string ?? "").utf8.count <= 1_024 else {
            throw RESTError.bad("Name and description must be at most 1024 characters")
        }
        if let size = document["minimumCompressionSize"]?.int, !(0...10_485_760).contains(size) {
            throw RESTError.bad("Invalid minimum compression size, must be between 0 and 10485760")
        }
        guard ["HEADER", "AUTHORIZER"].contains(document["apiKeySource"]?.string) else {
            throw RESTError.bad("Invalid API key source specified. Valid options are HEADER, AUTHORIZER")
        }
        let types = document["endpointConfiguration"]?["types"]?.list?.compactMap(\.string) ?? []
        guard types.count == 1, ["EDGE", "REGIONAL", "PRIVATE"].contains(types.first) else {
            if types.isEmpty {
                throw RESTError.bad("REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.")
            }
            throw RESTError.bad("Cannot create an api with multiple Endpoint Types")
        }
        if let policy = document["policy"]?.string {
            guard policy.utf8.count <= RESTLimits.policy, RESTPolicy.check(policy) else {
                throw RESTError.bad(
                    "Invalid policy document. Please check the policy syntax and ensure that Principals are valid.")
            }
        }
        guard (document["binaryMediaTypes"]?.list?.count ?? 0) <= RESTLimits.entries else {
            throw RESTError.bad("Too many binary media types")
        }
    }

    /// With a root resource and the two models that every API has.
    static func insert(_ given: APIRow, now: Instant, in transaction: any WriteTransaction) throws -> APIRow {
        var row = given
        let root = ResourceID.api()
        row.document["rootResourceId"] = .string(root)
        try row.insert(created: now, in: transaction)
        try keepSettings(of: row, in: transaction)
        try Item.put(.resource, root, ["id": .string(root), "path": "/"], api: row.id, in: transaction)
        for (name, text, schema) in defaultModels {
            let document: Value = [
                "id": .string(ResourceID.authorizer()), "name": .string(name), "description": .string(text),
                "contentType": "application/json", "schema": .string(schema),
            ]
            try Item.put(.model, name, document, api: row.id, in: transaction)
        }
        return row
    }

    private static let defaultModels = [
        (
            "Empty", "This is a default empty schema model",
            "{\n  \"$schema\": \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Empty Schema\",\n"
                + "  \"type\" : \"object\"\n}"
        ),
        (
            "Error", "This is a default error schema model",
            "{\n  \"$schema\" : \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Error Schema\",\n"
                + "  \"type\" : \"object\",\n  \"properties\" : {\n    \"message\" : { \"type\" : \"string\" }\n  }\n}"
        ),
    ]

    private static func clone(
        _ source: String, _ given: APIRow, now: Instant, in transaction: any WriteTransaction
    ) throws -> APIRow {
        let original = try APIRow.requireREST(source, given.scope, in: transaction)
        var row = given
        row.document = original.document.merging(given.document, given.document.fields?.names ?? [])
        row.document["rootResourceId"] = original.document["rootResourceId"]
        try row.insert(created: now, in: transaction)
        try keepSettings(of: row, in: transaction)
        try transaction.execute(
            """
            INSERT INTO apigateway_item (api, deployment, kind, id, document)
            SELECT ?, deployment, kind, id, document FROM apigateway_item WHERE api = ? AND deployment = ''
            AND kind IN ('resource', 'model', 'authorizer', 'requestValidator', 'gatewayResponse')
            """, [.text(row.id), .text(original.id)])
        return row
    }

    /// What of the API itself deployments copy.
    static func keepSettings(of row: APIRow, in transaction: any WriteTransaction) throws {
        let settings = row.document.picking(["apiKeySource", "binaryMediaTypes", "policy", "minimumCompressionSize"])
        try Item.put(.settings, "api", settings, api: row.id, in: transaction)
    }

    static func shape(_ row: APIRow) -> Value {
        var output = row.document
        output["id"] = .string(row.id)
        // AWS gives policies back with their quotes escaped once more; infrastructure tools undo that.
        if let policy = output["policy"]?.string {
            output["policy"] = .string(String(JSON.encodeString(.string(policy)).dropFirst().dropLast()))
        }
        return output
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        OperationResponse(Self.shape(try await editor.read(request) { api, _ in api }))
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let (paging, scope) = (try RESTPaging(request.input), request.context.scope)
        let rows = try await editor.database.read { transaction in
            try APIRow.listREST(scope, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(paging.page(rows.map { ($0.id, Self.shape($0)) }))
    }

    private static let patches = PatchTable(
        style: .plain,
        rules: [
            .custom("/name", [.replace]) { document, patch in document["name"] = .string(patch.value ?? "") },
            .text("description", [.replace, .remove]), .text("version", [.replace, .remove]),
            .text("policy", [.replace, .remove]), .text("apiKeySource"), .text("securityPolicy"),
            .truth("disableExecuteApiEndpoint"), .elements("binaryMediaTypes"),
            .custom("/minimumCompressionSize", [.replace]) { document, patch in
                guard let value = patch.value, !value.isEmpty else {
                    document["minimumCompressionSize"] = nil
                    return
                }
                guard let size = Int64(value) else {
                    throw RESTError.bad("Invalid minimum compression size, must be between 0 and 10485760")
                }
                document["minimumCompressionSize"] = .int(size)
            },
            .custom("/endpointConfiguration/types/*", [.add, .remove, .replace]) { document, patch in
                var types = document["endpointConfiguration"]?["types"]?.list?.compactMap(\.string) ?? []
                switch patch.verb {
                case .remove: types.removeAll { $0 == patch.segments[2] }
                case .replace: types = [patch.value ?? ""]
                default: types.append(patch.value ?? patch.segments[2])
                }
                document["endpointConfiguration"]?["types"] = .strings(types)
            },
            .custom("/endpointConfiguration/ipAddressType", [.replace]) { document, patch in
                document["endpointConfiguration"]?["ipAddressType"] = .string(patch.value ?? "ipv4")
            },
            .custom("/endpointConfiguration/vpcEndpointIds", [.add, .remove]) { document, patch in
                var ids = document["endpointConfiguration"]?["vpcEndpointIds"]?.list?.compactMap(\.string) ?? []
                ids.removeAll { $0 == patch.value }
                if patch.verb == .add, let id = patch.value { ids.append(id) }
                document["endpointConfiguration"]?["vpcEndpointIds"] = ids.isEmpty ? nil : .strings(ids)
            },
        ])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let operations = try PatchOperation.read(request.input)
        let row = try await editor.edit(request) { api, transaction in
            var row = api
            try Self.patches.apply(operations, to: &row.document)
            try Self.validate(row.document)
            try row.update(in: transaction)
            try Self.keepSettings(of: row, in: transaction)
            return row
        }
        var output = Self.shape(row)
        if output["tags"] == nil { output["tags"] = [:] }
        return OperationResponse(output)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.edit(request) { api, transaction in
            let plans = try Owned.list(.usagePlan, api.scope, in: transaction)
            guard !plans.contains(where: { UsagePlans.names($0.document, api: api.id) }) else {
                throw RESTError.bad(
                    "Cannot delete RestApi \(api.id) as it is associated with a usage plan. Please remove it from the "
                        + "usage plan first.")
            }
            try APIRow.delete(api.id, in: transaction)
        }
        return OperationResponse()
    }
}

/// A resource policy of an API (developer guide, "Control access to a REST API with resource policies").
struct RESTPolicy: Sendable {
    private let document: PolicyDocument

    /// Nil for a text that is no policy. `execute-api:/…` stands for the API's own ARN.
    init?(_ text: String, api: String, scope: AccountRegion) {
        guard let value = try? JSON.parse(text),
            let document = try? PolicyDocument(
                Self.whole(value, "arn:aws:execute-api:\(scope.region):\(scope.account):\(api)"), kind: .resource)
        else { return nil }
        self.document = document
    }

    static func check(_ text: String) -> Bool {
        RESTPolicy(text, api: "x", scope: AccountRegion(account: AccountRegion.defaultAccount, region: "us-east-1"))
            != nil
    }

    func decision(_ principal: Principal, arn: String, account: String, _ request: ProxyRequest) -> PolicyDecision {
        document.decision(
            for: PolicyRequest(
                principal: principal, action: "execute-api:Invoke", resource: arn,
                context: ["aws:SourceIp": [request.sourceIP], "aws:UserAgent": [request.userAgent]],
                resourceAccount: account))
    }

    private static func whole(_ value: Value, _ arn: String) -> Value {
        guard let statements = value["Statement"] else { return value }
        var value = value
        value["Statement"] = .list(
            (statements.list ?? [statements]).map { statement in
                var statement = statement
                for name in ["Resource", "NotResource"] {
                    guard let resources = statement[name] else { continue }
                    statement[name] = .list(
                        (resources.list ?? [resources]).map { resource in
                            guard let text = resource.string, text.hasPrefix("execute-api:/") else { return resource }
                            return .string(arn + text.dropFirst("execute-api:".count))
                        })
                }
                return statement
            })
        return value
    }
}

/// GetAccount and UpdateAccount.
struct RESTAccountOperations: Sendable {
    let editor: RESTEditor

    private static func shape(_ document: Value?) -> Value {
        var output: Value = ["apiKeyVersion": "4", "features": ["UsagePlans"]]
        output["throttleSettings"] = ["burstLimit": 5_000, "rateLimit": 10_000.0]
        if let role = document?["cloudwatchRoleArn"] { output["cloudwatchRoleArn"] = role }
        return output
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let scope = request.context.scope
        return OperationResponse(
            Self.shape(
                try await editor.database.read { transaction in
                    try Owned.find(.account, "account", scope, in: transaction)
                }))
    }

    private static let patches = PatchTable(
        style: .listing, rules: [.text("cloudwatchRoleArn", [.replace, .remove])])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (scope, operations) = (request.context.scope, try PatchOperation.read(request.input))
        let document = try await editor.editOwned(request) { transaction in
            var document = try Owned.find(.account, "account", scope, in: transaction) ?? [:]
            try Self.patches.apply(operations, to: &document)
            try Owned.put(.account, "account", document, scope, in: transaction)
            return document
        }
        return OperationResponse(Self.shape(document))
    }
}

/// GetTags, TagResource and UntagResource: of APIs, stages, API keys and usage plans.
struct RESTTags: Sendable {
    let editor: RESTEditor

    static func check(_ tags: Fields) throws(AWSError) {
        guard tags.count <= Limits.tags else { throw RESTError.bad("A resource can have at most \(Limits.tags) tags") }
        for entry in tags.entries {
            guard (1...128).contains(entry.name.utf8.count), (entry.value.string ?? "").utf8.count <= 256,
                !lowercased(entry.name).hasPrefix("aws:")
            else { throw RESTError.bad("Invalid tag key or value: \(entry.name.prefix(128))") }
        }
    }

    private enum Target: Sendable {
        case api(String)
        case stage(api: String, String)
        case owned(Owned.Kind, String)
    }

    /// `arn:aws:apigateway:us-east-1::/restapis/ID/stages/NAME`
    private static func target(_ input: Value, _ context: OperationContext) throws(AWSError) -> Target {
        let invalid = RESTError.bad("Invalid ARN specified in the request")
        guard let arn = input["resourceArn"]?.string.flatMap({ ARN($0) }), arn.service == "apigateway",
            arn.region == context.scope.region
        else { throw invalid }
        let parts = arn.resource.split(separator: "/").map(String.init)
        switch (parts.first, parts.count) {
        case ("restapis", 2): return .api(parts[1])
        case ("restapis", 4) where parts[2] == "stages": return .stage(api: parts[1], parts[3])
        case ("apikeys", 2): return .owned(.apiKey, parts[1])
        case ("usageplans", 2): return .owned(.usagePlan, parts[1])
        default: throw invalid
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let (target, scope) = (try Self.target(request.input, request.context), request.context.scope)
        let tags = try await editor.database.read { transaction in
            try Self.document(target, scope, in: transaction)["tags"] ?? [:]
        }
        return OperationResponse(["tags": tags])
    }

    private static func document(_ target: Target, _ scope: AccountRegion, in transaction: any ReadTransaction) throws
        -> Value
    {
        switch target {
        case .api(let id): return try APIRow.requireREST(id, scope, in: transaction).document
        case .stage(let api, let name):
            _ = try APIRow.requireREST(api, scope, in: transaction)
            guard let stage = try Item.find(.stage, name, api: api, in: transaction) else { throw RESTError.noStage }
            return stage
        case .owned(let kind, let id):
            guard let found = try Owned.find(kind, id, scope, in: transaction) else {
                throw RESTError.notFound("Invalid resource identifier specified")
            }
            return found
        }
    }

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let changes = request.input["tags"]?.fields ?? Fields()
        try await change(request) { tags in
            for entry in changes.entries { tags[entry.name] = entry.value }
            try Self.check(tags)
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let keys = request.input["tagKeys"]?.list?.compactMap(\.string) ?? []
        try await change(request) { tags in for key in keys { tags[key] = nil } }
        return OperationResponse()
    }

    private func change(_ request: OperationRequest, _ body: @escaping @Sendable (inout Fields) throws -> Void)
        async throws
    {
        let (target, scope) = (try Self.target(request.input, request.context), request.context.scope)
        try await editor.database.write { transaction in
            var document = try Self.document(target, scope, in: transaction)
            var tags = document["tags"]?.fields ?? Fields()
            try body(&tags)
            document["tags"] = tags.isEmpty ? nil : .map(tags)
            switch target {
            case .api(let id):
                try APIRow(id: id, scope: scope, proto: APIRow.rest, document: document).update(in: transaction)
            case .stage(let api, let name): try Item.put(.stage, name, document, api: api, in: transaction)
            case .owned(let kind, let id):
                try Owned.put(
                    kind, id, document, lookup: kind == .apiKey ? document["value"]?.string ?? "" : "", scope,
                    in: transaction)
            }
        }
    }
}
