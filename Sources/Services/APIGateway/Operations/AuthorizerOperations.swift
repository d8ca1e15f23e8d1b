import Contracts
import Platform
import Storage
import Wire

struct AuthorizerOperations: Sendable {
    let editor: Editor

    private static let members = [
        "AuthorizerCredentialsArn", "AuthorizerPayloadFormatVersion", "AuthorizerResultTtlInSeconds", "AuthorizerType",
        "AuthorizerUri", "EnableSimpleResponses", "IdentitySource", "IdentityValidationExpression", "JwtConfiguration",
        "Name",
    ]

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let isSocket = try await editor.isSocket(request.input["ApiId"]?.string, request.context)
        let document = try Self.document(of: request.input, editor, request.context, isSocket: isSocket)
        let made = try await editor.edit(request.input["ApiId"]?.string, request.context) { api, transaction in
            try Self.insert(document, api: api.id, in: transaction)
        }
        return OperationResponse(made)
    }

    /// A new authorizer, checked, with what it has without being asked.
    static func document(
        of input: Value, _ editor: Editor, _ context: OperationContext, isSocket: Bool = false
    ) throws(AWSError) -> Value {
        var document = input.picking(members)
        if !isSocket, document["AuthorizerType"]?.string == "REQUEST" {
            if document["AuthorizerResultTtlInSeconds"] == nil { document["AuthorizerResultTtlInSeconds"] = 300 }
            if document["EnableSimpleResponses"] == nil { document["EnableSimpleResponses"] = false }
        }
        try validate(document, editor, context, isSocket: isSocket)
        return document
    }

    static func insert(_ document: Value, api: String, in transaction: any WriteTransaction) throws -> Value {
        let others = try Item.list(.authorizer, api: api, in: transaction)
        guard others.count < Limits.authorizers else { throw GatewayError.tooMany("Authorizer", Limits.authorizers) }
        var document = document
        let id = ResourceID.authorizer()
        document["AuthorizerId"] = .string(id)
        try checkName(document, id, others)
        try Item.put(.authorizer, id, document, api: api, in: transaction)
        return document
    }

    private static func checkName(_ document: Value, _ id: String, _ others: [Item]) throws(AWSError) {
        let name = document["Name"]?.string
        guard !others.contains(where: { $0.id != id && $0.document["Name"]?.string == name }) else {
            throw GatewayError.bad("Authorizer with name \(name ?? "") already exists for this API")
        }
    }

    private static let types = MemberTypes(
        integers: ["AuthorizerResultTtlInSeconds": 0...3_600], truths: ["EnableSimpleResponses"],
        lists: ["IdentitySource"], others: ["JwtConfiguration"])
    private static let jwtTypes = MemberTypes(lists: ["Audience"])

    static func validate(
        _ document: Value, _ editor: Editor, _ context: OperationContext, isSocket: Bool = false
    ) throws(AWSError) {
        if let problem = types.problem(of: document) ?? jwtTypes.problem(of: document["JwtConfiguration"] ?? [:]) {
            throw GatewayError.bad(problem)
        }
        let authorizer = V2Model.Authorizer(document)
        guard let name = authorizer.name, (1...128).contains(name.utf8.count) else {
            throw GatewayError.bad("Authorizer name must be between 1 and 128 characters")
        }
        if let role = authorizer.authorizerCredentialsArn, ARN(role)?.account != context.scope.account {
            throw GatewayError.bad(
                "Invalid credentials ARN specified: \(role). It must be a role of the API's account.")
        }
        let sources = authorizer.identitySource ?? []
        for source in sources where !(isSocket ? SocketRules.isSource(source) : isSource(source)) {
            throw GatewayError.bad("Invalid identity source specified: \(source)")
        }
        if isSocket { return try SocketRules.validate(authorizer: document) }
        switch authorizer.authorizerType {
        case "JWT":
            guard let settings = authorizer.jwtConfiguration, let issuer = settings.issuer else {
                throw GatewayError.bad("Issuer must be set for JWT authorizers")
            }
            guard issuer.hasPrefix("https://") || issuer.hasPrefix("http://") else {
                throw GatewayError.bad("Invalid issuer: \(issuer). Issuer must have a valid URL.")
            }
            let audiences = settings.audience ?? []
            guard !audiences.isEmpty else { throw GatewayError.bad("Audience list must not be empty") }
            guard audiences.count <= Limits.audiences else {
                throw GatewayError.bad("An authorizer can have at most \(Limits.audiences) audiences")
            }
            guard sources.count == 1 else {
                throw GatewayError.bad("JWT authorizers must have exactly one identity source")
            }
            guard authorizer.authorizerUri == nil else {
                throw GatewayError.bad("AuthorizerUri must not be set for JWT authorizers")
            }
            try editor.checkNetwork(context, what: "JWT authorizers")
        default: try validate(function: authorizer)
        }
    }

    private static func validate(function authorizer: V2Model.Authorizer) throws(AWSError) {
        guard let uri = authorizer.authorizerUri else {
            throw GatewayError.bad("AuthorizerUri must be set for REQUEST authorizers")
        }
        guard FunctionURI.function(in: uri) != nil || uri.contains("${stageVariables.") else {
            throw GatewayError.bad(
                "Invalid Authorizer URI: \(uri). Authorizer URI should be a valid API Gateway ARN that represents a "
                    + "Lambda function invocation.")
        }
        guard let version = authorizer.authorizerPayloadFormatVersion else {
            throw GatewayError.bad("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer")
        }
        guard PayloadVersion(rawValue: version) != nil else {
            throw GatewayError.bad("Invalid value for AuthorizerPayloadFormatVersion: \(version)")
        }
        guard version == "2.0" || authorizer.enableSimpleResponses != true else {
            throw GatewayError.bad("EnableSimpleResponses is supported only for AuthorizerPayloadFormatVersion 2.0")
        }
        guard authorizer.jwtConfiguration == nil else {
            throw GatewayError.bad("JwtConfiguration must not be set for REQUEST authorizers")
        }
    }

    private static func isSource(_ text: String) -> Bool {
        ["$request.header.", "$request.querystring.", "$context.", "$stageVariables."].contains {
            text.hasPrefix($0) && text.utf8.count > $0.utf8.count
        } && text.utf8.count <= 512
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["AuthorizerId"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request.input["ApiId"]?.string, request.context) { api, transaction in
                try Item.require(.authorizer, id, api: api.id, in: transaction)
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.list(.authorizer, request)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context, editor) = (request.input, request.context, editor)
        let id = input["AuthorizerId"]?.string ?? ""
        let document = try await editor.edit(input["ApiId"]?.string, context) { api, transaction in
            var document = try Item.require(.authorizer, id, api: api.id, in: transaction)
            let jwt = document["JwtConfiguration"]
            document = document.merging(input, Self.members)
            if let jwt, let changes = input["JwtConfiguration"] {
                document["JwtConfiguration"] = jwt.merging(changes, ["Audience", "Issuer"])
            }
            try Self.validate(document, editor, context, isSocket: api.proto == SocketRules.proto)
            try Self.checkName(document, id, try Item.list(.authorizer, api: api.id, in: transaction))
            try Item.put(.authorizer, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(document)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["AuthorizerId"]?.string ?? ""
        try await editor.edit(request.input["ApiId"]?.string, request.context) { api, transaction in
            _ = try Item.require(.authorizer, id, api: api.id, in: transaction)
            let users = try Item.list(.route, api: api.id, in: transaction).filter {
                $0.document["AuthorizerId"]?.string == id
            }
            guard users.isEmpty else {
                throw GatewayError.conflict(
                    "Cannot delete Authorizer because it is referenced by the following Routes with Ids: ["
                        + users.map(\.id).joined(separator: ", ") + "]")
            }
            try Item.delete(.authorizer, id, api: api.id, in: transaction)
        }
        return OperationResponse()
    }

    func resetCache(_ request: OperationRequest) async throws -> OperationResponse {
        let stage = request.input["StageName"]?.string ?? ""
        let answers = editor.answers
        try await editor.edit(request.input["ApiId"]?.string, request.context, deploys: false) { api, transaction in
            _ = try Item.require(.stage, stage, api: api.id, in: transaction)
            transaction.afterCommit { answers.forget(api: api.id, stage: stage) }
        }
        return OperationResponse()
    }
}
