import Contracts
import Platform
import Storage
import Wire

/// Models: kept and given back; HTTP APIs do not check requests against them, here as on AWS.
struct ModelOperations: Sendable {
    let editor: Editor

    private static let members = ["ContentType", "Description", "Name", "Schema"]

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let id = ResourceID.item()
        var document = (["ContentType": "application/json"] as Value).merging(request.input, Self.members)
        document["ModelId"] = .string(id)
        try Self.validate(document)
        let made = document
        try await editor.edit(request.input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            guard try Item.count(.model, api: api.id, in: transaction) < Limits.models else {
                throw GatewayError.tooMany("Model", Limits.models)
            }
            try Self.checkName(made, id, api: api.id, in: transaction)
            try Item.put(.model, id, made, api: api.id, in: transaction)
        }
        return OperationResponse(made)
    }

    private static func validate(_ document: Value) throws(AWSError) {
        let model = V2Model.Model(document)
        guard let name = model.name, (1...128).contains(name.utf8.count),
            name.utf8.allSatisfy({ PercentEncoding.isUnreserved($0) && $0 > 0x2E && $0 != 0x5F && $0 != 0x7E })
        else { throw GatewayError.bad("Model name must be alphanumeric") }
        guard let schema = model.schema, schema.utf8.count <= 32 << 10, (try? JSON.parse(schema))?.fields != nil else {
            throw GatewayError.bad("Model schema must be a valid JSON object")
        }
    }

    private static func checkName(
        _ document: Value, _ id: String, api: String, in transaction: any ReadTransaction
    ) throws {
        let name = document["Name"]?.string
        for other in try Item.list(.model, api: api, in: transaction)
        where other.id != id && other.document["Name"]?.string == name {
            throw GatewayError.conflict("Model name already exists for this API")
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["ModelId"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request.input["ApiId"]?.string, request.context) { api, transaction in
                try Item.require(.model, id, api: api.id, in: transaction)
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.list(.model, request)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let id = input["ModelId"]?.string ?? ""
        let made = try await editor.edit(input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            let document = try Item.require(.model, id, api: api.id, in: transaction).merging(input, Self.members)
            try Self.validate(document)
            try Self.checkName(document, id, api: api.id, in: transaction)
            try Item.put(.model, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["ModelId"]?.string ?? ""
        try await editor.edit(request.input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            _ = try Item.require(.model, id, api: api.id, in: transaction)
            try Item.delete(.model, id, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}

/// Tags of APIs and stages.
struct Tags: Sendable {
    let editor: Editor

    /// The tags of a request that creates something; nil when it has none.
    static func of(_ input: Value) throws(AWSError) -> Value? {
        guard let tags = input["Tags"]?.fields else { return nil }
        try check(tags)
        return .map(tags)
    }

    private static func check(_ tags: Fields) throws(AWSError) {
        guard tags.count <= Limits.tags else {
            throw GatewayError.bad("A resource can have at most \(Limits.tags) tags")
        }
        for entry in tags.entries {
            guard (1...128).contains(entry.name.utf8.count), (entry.value.string ?? "").utf8.count <= 256,
                !lowercased(entry.name).hasPrefix("aws:")
            else { throw GatewayError.bad("Invalid tag key or value: \(entry.name.prefix(128))") }
        }
    }

    /// `arn:aws:apigateway:us-east-1::/apis/ID`, with `/stages/NAME` behind it.
    private static func target(_ input: Value, _ context: OperationContext) throws(AWSError) -> (
        api: String, stage: String?
    ) {
        let text = input["ResourceArn"]?.string ?? ""
        guard let arn = ARN(text), arn.service == "apigateway", arn.region == context.scope.region else {
            throw GatewayError.bad("Invalid resource ARN specified in the request")
        }
        let parts = arn.resource.split(separator: "/").map(String.init)
        guard parts.first == "apis" || parts.first == "v2" && parts.dropFirst().first == "apis" else {
            throw GatewayError.bad("Invalid resource ARN specified in the request")
        }
        let rest = Array(parts.drop { $0 == "v2" }.dropFirst())
        switch rest.count {
        case 1: return (rest[0], nil)
        case 3 where rest[1] == "stages": return (rest[0], rest[2])
        default: throw GatewayError.bad("Invalid resource ARN specified in the request")
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let target = try Self.target(request.input, request.context)
        let tags = try await editor.read(target.api, request.context) { api, transaction in
            guard let stage = target.stage else { return api.document["Tags"] ?? [:] }
            return try Item.require(.stage, stage, api: api.id, in: transaction)["Tags"] ?? [:]
        }
        return OperationResponse(["Tags": tags])
    }

    func tag(_ request: OperationRequest) async throws -> OperationResponse {
        let changes = request.input["Tags"]?.fields ?? Fields()
        try await change(request) { tags throws(AWSError) in
            for entry in changes.entries { tags[entry.name] = entry.value }
            try Self.check(tags)
        }
        return OperationResponse()
    }

    func untag(_ request: OperationRequest) async throws -> OperationResponse {
        let keys = request.input["TagKeys"]?.list?.compactMap(\.string) ?? []
        try await change(request) { tags throws(AWSError) in
            for key in keys { tags[key] = nil }
        }
        return OperationResponse()
    }

    private func change(
        _ request: OperationRequest, _ body: @escaping @Sendable (inout Fields) throws(AWSError) -> Void
    ) async throws {
        let target = try Self.target(request.input, request.context)
        try await editor.edit(target.api, request.context, deploys: false) { api, transaction in
            if let stage = target.stage {
                var document = try Item.require(.stage, stage, api: api.id, in: transaction)
                var tags = document["Tags"]?.fields ?? Fields()
                try body(&tags)
                document["Tags"] = .map(tags)
                try Item.put(.stage, stage, document, api: api.id, in: transaction)
            } else {
                var row = api
                var tags = row.document["Tags"]?.fields ?? Fields()
                try body(&tags)
                row.document["Tags"] = .map(tags)
                try row.update(in: transaction)
            }
        }
    }
}
