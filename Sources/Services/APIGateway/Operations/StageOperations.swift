import Contracts
import Platform
import Storage
import Wire

struct StageOperations: Sendable {
    let editor: Editor

    private static let members = [
        "AccessLogSettings", "AutoDeploy", "ClientCertificateId", "DefaultRouteSettings", "DeploymentId", "Description",
    ]

    /// A new stage.
    static func document(name: String, _ input: Value, now: Instant) -> Value {
        var document: Value = [
            "AutoDeploy": false, "DefaultRouteSettings": ["DetailedMetricsEnabled": false], "RouteSettings": [:],
            "StageVariables": [:], "Tags": [:],
        ]
        document = document.merging(input, members + ["RouteSettings", "StageVariables", "Tags"])
        dropEmptyLog(&document)
        document["StageName"] = .string(name)
        document["CreatedDate"] = .timestamp(now)
        document["LastUpdatedDate"] = .timestamp(now)
        return document
    }

    /// Settings without members are none: so Terraform takes the log away.
    private static func dropEmptyLog(_ document: inout Value) {
        if document["AccessLogSettings"]?.fields?.isEmpty == true { document["AccessLogSettings"] = nil }
    }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, now) = (request.input, request.context.now)
        let name = input["StageName"]?.string ?? ""
        guard Self.isName(name) else {
            throw GatewayError.bad(
                "Stage name only allows alphanumeric, hyphens, and underscores characters, or the string \"$default\"")
        }
        _ = try Tags.of(input)
        try editor.checkVariables(request)
        let document = Self.document(name: name, input, now: now)
        let made = try await editor.edit(input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            try Self.validate(document, api)
            guard try Item.count(.stage, api: api.id, in: transaction) < Limits.stages else {
                throw GatewayError.tooMany("Stage", Limits.stages)
            }
            guard try Item.find(.stage, name, api: api.id, in: transaction) == nil else {
                throw GatewayError.conflict("Stage already exists")
            }
            try Self.checkDeployment(document, api: api.id, in: transaction)
            try Item.put(.stage, name, document, api: api.id, in: transaction)
            if document["AutoDeploy"]?.bool == true {
                try Deployments.deployAutomatically(api: api.id, now: now, in: transaction)
            }
            return try Item.require(.stage, name, api: api.id, in: transaction)
        }
        return OperationResponse(made)
    }

    static func isName(_ name: String) -> Bool {
        name == CompiledAPI.defaultStage
            || (1...128).contains(name.utf8.count)
                && name.utf8.allSatisfy { PercentEncoding.isUnreserved($0) && $0 != 0x2E && $0 != 0x7E }
    }

    private static func validate(_ document: Value, _ api: APIRow) throws(AWSError) {
        let isSocket = api.proto == SocketRules.proto
        if isSocket, document["StageName"]?.string == CompiledAPI.defaultStage {
            throw GatewayError.bad("Stage name only allows alphanumeric, hyphens, and underscores characters")
        }
        let variables = document["StageVariables"]?.fields?.entries ?? []
        guard variables.count <= Limits.stageVariables else {
            throw GatewayError.bad("A stage can have at most \(Limits.stageVariables) stage variables")
        }
        for entry in variables {
            let value = entry.value.string ?? ""
            guard entry.name.utf8.count <= Limits.stageVariableName, !entry.name.isEmpty,
                entry.name.utf8.allSatisfy({ PercentEncoding.isUnreserved($0) && $0 != 0x2D && $0 != 0x7E })
            else { throw GatewayError.bad("Stage variable name \(entry.name.prefix(64)) is invalid") }
            guard value.utf8.count <= Limits.stageVariableValue, value.utf8.allSatisfy(isVariableByte) else {
                throw GatewayError.bad(
                    "Stage variable value for \(entry.name) is invalid. Please use values with alphanumeric "
                        + "characters and the symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','.")
            }
        }
        let settings =
            [document["DefaultRouteSettings"]].compactMap { $0 }
            + (document["RouteSettings"]?.fields?.entries.map(\.value) ?? [])
        for setting in settings.map({ V2Model.RouteSettings($0) })
        where !isSocket && (setting.dataTraceEnabled == true || setting.loggingLevel ?? "OFF" != "OFF") {
            throw GatewayError.bad("Execution logs are not supported on protocolType HTTP")
        }
        if let log = document["AccessLogSettings"] {
            let settings = V2Model.AccessLogSettings(log)
            guard let format = settings.format, !format.isEmpty else {
                throw GatewayError.bad("AccessLogFormat must be set when AccessLogSettings are given")
            }
            guard format.utf8.count <= Limits.accessLogFormat else {
                throw GatewayError.bad("The access log format is longer than \(Limits.accessLogFormat) bytes")
            }
            guard format.contains("$context.requestId") || format.contains("$context.extendedRequestId") else {
                throw GatewayError.bad(
                    "AccessLogFormat must include at least $context.requestId or $context.extendedRequestId")
            }
            guard !format.utf8.contains(0x0A) else { throw GatewayError.bad("AccessLogFormat must be single line") }
            guard let arn = settings.destinationArn.flatMap({ ARN($0) }), arn.service == "logs",
                arn.resource.hasPrefix("log-group:")
            else { throw GatewayError.bad("Invalid ARN specified for AccessLogSettings.DestinationArn") }
        }
    }

    /// Letters, digits and some marks; `${}` and others have a meaning elsewhere.
    private static func isVariableByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: " -._~:/?#&=,".utf8.contains(byte)
        }
    }

    private static func checkDeployment(_ document: Value, api: String, in transaction: any ReadTransaction) throws {
        guard let id = document["DeploymentId"]?.string else { return }
        _ = try Item.require(.deployment, id, api: api, in: transaction)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let name = request.input["StageName"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request.input["ApiId"]?.string, request.context) { api, transaction in
                try Item.require(.stage, name, api: api.id, in: transaction)
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.list(.stage, request)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, now) = (request.input, request.context.now)
        try editor.checkVariables(request)
        return try await change(request) { stage, api, transaction in
            let wasAutomatic = stage["AutoDeploy"]?.bool == true
            var document = stage.merging(input, Self.members)
                .mergingMap("StageVariables", input).mergingMap("RouteSettings", input)
            let isAutomatic = document["AutoDeploy"]?.bool == true
            if isAutomatic, let asked = input["DeploymentId"]?.string, asked != stage["DeploymentId"]?.string {
                throw GatewayError.bad("Deployment ID cannot be set on stages with AutoDeploy enabled")
            }
            if let settings = input["DefaultRouteSettings"]?.fields {
                var known = stage["DefaultRouteSettings"]?.fields ?? Fields()
                for entry in settings.entries { known[entry.name] = entry.value }
                document["DefaultRouteSettings"] = .map(known)
            }
            Self.dropEmptyLog(&document)
            try Self.validate(document, api)
            try Self.checkDeployment(document, api: api.id, in: transaction)
            document["LastUpdatedDate"] = .timestamp(now)
            return (document, isAutomatic && !wasAutomatic)
        }
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let name = request.input["StageName"]?.string ?? ""
        try await editor.edit(request.input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            _ = try Item.require(.stage, name, api: api.id, in: transaction)
            try Item.delete(.stage, name, api: api.id, in: transaction)
            editor.closeSockets(of: api.id, stage: name, after: transaction)
        }
        return OperationResponse()
    }

    func deleteAccessLog(_ request: OperationRequest) async throws -> OperationResponse {
        _ = try await change(request) { stage, _, _ in
            var document = stage
            document["AccessLogSettings"] = nil
            return (document, false)
        }
        return OperationResponse()
    }

    func deleteRouteSettings(_ request: OperationRequest) async throws -> OperationResponse {
        let key = request.input["RouteKey"]?.string ?? ""
        _ = try await change(request) { stage, _, _ in
            guard var settings = stage["RouteSettings"]?.fields, settings[key] != nil else {
                throw AWSError("NotFoundException", status: 404, "Invalid Route Settings identifier specified")
            }
            var document = stage
            settings[key] = nil
            document["RouteSettings"] = .map(settings)
            return (document, false)
        }
        return OperationResponse()
    }

    /// Stores what `body` makes of the stage; and deploys it when `body` says so.
    private func change(
        _ request: OperationRequest,
        _ body: @escaping @Sendable (Value, APIRow, any WriteTransaction) throws -> (Value, deploys: Bool)
    ) async throws -> OperationResponse {
        let (name, now) = (request.input["StageName"]?.string ?? "", request.context.now)
        let made = try await editor.edit(request.input["ApiId"]?.string, request.context, deploys: false) {
            api, transaction in
            let stage = try Item.require(.stage, name, api: api.id, in: transaction)
            let (document, deploys) = try body(stage, api, transaction)
            try Item.put(.stage, name, document, api: api.id, in: transaction)
            if deploys { try Deployments.deployAutomatically(api: api.id, now: now, in: transaction) }
            return try Item.require(.stage, name, api: api.id, in: transaction)
        }
        return OperationResponse(made)
    }
}
