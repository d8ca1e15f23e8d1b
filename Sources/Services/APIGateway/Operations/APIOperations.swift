import Contracts
import Platform
import Storage
import Wire

struct APIOperations: Sendable {
    let editor: Editor

    static let members = [
        "ApiKeySelectionExpression", "CorsConfiguration", "Description", "DisableExecuteApiEndpoint",
        "DisableSchemaValidation", "IpAddressType", "Name", "RouteSelectionExpression", "Version",
    ]

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        let asked = V2Model.CreateApiRequest(input)
        let isSocket = asked.protocolType == SocketRules.proto
        if isSocket { try SocketRules.validate(api: input, isNew: true) }
        if asked.routeKey != nil || asked.credentialsArn != nil, asked.target == nil {
            throw GatewayError.bad("Target must be specified with RouteKey or CredentialsArn")
        }
        try Self.validate(input, isSocket: isSocket)
        var document = (isSocket ? SocketRules.defaults : Self.defaults).merging(input, Self.members)
        Self.dropEmptyCORS(&document)
        document["ProtocolType"] = .string(asked.protocolType ?? "HTTP")
        document["CreatedDate"] = .timestamp(context.now)
        if let tags = try Tags.of(input) { document["Tags"] = tags }
        let quick = try asked.target.map { try QuickCreate(target: $0, asked, editor, context) }
        let row = APIRow(
            id: ResourceID.api(), scope: context.scope, proto: isSocket ? SocketRules.proto : "HTTP", document: document
        )
        let now = context.now
        try await editor.database.write { transaction in
            guard try APIRow.count(row.scope, in: transaction) < Limits.apis else {
                throw GatewayError.tooMany("Api", Limits.apis)
            }
            try row.insert(created: now, in: transaction)
            try Self.keepCORS(of: row, in: transaction)
            if let quick { try quick.make(in: row, now: now, transaction) }
        }
        return OperationResponse(Self.shape(row, context))
    }

    /// What an API has without being asked.
    static let defaults: Value = [
        "ApiKeySelectionExpression": "$request.header.x-api-key", "DisableExecuteApiEndpoint": false,
        "IpAddressType": "ipv4", "RouteSelectionExpression": "${request.method} ${request.path}",
    ]

    static func validate(_ input: Value, isSocket: Bool = false) throws(AWSError) {
        if let name = input["Name"]?.string, !(1...128).contains(name.utf8.count) {
            throw GatewayError.bad("Name must be between 1 and 128 characters")
        }
        if let text = input["Description"]?.string, text.utf8.count > 1024 {
            throw GatewayError.bad("Description must be at most 1024 characters")
        }
        if !isSocket, let text = input["RouteSelectionExpression"]?.string,
            !["${request.method} ${request.path}", "$request.method $request.path"].contains(text)
        {
            throw GatewayError.bad(
                "The route selection expression is not valid for HTTP protocol. It must be "
                    + "\"${request.method} ${request.path}\"")
        }
        if let cors = input["CorsConfiguration"] { try validate(cors: cors) }
    }

    private static func validate(cors: Value) throws(AWSError) {
        let policy = Compiler.cors(cors)
        if policy.allowsCredentials, policy.origins.contains("*") {
            // AWS's words, as its users report them (aws/aws-cdk#9076).
            throw GatewayError.bad("allow-credentials is not supported if 'allow-origin' is *")
        }
        for text in policy.headers + policy.exposed + policy.methods + policy.origins {
            guard ProxyAnswer.isHeader("x", text), text.utf8.count <= 1024 else {
                throw GatewayError.bad("Invalid value in CorsConfiguration")
            }
        }
        let known = Set(RouteKey.methods + ["*"]).subtracting(["ANY"])
        for method in policy.methods where !known.contains(method) {
            throw GatewayError.bad("Invalid method in allowMethods: \(method)")
        }
    }

    /// Settings without members are none: so Terraform takes them away.
    static func dropEmptyCORS(_ document: inout Value) {
        if document["CorsConfiguration"]?.fields?.isEmpty == true { document["CorsConfiguration"] = nil }
    }

    /// The settings as deployments copy them.
    static func keepCORS(of row: APIRow, in transaction: any WriteTransaction) throws {
        if let cors = row.document["CorsConfiguration"] {
            try Item.put(.cors, "cors", cors, api: row.id, in: transaction)
        } else {
            try Item.delete(.cors, "cors", api: row.id, in: transaction)
        }
    }

    static func shape(_ row: APIRow, _ context: OperationContext) -> Value {
        var output = row.document
        output["ApiId"] = .string(row.id)
        output["ApiEndpoint"] = .string(endpoint(row.id, context, isSocket: row.proto == SocketRules.proto))
        return output
    }

    /// A URL of this server by which the API answers: names below `localhost` are this machine (RFC 6761).
    static func endpoint(_ id: String, _ context: OperationContext, isSocket: Bool = false) -> String {
        let isSecure = context.endpoint.hasPrefix("https://")
        let port = ProxyRequest.port(of: context.endpoint, isSecure: isSecure)
        return "\(isSocket ? "ws" : "http")\(isSecure ? "s" : "")://\(id).execute-api.localhost:\(port)"
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let row = try await editor.read(request.input["ApiId"]?.string, request.context) { api, _ in api }
        return OperationResponse(Self.shape(row, request.context))
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let paging = try Paging(request.input)
        let context = request.context
        let rows = try await editor.database.read { transaction in
            try APIRow.list(context.scope, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(paging.page(rows.map { ($0.id, Self.shape($0, context)) }))
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        let isSocket = try await editor.isSocket(input["ApiId"]?.string, context)
        if isSocket { try SocketRules.validate(api: input, isNew: false) }
        try Self.validate(input, isSocket: isSocket)
        let asked = V2Model.UpdateApiRequest(input)
        let target = asked.target
        if let target {
            var quick = V2Model.CreateApiRequest(["ProtocolType": "HTTP"])
            quick.credentialsArn = asked.credentialsArn
            quick.target = target
            // Checked here; only its target is used.
            _ = try QuickCreate(target: target, quick, editor, context)
        }
        let row = try await editor.edit(input["ApiId"]?.string, context) { api, transaction in
            var row = api
            row.document = row.document.merging(input, Self.members)
            Self.dropEmptyCORS(&row.document)
            try row.update(in: transaction)
            try Self.keepCORS(of: row, in: transaction)
            if target != nil || asked.routeKey != nil || asked.credentialsArn != nil {
                try QuickCreate.update(row.id, asked, in: transaction)
            }
            return row
        }
        return OperationResponse(Self.shape(row, context))
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.edit(request.input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            try APIRow.delete(api.id, in: transaction)
            editor.closeSockets(of: api.id, after: transaction)
        }
        return OperationResponse()
    }

    func deleteCORS(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.edit(request.input["ApiId"]?.string, request.context) { api, transaction in
            var row = api
            row.document["CorsConfiguration"] = nil
            try row.update(in: transaction)
            try Self.keepCORS(of: row, in: transaction)
        }
        return OperationResponse()
    }
}

/// The integration, the route and the stage of an API that is created with a target (quick create).
struct QuickCreate: Sendable {
    let integration: Value
    let routeKey: String

    init(
        target: String, _ asked: V2Model.CreateApiRequest, _ editor: Editor, _ context: OperationContext
    ) throws(AWSError) {
        routeKey = asked.routeKey ?? "$default"
        guard RouteKey(routeKey) != nil else { throw RouteOperations.badKey }
        var input: Value = ["IntegrationUri": .string(target)]
        if FunctionURI.function(in: target) != nil {
            input["IntegrationType"] = "AWS_PROXY"
            input["PayloadFormatVersion"] = "2.0"
        } else {
            input["IntegrationType"] = "HTTP_PROXY"
            input["IntegrationMethod"] = "ANY"
            input["PayloadFormatVersion"] = "1.0"
        }
        if let credentials = asked.credentialsArn { input["CredentialsArn"] = .string(credentials) }
        var document = try IntegrationOperations.document(of: input, editor, context)
        document["ApiGatewayManaged"] = true
        integration = document
    }

    func make(in api: APIRow, now: Instant, _ transaction: any WriteTransaction) throws {
        let (integrationID, routeID) = (ResourceID.item(), ResourceID.item())
        var integration = integration
        integration["IntegrationId"] = .string(integrationID)
        try Item.put(.integration, integrationID, integration, api: api.id, in: transaction)
        let route: Value = [
            "ApiGatewayManaged": true, "ApiKeyRequired": false, "AuthorizationType": "NONE",
            "RouteId": .string(routeID), "RouteKey": .string(routeKey),
            "Target": .string("integrations/\(integrationID)"),
        ]
        try Item.put(.route, routeID, route, api: api.id, in: transaction)
        var stage = StageOperations.document(name: CompiledAPI.defaultStage, ["AutoDeploy": true], now: now)
        stage["ApiGatewayManaged"] = true
        try Item.put(.stage, CompiledAPI.defaultStage, stage, api: api.id, in: transaction)
        try Deployments.deployAutomatically(api: api.id, now: now, in: transaction)
    }

    /// Changes what quick create has made. Throws when the API was not created so.
    static func update(
        _ api: String, _ asked: V2Model.UpdateApiRequest, in transaction: any WriteTransaction
    ) throws {
        guard
            let integration = try Item.list(.integration, api: api, in: transaction).first(where: {
                $0.document["ApiGatewayManaged"]?.bool == true
            })
        else { throw GatewayError.bad("Target, RouteKey and CredentialsArn are for APIs made by quick create") }
        var document = integration.document
        if let target = asked.target { document["IntegrationUri"] = .string(target) }
        if let credentials = asked.credentialsArn { document["CredentialsArn"] = .string(credentials) }
        try Item.put(.integration, integration.id, document, api: api, in: transaction)
        guard let key = asked.routeKey else { return }
        guard RouteKey(key) != nil else { throw RouteOperations.badKey }
        for route in try Item.list(.route, api: api, in: transaction)
        where route.document["ApiGatewayManaged"]?.bool == true {
            var document = route.document
            document["RouteKey"] = .string(key)
            try Item.put(.route, route.id, document, api: api, in: transaction)
        }
    }
}
