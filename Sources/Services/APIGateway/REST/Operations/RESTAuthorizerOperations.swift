import Contracts
import Platform
import Storage
import Wire

struct RESTAuthorizerOperations: Sendable {
    let editor: RESTEditor

    private static let members = [
        "name", "type", "authType", "authorizerUri", "authorizerCredentials", "identitySource",
        "identityValidationExpression", "authorizerResultTtlInSeconds",
    ]

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        let id = ResourceID.authorizer()
        let made = try await editor.edit(request) { api, transaction in
            var document = try Self.document(of: input, context.scope)
            let others = try Item.list(.authorizer, api: api.id, in: transaction)
            guard others.count < RESTLimits.authorizers else { throw RESTError.tooMany("authorizers") }
            try Self.checkName(document, "", others)
            document["id"] = .string(id)
            try Item.put(.authorizer, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }

    private static let types = MemberTypes(
        integers: ["authorizerResultTtlInSeconds": 0...RESTLimits.authorizerLifetime])

    /// A new authorizer, checked, with what it has without being asked.
    static func document(of input: Value, _ scope: AccountRegion) throws(AWSError) -> Value {
        var document = input.picking(members)
        if document["authType"] == nil { document["authType"] = "custom" }
        if document["identitySource"] == nil, document["type"]?.string == "TOKEN" {
            document["identitySource"] = "method.request.header.Authorization"
        }
        if document["authorizerResultTtlInSeconds"] == nil {
            document["authorizerResultTtlInSeconds"] = .int(RESTLimits.usualAuthorizerLifetime)
        }
        if let problem = types.problem(of: document) { throw RESTError.bad(problem) }
        try validate(document, scope)
        return document
    }

    private static func checkName(_ document: Value, _ id: String, _ others: [Item]) throws(AWSError) {
        guard !others.contains(where: { $0.id != id && $0.document["name"] == document["name"] }) else {
            throw RESTError.bad(
                "Authorizer name must be unique. Authorizer \(document["name"]?.string ?? "") already exists in this RestApi."
            )
        }
    }

    static func validate(_ document: Value, _ scope: AccountRegion) throws(AWSError) {
        guard let name = document["name"]?.string, (1...128).contains(name.utf8.count) else {
            throw RESTError.bad("Authorizer name cannot be empty")
        }
        let type = document["type"]?.string ?? ""
        guard type == "TOKEN" || type == "REQUEST" else { throw RESTError.missing("The authorizer type \(type)") }
        let uri = document["authorizerUri"]?.string ?? ""
        guard FunctionURI.function(in: uri) != nil || uri.contains("${stageVariables.") else {
            throw RESTError.bad(
                "Invalid Authorizer URI: \(uri). Authorizer URI should be a valid API Gateway ARN that represents a Lambda "
                    + "function invocation.")
        }
        if let role = document["authorizerCredentials"]?.string, !role.isEmpty, ARN(role)?.account != scope.account {
            throw RESTError.bad("Invalid credentials ARN specified: \(role). It must be a role of the API's account.")
        }
        guard let lifetime = document["authorizerResultTtlInSeconds"]?.int,
            (0...RESTLimits.authorizerLifetime).contains(lifetime)
        else { throw RESTError.bad("Authorizer result TTL must be between 0 and 3600 seconds") }
        if let text = document["identityValidationExpression"]?.string, !text.isEmpty, (try? Pattern(text)) == nil {
            throw RESTError.bad("Invalid identity validation expression specified: \(text.prefix(200))")
        }
        let sources = IdentitySource.list(document["identitySource"]?.string ?? "")
        guard let sources, type == "TOKEN" ? sources.count == 1 : true, sources.count <= 10 else {
            throw RESTError.bad("Invalid identity source specified: \(document["identitySource"]?.string ?? "")")
        }
        if type == "TOKEN", case .parameter(let parameter) = sources[0], parameter.place == .header { return }
        guard type == "REQUEST" else {
            throw RESTError.bad("Invalid identity source specified: \(document["identitySource"]?.string ?? "")")
        }
        guard !sources.isEmpty || lifetime == 0 else {
            throw RESTError.bad("Identity source is required when the authorizer's answers are cached")
        }
    }

    private static func require(_ id: String, api: String, in transaction: any ReadTransaction) throws -> Value {
        guard let found = try Item.find(.authorizer, id, api: api, in: transaction) else {
            throw RESTError.noAuthorizer
        }
        return found
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["authorizerId"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request) { api, transaction in try Self.require(id, api: api.id, in: transaction) })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let paging = try RESTPaging(request.input)
        let rows = try await editor.read(request) { api, transaction in
            try Item.list(.authorizer, api: api.id, after: paging.after, limit: paging.limit + 1, in: transaction)
        }
        return OperationResponse(paging.page(rows.map { ($0.id, $0.document) }))
    }

    private static let patches = PatchTable(
        style: .listing,
        rules: [
            .text("name"), .text("type"), .text("authorizerUri"), .text("authorizerCredentials"),
            .text("identitySource"), .text("identityValidationExpression"), .text("authType"),
            .number("authorizerResultTtlInSeconds", 0...RESTLimits.authorizerLifetime),
        ])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, scope) = (request.input["authorizerId"]?.string ?? "", request.context.scope)
        let operations = try PatchOperation.read(request.input)
        let made = try await editor.edit(request) { api, transaction in
            var document = try Self.require(id, api: api.id, in: transaction)
            try Self.patches.apply(operations, to: &document)
            try Self.validate(document, scope)
            try Self.checkName(document, id, try Item.list(.authorizer, api: api.id, in: transaction))
            try Item.put(.authorizer, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(made)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["authorizerId"]?.string ?? ""
        try await editor.edit(request) { api, transaction in
            _ = try Self.require(id, api: api.id, in: transaction)
            for item in try Item.list(.resource, api: api.id, in: transaction) {
                for method in item.document["resourceMethods"]?.fields?.entries ?? []
                where method.value["authorizerId"]?.string == id {
                    throw RESTError.conflict(
                        "Cannot delete authorizer '\(id)', is referenced in method: "
                            + "\(item.document["path"]?.string ?? "")/\(method.name)")
                }
            }
            try Item.delete(.authorizer, id, api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}

/// Where an authorizer finds who calls: `method.request.header.X`, `….querystring.X`, `stageVariables.X`, `context.X`.
enum IdentitySource: Sendable, Hashable {
    case parameter(RequestParameter)
    case stageVariable(String)
    case context(String)

    init?(_ text: String) {
        if let parameter = RequestParameter(text), parameter.place != .path {
            self = .parameter(parameter)
        } else if text.hasPrefix("stageVariables."), text.utf8.count > 15 {
            self = .stageVariable(String(text.dropFirst(15)))
        } else if text.hasPrefix("context."), text.utf8.count > 8 {
            self = .context(String(text.dropFirst(8)))
        } else {
            return nil
        }
    }

    /// Sources with commas between them; nil when one is none.
    static func list(_ text: String) -> [IdentitySource]? {
        var sources: [IdentitySource] = []
        for part in text.split(separator: ",") {
            guard let source = IdentitySource(ProxyRequest.trimmed(part)) else { return nil }
            sources.append(source)
        }
        return sources
    }
}
