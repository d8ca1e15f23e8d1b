import Contracts
import Platform
import Storage
import Wire

/// Route responses, which make a route answer its client, and integration responses, which are kept and given back. Both are
/// parts of one thing of the API.
struct ResponseOperations: Sendable {
    /// What they are parts of, and how the model names it.
    struct Family: Sendable {
        var kind: ItemKind
        var owner: ItemKind
        var ownerMember: String
        var idMember: String
        var keyMember: String
        var members: [String]

        static let route = Family(
            kind: .routeResponse, owner: .route, ownerMember: "RouteId", idMember: "RouteResponseId",
            keyMember: "RouteResponseKey",
            members: ["ModelSelectionExpression", "ResponseModels", "ResponseParameters", "RouteResponseKey"])
        static let integration = Family(
            kind: .integrationResponse, owner: .integration, ownerMember: "IntegrationId",
            idMember: "IntegrationResponseId", keyMember: "IntegrationResponseKey",
            members: [
                "ContentHandlingStrategy", "IntegrationResponseKey", "ResponseParameters", "ResponseTemplates",
                "TemplateSelectionExpression",
            ])
    }

    let editor: Editor
    let family: Family

    private func validate(_ document: Value) throws(AWSError) {
        let key = document[family.keyMember]?.string ?? ""
        guard (1...Limits.routeKey).contains(key.utf8.count) else {
            throw GatewayError.bad("\(family.keyMember) is a required parameter")
        }
        if family.kind == .routeResponse, key != "$default" {
            throw GatewayError.bad("Invalid route response key specified")
        }
    }

    private func requireSocket(_ api: APIRow) throws(AWSError) {
        guard api.proto == SocketRules.proto else {
            throw GatewayError.bad("\(family.kind.name) is only supported for WEBSOCKET protocol")
        }
    }

    /// Throws `NotFoundException`.
    private func owner(_ input: Value, _ api: APIRow, _ transaction: any ReadTransaction) throws -> String {
        let id = input[family.ownerMember]?.string ?? ""
        _ = try Item.require(family.owner, id, api: api.id, in: transaction)
        return id
    }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let id = ResourceID.item()
        var document = input.picking(family.members)
        document[family.idMember] = .string(id)
        try validate(document)
        let made = document
        try await editor.edit(input["ApiId"]?.string, request.context) { api, transaction in
            try requireSocket(api)
            let prefix = try owner(input, api, transaction) + "/"
            let others = try Item.list(family.kind, api: api.id, prefix: prefix, in: transaction)
            guard others.count < Limits.responses else {
                throw GatewayError.tooMany(family.kind.name, Limits.responses)
            }
            let key = made[family.keyMember]?.string
            guard !others.contains(where: { $0.document[family.keyMember]?.string == key }) else {
                throw GatewayError.conflict("\(family.kind.name) with key \(key ?? "") already exists")
            }
            try Item.put(family.kind, prefix + id, made, api: api.id, in: transaction)
        }
        return OperationResponse(made)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        return OperationResponse(
            try await editor.read(input["ApiId"]?.string, request.context) { api, transaction in
                let prefix = try owner(input, api, transaction) + "/"
                return try Item.require(
                    family.kind, prefix + (input[family.idMember]?.string ?? ""), api: api.id, in: transaction)
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        try await editor.read(input["ApiId"]?.string, request.context) { api, transaction in
            _ = try owner(input, api, transaction)
        }
        return try await editor.list(family.kind, request, prefix: (input[family.ownerMember]?.string ?? "") + "/")
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let document = try await editor.edit(input["ApiId"]?.string, request.context) { api, transaction in
            let id = try owner(input, api, transaction) + "/" + (input[family.idMember]?.string ?? "")
            let document = try Item.require(family.kind, id, api: api.id, in: transaction)
                .merging(input, family.members)
            try validate(document)
            try Item.put(family.kind, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(document)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        try await editor.edit(input["ApiId"]?.string, request.context) { api, transaction in
            let id = try owner(input, api, transaction) + "/" + (input[family.idMember]?.string ?? "")
            _ = try Item.require(family.kind, id, api: api.id, in: transaction)
            try Item.delete(family.kind, id, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}
