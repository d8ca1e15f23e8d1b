import Contracts
import Platform
import Storage
import Wire

/// Deployments of REST APIs: copies of all resources, which stages serve.
struct RESTDeploymentOperations: Sendable {
    let editor: RESTEditor

    /// What deployments copy.
    static func copy(api: String, to deployment: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO apigateway_item (api, deployment, kind, id, document)
            SELECT api, ?, kind, id, document FROM apigateway_item WHERE api = ? AND deployment = ''
            AND kind IN ('resource', 'authorizer', 'model', 'requestValidator', 'gatewayResponse', 'settings')
            """, [.text(deployment), .text(api)])
    }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, now) = (request.input, request.context.now)
        guard input["canarySettings"] == nil else { throw RESTError.missing("A canary deployment") }
        try editor.checkVariables(request)
        let made = try await editor.edit(request) { api, transaction in
            guard try Item.count(.deployment, api: api.id, in: transaction) < RESTLimits.deployments else {
                throw RESTError.tooMany("deployments")
            }
            try Self.check(api: api.id, in: transaction)
            let id = ResourceID.deployment()
            var document: Value = ["id": .string(id)]
            if let text = input["description"]?.string, !text.isEmpty { document["description"] = .string(text) }
            document["createdDate"] = .timestamp(now)
            try Item.put(.deployment, id, document, api: api.id, in: transaction)
            try Self.copy(api: api.id, to: id, in: transaction)
            if let stage = input["stageName"]?.string, !stage.isEmpty {
                try Self.serve(id, stage: stage, input, api: api.id, now, in: transaction)
            }
            return document
        }
        return OperationResponse(made)
    }

    /// AWS deploys nothing that could not answer.
    private static func check(api: String, in transaction: any ReadTransaction) throws {
        let methods = try Item.list(.resource, api: api, in: transaction).flatMap { item in
            item.document["resourceMethods"]?.fields?.entries ?? []
        }
        guard !methods.isEmpty else { throw RESTError.bad("The REST API doesn't contain any methods") }
        guard methods.allSatisfy({ $0.value["methodIntegration"] != nil }) else {
            throw RESTError.bad("No integration defined for method")
        }
    }

    private static func serve(
        _ id: String, stage: String, _ input: Value, api: String, _ now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        var document: Value
        if let known = try Item.find(.stage, stage, api: api, in: transaction) {
            document = known
            if let variables = input["variables"] { document["variables"] = variables }
            if let text = input["stageDescription"] { document["description"] = text }
        } else {
            guard try Item.count(.stage, api: api, in: transaction) < RESTLimits.stages else {
                throw RESTError.tooMany("stages")
            }
            var asked: Value = ["stageName": .string(stage)]
            asked["variables"] = input["variables"]
            asked["description"] = input["stageDescription"]
            asked["tracingEnabled"] = input["tracingEnabled"]
            document = try RESTStageOperations.document(asked, now)
        }
        document["deploymentId"] = .string(id)
        document["lastUpdatedDate"] = .timestamp(now)
        try RESTStageOperations.validate(document)
        try Item.put(.stage, stage, document, api: api, in: transaction)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let id = input["deploymentId"]?.string ?? ""
        let embeds = input["embed"]?.list?.contains { lowercased($0.string ?? "") == "apisummary" } ?? false
        let found = try await editor.read(request) { api, transaction in
            guard var document = try Item.find(.deployment, id, api: api.id, in: transaction) else {
                throw RESTError.noDeployment
            }
            if embeds {
                let resources = try Item.list(.resource, api: api.id, deployment: id, in: transaction)
                document["apiSummary"] = Self.summary(resources.map(\.document))
            }
            return document
        }
        return OperationResponse(found)
    }

    private static func summary(_ resources: [Value]) -> Value {
        var paths = Fields()
        for resource in resources {
            guard let path = resource["path"]?.string, let methods = resource["resourceMethods"]?.fields else {
                continue
            }
            paths[path] = .map(
                Fields(
                    methods.entries.map { entry in
                        (
                            entry.name,
                            [
                                "authorizationType": entry.value["authorizationType"] ?? "NONE",
                                "apiKeyRequired": entry.value["apiKeyRequired"] ?? false,
                            ]
                        )
                    }))
        }
        return .map(paths)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let paging = try RESTPaging(request.input)
        let rows = try await editor.read(request) { api, transaction in
            try Item.list(.deployment, api: api.id, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(paging.page(rows.map { ($0.id, $0.document) }))
    }

    private static let patches = PatchTable(style: .listing, rules: [.text("description")])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, operations) = (
            request.input["deploymentId"]?.string ?? "", try PatchOperation.read(request.input)
        )
        let made = try await editor.edit(request) { api, transaction in
            guard var document = try Item.find(.deployment, id, api: api.id, in: transaction) else {
                throw RESTError.noDeployment
            }
            try Self.patches.apply(operations, to: &document)
            try Item.put(.deployment, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["deploymentId"]?.string ?? ""
        try await editor.edit(request) { api, transaction in
            guard try Item.find(.deployment, id, api: api.id, in: transaction) != nil else {
                throw RESTError.noDeployment
            }
            let stages = try Item.list(.stage, api: api.id, in: transaction)
            guard !stages.contains(where: { $0.document["deploymentId"]?.string == id }) else {
                throw RESTError.bad("Active stages pointing to this deployment must be moved or deleted")
            }
            try Deployments.delete(id, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}

/// Stages of REST APIs.
struct RESTStageOperations: Sendable {
    let editor: RESTEditor

    /// A new stage's document.
    static func document(_ input: Value, _ now: Instant) throws(AWSError) -> Value {
        guard input["canarySettings"] == nil else { throw RESTError.missing("A canary release") }
        guard input["cacheClusterEnabled"]?.bool != true else { throw RESTError.missing("A stage's cache") }
        var document = input.picking([
            "stageName", "deploymentId", "description", "variables", "documentationVersion", "tags",
        ])
        document["cacheClusterEnabled"] = false
        document["cacheClusterStatus"] = "NOT_AVAILABLE"
        document["methodSettings"] = [:]
        document["tracingEnabled"] = input["tracingEnabled"] ?? false
        document["createdDate"] = .timestamp(now)
        document["lastUpdatedDate"] = .timestamp(now)
        if document["description"]?.string == "" { document["description"] = nil }
        if document["variables"]?.fields?.isEmpty == true { document["variables"] = nil }
        if document["tags"]?.fields?.isEmpty == true { document["tags"] = nil }
        try validate(document)
        return document
    }

    static func validate(_ document: Value) throws(AWSError) {
        let name = document["stageName"]?.string ?? ""
        guard (1...128).contains(name.utf8.count),
            name.utf8.allSatisfy({ PercentEncoding.isUnreserved($0) && $0 != 0x2E && $0 != 0x7E })
        else { throw RESTError.bad("Stage name only allows a-zA-Z0-9-_") }
        let variables = document["variables"]?.fields ?? Fields()
        guard variables.count <= Limits.stageVariables else { throw RESTError.bad("Too many stage variables") }
        for entry in variables.entries {
            let value = entry.value.string ?? ""
            guard (1...Limits.stageVariableName).contains(entry.name.utf8.count),
                entry.name.utf8.allSatisfy({ PercentEncoding.isUnreserved($0) && $0 != 0x2D && $0 != 0x7E }),
                value.utf8.count <= Limits.stageVariableValue
            else {
                throw RESTError.bad(
                    "Invalid stage variable name: \(entry.name.prefix(100)). Please use values with alphanumeric "
                        + "characters and the symbols ! - _ . :")
            }
        }
        if let tags = document["tags"]?.fields { try RESTTags.check(tags) }
        if let format = document["accessLogSettings"]?["format"]?.string, format.utf8.count > Limits.accessLogFormat {
            throw RESTError.bad("Access Log format is too long")
        }
    }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, now) = (request.input, request.context.now)
        try editor.checkVariables(request)
        let made = try await editor.edit(request) { api, transaction in
            let document = try Self.document(input, now)
            let name = document["stageName"]?.string ?? ""
            guard
                try Item.find(.deployment, document["deploymentId"]?.string ?? "", api: api.id, in: transaction) != nil
            else { throw RESTError.noDeployment }
            guard try Item.find(.stage, name, api: api.id, in: transaction) == nil else {
                throw RESTError.conflict("Stage already exists")
            }
            guard try Item.count(.stage, api: api.id, in: transaction) < RESTLimits.stages else {
                throw RESTError.tooMany("stages")
            }
            try Item.put(.stage, name, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let name = request.input["stageName"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request) { api, transaction in
                guard let found = try Item.find(.stage, name, api: api.id, in: transaction) else {
                    throw RESTError.noStage
                }
                return found
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let deployment = request.input["deploymentId"]?.string
        let rows = try await editor.read(request) { api, transaction in
            try Item.list(.stage, api: api.id, in: transaction)
        }
        let stages = rows.map(\.document).filter {
            deployment == nil || $0["deploymentId"]?.string == deployment
        }
        return OperationResponse(["item": .list(stages)])
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let name = request.input["stageName"]?.string ?? ""
        try await editor.edit(request) { api, transaction in
            guard try Item.find(.stage, name, api: api.id, in: transaction) != nil else { throw RESTError.noStage }
            let plans = try Owned.list(.usagePlan, api.scope, in: transaction)
            guard !plans.contains(where: { UsagePlans.names($0.document, api: api.id, stage: name) }) else {
                throw RESTError.bad(
                    "Cannot delete stage '\(name)' as it is associated with a usage plan. Please remove it from the usage "
                        + "plan first.")
            }
            try Item.delete(.stage, name, api: api.id, in: transaction)
        }
        return OperationResponse()
    }

    func flushAuthorizers(_ request: OperationRequest) async throws -> OperationResponse {
        let name = request.input["stageName"]?.string ?? ""
        let answers = editor.answers
        try await editor.edit(request) { api, transaction in
            guard try Item.find(.stage, name, api: api.id, in: transaction) != nil else { throw RESTError.noStage }
            transaction.afterCommit { answers.forget(api: api.id, stage: name) }
        }
        return OperationResponse()
    }

    /// There is no cache of answers: nothing to flush, which is what AWS says of a stage without one, too.
    func flushCache(_ request: OperationRequest) async throws -> OperationResponse {
        _ = try await get(request)
        return OperationResponse()
    }

    // MARK: Patches

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (name, now) = (request.input["stageName"]?.string ?? "", request.context.now)
        try editor.checkVariables(request)
        let operations = try PatchOperation.read(request.input)
        let made = try await editor.edit(request) { api, transaction in
            guard var document = try Item.find(.stage, name, api: api.id, in: transaction) else {
                throw RESTError.noStage
            }
            for patch in operations { try StagePatch.apply(patch, to: &document) }
            if let id = document["deploymentId"]?.string,
                try Item.find(.deployment, id, api: api.id, in: transaction) == nil
            {
                throw RESTError.bad("Deployment id does not exist")
            }
            document["lastUpdatedDate"] = .timestamp(now)
            try Self.validate(document)
            try Item.put(.stage, name, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }
}

/// What a patch may change of a stage.
enum StagePatch {
    private static let table = PatchTable(
        style: .plain,
        rules: [
            .text("deploymentId"), .text("description"), .truth("tracingEnabled"), .entries("variables"),
            .text("documentationVersion", [.replace, .remove]), .text("clientCertificateId", [.replace, .remove]),
            .custom("/cacheClusterEnabled", [.replace]) { _, patch in
                if patch.truth { throw RESTError.missing("A stage's cache") }
            },
            .custom("/accessLogSettings", [.remove]) { document, _ in document["accessLogSettings"] = nil },
            .custom("/accessLogSettings/destinationArn", [.replace, .add]) { document, patch in
                document["accessLogSettings"] = (document["accessLogSettings"] ?? [:]).merging(
                    ["destinationArn": .string(patch.value ?? "")], ["destinationArn"])
            },
            .custom("/accessLogSettings/format", [.replace, .add]) { document, patch in
                document["accessLogSettings"] = (document["accessLogSettings"] ?? [:]).merging(
                    ["format": .string(patch.value ?? "")], ["format"])
            },
        ])

    private static let settings = [
        "metrics/enabled": "metricsEnabled", "logging/loglevel": "loggingLevel",
        "logging/dataTrace": "dataTraceEnabled",
        "throttling/burstLimit": "throttlingBurstLimit", "throttling/rateLimit": "throttlingRateLimit",
        "caching/enabled": "cachingEnabled", "caching/ttlInSeconds": "cacheTtlInSeconds",
        "caching/dataEncrypted": "cacheDataEncrypted",
        "caching/requireAuthorizationForCacheControl": "requireAuthorizationForCacheControl",
        "caching/unauthorizedCacheControlHeaderStrategy": "unauthorizedCacheControlHeaderStrategy",
    ]

    private static let usual: Value = [
        "metricsEnabled": false, "loggingLevel": "OFF", "dataTraceEnabled": false, "throttlingBurstLimit": -1,
        "throttlingRateLimit": -1.0, "cachingEnabled": false, "cacheTtlInSeconds": 300, "cacheDataEncrypted": false,
        "requireAuthorizationForCacheControl": true,
        "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
    ]

    static func apply(_ patch: PatchOperation, to document: inout Value) throws {
        let segments = patch.segments
        if table.rules.contains(where: { $0.fits(segments) }) { return try table.apply([patch], to: &document) }
        if segments.first == "canarySettings" { throw RESTError.missing("A canary release") }
        // `/{resource}/{method}/…`, where a whole setting may be removed by its first two.
        if segments.count == 2, patch.verb == .remove, segments[0] != "variables" {
            document["methodSettings"]?[key(segments)] = nil
            return
        }
        guard segments.count == 4, let name = settings[segments[2] + "/" + segments[3]], patch.verb != .remove else {
            throw RESTError.bad("Invalid method setting path: \(patch.path). Must be one of: \(paths)")
        }
        var all = document["methodSettings"]?.fields ?? Fields()
        guard all.count < RESTLimits.resources * 8 else { throw RESTError.bad("Too many method settings") }
        var setting = all[key(segments)] ?? usual
        setting[name] = try value(name, patch)
        all[key(segments)] = setting
        document["methodSettings"] = .map(all)
    }

    /// `pets/{id}/GET`; `*/*` for all.
    private static func key(_ segments: [String]) -> String {
        let resource = segments[0].hasPrefix("/") ? String(segments[0].dropFirst()) : segments[0]
        return resource + "/" + segments[1]
    }

    private static func value(_ name: String, _ patch: PatchOperation) throws(AWSError) -> Value {
        let text = patch.value ?? ""
        let invalid = RESTError.bad("Invalid value for \(name): \(text.prefix(100))")
        switch name {
        case "throttlingBurstLimit", "cacheTtlInSeconds":
            guard let number = Int64(text), (-1...1_000_000).contains(number) else { throw invalid }
            return .int(number)
        case "throttlingRateLimit":
            guard let number = Double(text), number.isFinite, (-1...1_000_000).contains(number) else { throw invalid }
            return .double(number)
        case "loggingLevel":
            guard ["OFF", "ERROR", "INFO"].contains(text) else { throw invalid }
            return .string(text)
        case "unauthorizedCacheControlHeaderStrategy": return .string(text)
        default: return .bool(patch.truth)
        }
    }

    /// As AWS writes it, with the commas that it leaves out.
    private static let paths =
        "[/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, "
        + "/accessLogSettings, /accessLogSettings/destinationArn, /accessLogSettings/format, "
        + each("/{resourcePath}/{httpMethod}", ["", ""]) + ", " + each("/*/*", [" ", " "])
        + ", /variables/{variable_name}, /tracingEnabled]"

    private static func each(_ start: String, _ gaps: [String]) -> String {
        "\(start)/metrics/enabled, \(start)/logging/dataTrace, \(start)/logging/loglevel, \(start)/throttling/burstLimit"
            + gaps[0] + "\(start)/throttling/rateLimit" + gaps[1] + "\(start)/caching/ttlInSeconds, "
            + [
                "enabled", "dataEncrypted", "requireAuthorizationForCacheControl",
                "unauthorizedCacheControlHeaderStrategy",
            ]
            .map { "\(start)/caching/\($0)" }.joined(separator: ", ")
    }
}
