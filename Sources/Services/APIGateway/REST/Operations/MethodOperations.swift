import Contracts
import Platform
import Storage
import Wire

/// Methods of resources, and what they promise to answer.
struct MethodOperations: Sendable {
    let editor: RESTEditor

    static let names = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY"]

    // MARK: Methods in documents

    /// Changes the method of a request, in its resource's document.
    static func edit<T: Sendable>(
        _ request: OperationRequest, _ editor: RESTEditor, missing: AWSError = RESTError.noMethod,
        _ body: @escaping @Sendable (inout Value, APIRow, any WriteTransaction) throws -> T
    ) async throws -> T {
        let (id, name) = (
            request.input["resourceId"]?.string ?? "", request.input["httpMethod"]?.string ?? ""
        )
        return try await editor.edit(request, otherwise: RESTError.noResource) { api, transaction in
            var resource = try ResourceOperations.require(id, api: api.id, in: transaction)
            var methods = resource["resourceMethods"]?.fields ?? Fields()
            guard var method = methods[name] else { throw missing }
            let result = try body(&method, api, transaction)
            methods[name] = method
            resource["resourceMethods"] = .map(methods)
            try Item.put(.resource, id, resource, api: api.id, in: transaction)
            return result
        }
    }

    static func read(
        _ request: OperationRequest, _ editor: RESTEditor, missing: AWSError = RESTError.noMethod
    ) async throws -> Value {
        let (id, name) = (
            request.input["resourceId"]?.string ?? "", request.input["httpMethod"]?.string ?? ""
        )
        return try await editor.read(request, otherwise: RESTError.noResource) { api, transaction in
            let resource = try ResourceOperations.require(id, api: api.id, in: transaction)
            guard let method = resource["resourceMethods"]?[name] else { throw missing }
            return method
        }
    }

    // MARK: Methods

    private static let members = [
        "authorizationType", "authorizerId", "apiKeyRequired", "requestValidatorId", "operationName",
        "requestParameters", "requestModels", "authorizationScopes",
    ]

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let (id, name) = (input["resourceId"]?.string ?? "", input["httpMethod"]?.string ?? "")
        let made = try await editor.edit(request, otherwise: RESTError.noResource) { api, transaction in
            var resource = try ResourceOperations.require(id, api: api.id, in: transaction)
            guard Self.names.contains(name) else {
                throw RESTError.bad(
                    "Invalid HttpMethod specified. Valid options are \(Self.names.joined(separator: ","))")
            }
            let method = try Self.document(name, input, api: api.id, in: transaction)
            var methods = resource["resourceMethods"]?.fields ?? Fields()
            guard methods[name] == nil else { throw RESTError.conflict("Method already exists for this resource") }
            methods[name] = method
            resource["resourceMethods"] = .map(methods)
            try Item.put(.resource, id, resource, api: api.id, in: transaction)
            return method
        }
        return OperationResponse(made)
    }

    /// A method as it is stored, checked.
    static func document(_ name: String, _ input: Value, api: String, in transaction: any ReadTransaction) throws
        -> Value
    {
        let method = try document(name, input)
        try checkReferences(method, api: api, in: transaction)
        return method
    }

    /// The same but for what it refers to.
    static func document(_ name: String, _ input: Value) throws(AWSError) -> Value {
        var method: Value = ["httpMethod": .string(name), "apiKeyRequired": false]
        method = method.merging(input, members)
        for name in ["requestParameters", "requestModels"] where method[name]?.fields?.isEmpty == true {
            method[name] = nil
        }
        try validate(&method)
        return method
    }

    static let badAuthorizer = RESTError.bad(
        "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid "
            + "authorizer.")

    private static let types = MemberTypes(
        truths: ["apiKeyRequired"], lists: ["authorizationScopes"], maps: ["requestModels"],
        others: ["requestParameters", "methodIntegration", "methodResponses"])

    private static func validate(_ method: inout Value) throws(AWSError) {
        if let problem = types.problem(of: method) { throw RESTError.bad(problem) }
        switch method["authorizationType"]?.string {
        case "NONE", "AWS_IAM": method["authorizerId"] = nil
        case "CUSTOM": break
        case "COGNITO_USER_POOLS": throw RESTError.missing("The authorization type COGNITO_USER_POOLS")
        default:
            throw RESTError.bad(
                "Invalid authorization type specified. Valid options are NONE, AWS_IAM, CUSTOM, COGNITO_USER_POOLS")
        }
        try validate(parameters: method["requestParameters"]?.fields ?? Fields())
    }

    static func checkReferences(_ method: Value, api: String, in transaction: any ReadTransaction) throws {
        if method["authorizationType"]?.string == "CUSTOM" {
            guard let id = method["authorizerId"]?.string,
                try Item.find(.authorizer, id, api: api, in: transaction) != nil
            else { throw badAuthorizer }
        }
        if let id = method["requestValidatorId"]?.string,
            try Item.find(.requestValidator, id, api: api, in: transaction) == nil
        {
            throw RESTError.bad("Invalid Request Validator identifier specified")
        }
        for entry in method["requestModels"]?.fields?.entries ?? [] {
            let name = entry.value.string ?? ""
            guard try Item.find(.model, name, api: api, in: transaction) != nil else {
                throw RESTError.bad("Invalid model identifier specified: \(name)")
            }
        }
    }

    private static func validate(parameters: Fields) throws(AWSError) {
        guard parameters.count <= RESTLimits.entries else { throw RESTError.bad("Too many request parameters") }
        var names: Set<String> = []
        for entry in parameters.entries {
            guard let parameter = RequestParameter(entry.name) else {
                throw RESTError.bad(
                    "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping "
                        + "expression parameter specified: \(entry.name)]")
            }
            guard names.insert(parameter.name).inserted else {
                throw RESTError.bad("Parameter names must be unique across querystring, header and path")
            }
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        OperationResponse(try await Self.read(request, editor))
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let (id, name) = (
            request.input["resourceId"]?.string ?? "", request.input["httpMethod"]?.string ?? ""
        )
        try await editor.edit(request, otherwise: RESTError.noResource) { api, transaction in
            var resource = try ResourceOperations.require(id, api: api.id, in: transaction)
            var methods = resource["resourceMethods"]?.fields ?? Fields()
            guard methods[name] != nil else { throw RESTError.noMethod }
            methods[name] = nil
            resource["resourceMethods"] = methods.isEmpty ? nil : .map(methods)
            try Item.put(.resource, id, resource, api: api.id, in: transaction)
        }
        return OperationResponse()
    }

    private static let patches = PatchTable(
        style: .plain,
        rules: [
            .text("authorizationType"), .text("authorizerId"), .truth("apiKeyRequired"), .text("operationName"),
            .text("requestValidatorId"), .elements("authorizationScopes"), .entries("requestModels"),
            .entries("requestParameters") { .bool($0.truth) },
        ])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let operations = try PatchOperation.read(request.input)
        let made = try await Self.edit(request, editor) { method, api, transaction in
            try Self.patches.apply(operations, to: &method)
            try Self.validate(&method)
            try Self.checkReferences(method, api: api.id, in: transaction)
            return method
        }
        return OperationResponse(made)
    }

    // MARK: Method responses

    private static func response(_ input: Value) throws -> Value {
        var response: Value = ["statusCode": input["statusCode"] ?? ""]
        response = response.merging(input, ["responseParameters", "responseModels"])
        try validate(response: response)
        return response
    }

    static func validate(response: Value) throws(AWSError) {
        for entry in response["responseParameters"]?.fields?.entries ?? [] {
            guard entry.name.hasPrefix("method.response.header."),
                ProxyAnswer.isHeader(String(entry.name.dropFirst("method.response.header.".count)), "")
            else {
                throw RESTError.bad(
                    "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping "
                        + "expression parameter specified: \(entry.name)]")
            }
        }
    }

    func putResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let status = input["statusCode"]?.string ?? ""
        let made = try await Self.edit(request, editor) { method, _, _ in
            guard method["methodResponses"]?[status] == nil else {
                throw RESTError.conflict("Response already exists for this resource")
            }
            let response = try Self.response(input)
            var responses = method["methodResponses"] ?? [:]
            responses[status] = response
            method["methodResponses"] = responses
            return response
        }
        return OperationResponse(made)
    }

    func getResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let method = try await Self.read(request, editor)
        guard let found = method["methodResponses"]?[request.input["statusCode"]?.string ?? ""] else {
            throw RESTError.noResponse
        }
        return OperationResponse(found)
    }

    func deleteResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let status = request.input["statusCode"]?.string ?? ""
        try await Self.edit(request, editor) { method, _, _ in
            var responses = method["methodResponses"]?.fields ?? Fields()
            guard responses[status] != nil else { throw RESTError.noResponse }
            responses[status] = nil
            method["methodResponses"] = responses.isEmpty ? nil : .map(responses)
        }
        return OperationResponse()
    }

    private static let responsePatches = PatchTable(
        style: .plain, rules: [.entries("responseModels"), .entries("responseParameters") { .bool($0.truth) }])

    func updateResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let (status, operations) = (
            request.input["statusCode"]?.string ?? "", try PatchOperation.read(request.input)
        )
        let made = try await Self.edit(request, editor) { method, _, _ in
            guard var response = method["methodResponses"]?[status] else { throw RESTError.noResponse }
            try Self.responsePatches.apply(operations, to: &response)
            try Self.validate(response: response)
            method["methodResponses"]?[status] = response
            return response
        }
        return OperationResponse(made)
    }
}

/// `method.request.header.name`, `….querystring.name`, `….path.name`.
struct RequestParameter: Sendable, Hashable {
    enum Place: String, Sendable {
        case header, querystring, path
    }
    var place: Place
    var name: String

    init?(_ text: String) {
        let parts = text.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "method", parts[1] == "request",
            let place = Place(rawValue: String(parts[2])),
            !parts[3].isEmpty
        else { return nil }
        self.place = place
        name = String(parts[3])
    }
}
