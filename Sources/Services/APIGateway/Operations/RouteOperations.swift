import Contracts
import Platform
import Storage
import Wire

struct RouteOperations: Sendable {
    let editor: Editor

    private static let members = [
        "ApiKeyRequired", "AuthorizationScopes", "AuthorizationType", "AuthorizerId", "ModelSelectionExpression",
        "OperationName", "RequestModels", "RequestParameters", "RouteKey", "RouteResponseSelectionExpression", "Target",
    ]

    static let badKey = GatewayError.bad(
        "The provided route key is not formatted properly for HTTP protocol. Format should be "
            + "\"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\"")

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let id = ResourceID.item()
        let document = try await editor.edit(input["ApiId"]?.string, request.context) { api, transaction in
            guard try Item.count(.route, api: api.id, in: transaction) < Limits.routes else {
                throw GatewayError.tooMany("Route", Limits.routes)
            }
            var document: Value = ["ApiKeyRequired": false, "AuthorizationType": "NONE"]
            document = document.merging(input, Self.members)
            document["RouteId"] = .string(id)
            try Self.put(document, id, api: api, in: transaction)
            return document
        }
        return OperationResponse(document)
    }

    /// Checks a route against what the API has, and stores it.
    static func put(_ given: Value, _ id: String, api row: APIRow, in transaction: any WriteTransaction) throws {
        try check(given, api: row, in: transaction)
        let key = given["RouteKey"]?.string ?? ""
        for other in try Item.list(.route, api: row.id, in: transaction)
        where other.id != id && other.document["RouteKey"]?.string == key {
            throw GatewayError.conflict("Route with key \(key) already exists for this API")
        }
        try Item.put(.route, id, given, api: row.id, in: transaction)
    }

    private static let types = MemberTypes(
        truths: ["ApiKeyRequired", "ApiGatewayManaged"], lists: ["AuthorizationScopes"], maps: ["RequestModels"],
        others: ["RequestParameters"])

    /// Checks a route against what the API has, but for its key among those of others.
    static func check(_ given: Value, api row: APIRow, in transaction: any ReadTransaction) throws {
        let (route, api, isSocket) = (V2Model.Route(given), row.id, row.proto == SocketRules.proto)
        if let problem = types.problem(of: given) { throw GatewayError.bad(problem) }
        if isSocket { try SocketRules.validate(route: given) }
        guard let key = route.routeKey, isSocket || RouteKey(key) != nil else { throw badKey }
        guard (1...Limits.operationName).contains(route.operationName?.utf8.count ?? 1) else {
            throw GatewayError.bad("OperationName must be between 1 and \(Limits.operationName) characters")
        }
        if let target = route.target {
            guard target.hasPrefix("integrations/") else {
                throw GatewayError.bad("Target must be of the form \"integrations/<INTEGRATION ID>\"")
            }
            _ = try Item.require(.integration, String(target.dropFirst(13)), api: api, in: transaction)
        }
        if route.apiKeyRequired == true {
            throw GatewayError.bad("apiKeyRequired is not currently supported for HTTP APIs")
        }
        try checkAuthorization(route, api: api, in: transaction)
    }

    private static func checkAuthorization(
        _ route: V2Model.Route, api: String, in transaction: any ReadTransaction
    ) throws {
        let type = route.authorizationType ?? "NONE"
        let scopes = route.authorizationScopes ?? []
        guard scopes.isEmpty || type == "JWT" else {
            throw GatewayError.bad("AuthorizationScopes are supported only for the JWT authorization type")
        }
        guard scopes.count <= Limits.scopes else {
            throw GatewayError.bad("A route can have at most \(Limits.scopes) authorization scopes")
        }
        guard type == "JWT" || type == "CUSTOM" else {
            guard route.authorizerId == nil else {
                throw GatewayError.bad("Authorizer type should be set to CUSTOM or JWT when an authorizer is given")
            }
            return
        }
        guard let id = route.authorizerId else {
            throw GatewayError.bad("AuthorizerId must be given for the authorization type \(type)")
        }
        let authorizer = try Item.require(.authorizer, id, api: api, in: transaction)
        let expected = type == "JWT" ? "JWT" : "REQUEST"
        guard authorizer["AuthorizerType"]?.string == expected else {
            throw GatewayError.bad("The authorizer \(id) is not of the type that \(type) needs")
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["RouteId"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request.input["ApiId"]?.string, request.context) { api, transaction in
                try Item.require(.route, id, api: api.id, in: transaction)
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.list(.route, request)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let id = input["RouteId"]?.string ?? ""
        let document = try await editor.edit(input["ApiId"]?.string, request.context) { api, transaction in
            var document = try Item.require(.route, id, api: api.id, in: transaction).merging(input, Self.members)
            // Without an authorizer there is none to name.
            if let type = input["AuthorizationType"]?.string, type == "NONE" || type == "AWS_IAM" {
                document["AuthorizerId"] = nil
                document["AuthorizationScopes"] = nil
            }
            if input["AuthorizationType"]?.string == "CUSTOM" { document["AuthorizationScopes"] = nil }
            try Self.put(document, id, api: api, in: transaction)
            return document
        }
        return OperationResponse(document)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["RouteId"]?.string ?? ""
        try await editor.edit(request.input["ApiId"]?.string, request.context) { api, transaction in
            _ = try Item.require(.route, id, api: api.id, in: transaction)
            try Item.delete(.route, id, api: api.id, in: transaction)
            try Item.delete(.routeResponse, prefix: id + "/", api: api.id, in: transaction)
        }
        return OperationResponse()
    }

    func deleteRequestParameter(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, name) = (request.input["RouteId"]?.string ?? "", request.input["RequestParameterKey"]?.string ?? "")
        try await editor.edit(request.input["ApiId"]?.string, request.context) { api, transaction in
            var document = try Item.require(.route, id, api: api.id, in: transaction)
            guard var parameters = document["RequestParameters"]?.fields, parameters[name] != nil else {
                throw AWSError("NotFoundException", status: 404, "Invalid Request Parameter identifier specified")
            }
            parameters[name] = nil
            document["RequestParameters"] = parameters.isEmpty ? nil : .map(parameters)
            try Item.put(.route, id, document, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}

extension Editor {
    /// A page of items of one kind.
    func list(_ kind: ItemKind, _ request: OperationRequest, prefix: String = "") async throws -> OperationResponse {
        let paging = try Paging(request.input)
        let items = try await read(request.input["ApiId"]?.string, request.context) { api, transaction in
            try Item.list(
                kind, api: api.id, prefix: prefix, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(paging.page(items.map { ($0.id, $0.document) }))
    }
}
