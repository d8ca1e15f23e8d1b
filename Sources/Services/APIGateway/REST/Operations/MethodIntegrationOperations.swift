import Contracts
import Platform
import Storage
import Wire

/// What methods of REST APIs lead to, and how answers are made of it.
struct MethodIntegrationOperations: Sendable {
    let editor: RESTEditor

    private static let members = [
        "type", "uri", "connectionType", "connectionId", "credentials", "requestParameters", "requestTemplates",
        "passthroughBehavior", "cacheNamespace", "cacheKeyParameters", "contentHandling", "timeoutInMillis",
        "tlsConfig", "responseTransferMode",
    ]

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context, editor) = (request.input, request.context, editor)
        let made = try await MethodOperations.edit(request, editor) { method, _, _ in
            let document = try Self.document(input, resource: input["resourceId"]?.string ?? "", editor, context)
            method["methodIntegration"] = document
            return document
        }
        return OperationResponse(made)
    }

    /// An integration as it is stored, checked. Its HTTP method is `integrationHttpMethod` in requests.
    static func document(
        _ input: Value, resource: String, _ editor: RESTEditor, _ context: OperationContext
    ) throws(AWSError) -> Value {
        var document = (["cacheKeyParameters": [], "cacheNamespace": .string(resource)] as Value).merging(
            input, members)
        if let method = input["integrationHttpMethod"] { document["httpMethod"] = method }
        if document["passthroughBehavior"] == nil { document["passthroughBehavior"] = "WHEN_NO_MATCH" }
        if document["timeoutInMillis"] == nil { document["timeoutInMillis"] = .int(RESTLimits.usualTimeout) }
        for name in ["requestParameters", "requestTemplates"] where document[name]?.fields?.isEmpty == true {
            document[name] = nil
        }
        try validate(document, editor, context)
        return document
    }

    private static let types = MemberTypes(
        integers: ["timeoutInMillis": 0...RESTLimits.longestStreamingTimeout], lists: ["cacheKeyParameters"],
        maps: ["requestParameters", "requestTemplates"], others: ["integrationResponses", "tlsConfig"])

    static func validate(_ document: Value, _ editor: RESTEditor, _ context: OperationContext) throws(AWSError) {
        if let problem = types.problem(of: document.picking(members)) { throw RESTError.bad(problem) }
        let type = document["type"]?.string ?? ""
        guard document["connectionType"]?.string ?? "INTERNET" == "INTERNET" else {
            throw RESTError.missing("An integration through a VPC link")
        }
        switch type {
        case "MOCK": break
        case "AWS_PROXY": try validate(function: document)
        case "HTTP_PROXY":
            guard let method = document["httpMethod"]?.string, MethodOperations.names.contains(method) else {
                throw RESTError.bad("Enumeration value for HttpMethod must be non-empty")
            }
            let uri = lowercased(document["uri"]?.string ?? "")
            guard uri.hasPrefix("http://") || uri.hasPrefix("https://") || uri.hasPrefix("${stagevariables.") else {
                throw RESTError.bad("Invalid HTTP endpoint specified for URI")
            }
            try editor.checkNetwork(context, what: "HTTP_PROXY integrations")
        default:
            throw RESTError.missing("The integration type \(type) (types AWS_PROXY, HTTP_PROXY and MOCK are)")
        }
        let streams = document["responseTransferMode"]?.string == "STREAM"
        let longest = streams ? RESTLimits.longestStreamingTimeout : RESTLimits.longestTimeout
        guard let timeout = document["timeoutInMillis"]?.int, (RESTLimits.shortestTimeout...longest).contains(timeout)
        else { throw RESTError.bad("Timeout should be between 50 ms and \(longest) ms") }
        guard ["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"].contains(document["passthroughBehavior"]?.string) else {
            throw RESTError.bad(
                "Invalid passthroughBehavior. Valid options are WHEN_NO_MATCH, WHEN_NO_TEMPLATES, NEVER")
        }
        if let role = document["credentials"]?.string, !role.hasSuffix(":user/*"),
            ARN(role)?.account != context.scope.account
        {
            throw RESTError.bad("Invalid credentials ARN specified: \(role). It must be a role of the API's account.")
        }
        try validate(mappings: document)
    }

    private static func validate(function document: Value) throws(AWSError) {
        guard document["httpMethod"]?.string != nil else {
            throw RESTError.bad("Enumeration value for HttpMethod must be non-empty")
        }
        let uri = document["uri"]?.string ?? ""
        // The whole text may come from a variable; a part of it names a function then.
        if uri.contains("${stageVariables.") || FunctionURI.function(in: uri) != nil { return }
        guard let arn = ARN(uri), arn.service == "apigateway" else {
            throw RESTError.bad("Invalid ARN specified in the request")
        }
        guard arn.resource.hasPrefix("path/") || arn.resource.hasPrefix("action/") else {
            throw RESTError.bad("AWS ARN for integration must contain path or action")
        }
        throw RESTError.bad(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.")
    }

    private static func validate(mappings document: Value) throws(AWSError) {
        let parameters = document["requestParameters"]?.fields?.entries ?? []
        guard parameters.count <= RESTLimits.entries else { throw RESTError.bad("Too many request parameters") }
        for entry in parameters {
            guard RESTMapping.isDestination(entry.name) else { throw mappingError(entry.name, isParameter: true) }
            guard let text = entry.value.string, RESTMapping(text, side: .request) != nil else {
                throw mappingError(entry.value.string ?? "", isParameter: false)
            }
        }
        try validate(templates: document["requestTemplates"], what: "request")
    }

    static func mappingError(_ text: String, isParameter: Bool) -> AWSError {
        RESTError.bad(
            "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression "
                + (isParameter ? "parameter " : "") + "specified: \(text)]")
    }

    /// Templates without a directive or a reference stand for themselves; Velocity is not there.
    static func validate(templates: Value?, what: String) throws(AWSError) {
        for entry in templates?.fields?.entries ?? [] {
            guard entry.name.contains("/") || entry.name.hasPrefix("$") else {
                throw RESTError.bad(
                    "Validation Result: warnings : [], errors : [Invalid content type specified: \(entry.name)]")
            }
            let text = entry.value.string ?? ""
            guard text.utf8.count <= RESTLimits.template else {
                throw RESTError.bad("The mapping template is too large")
            }
            guard !StaticTemplate.hasDirectives(text) else {
                throw RESTError.missing(
                    "A \(what) mapping template with Velocity directives or references (of \(entry.name))")
            }
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let method = try await MethodOperations.read(request, editor)
        guard let found = method["methodIntegration"] else { throw RESTError.noIntegration }
        return OperationResponse(found)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        try await MethodOperations.edit(request, editor) { method, _, _ in
            guard method["methodIntegration"] != nil else { throw RESTError.noIntegration }
            method["methodIntegration"] = nil
        }
        return OperationResponse()
    }

    private static let patches = PatchTable(
        style: .plain,
        rules: [
            .text("uri"), .text("httpMethod"), .text("credentials", [.replace, .remove]),
            .text("passthroughBehavior"), .text("contentHandling", [.replace, .remove]), .text("cacheNamespace"),
            .text("connectionType"), .text("connectionId"), .text("responseTransferMode"),
            .number("timeoutInMillis", RESTLimits.shortestTimeout...RESTLimits.longestStreamingTimeout),
            .elements("cacheKeyParameters"), .entries("requestParameters"), .entries("requestTemplates"),
            .custom("/tlsConfig/insecureSkipVerification", [.replace]) { document, patch in
                document["tlsConfig"] = ["insecureSkipVerification": .bool(patch.truth)]
            },
        ])

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (operations, context, editor) = (try PatchOperation.read(request.input), request.context, editor)
        let made = try await MethodOperations.edit(request, editor) { method, _, _ in
            guard var document = method["methodIntegration"] else { throw RESTError.noIntegration }
            try Self.patches.apply(operations, to: &document)
            if document["cacheKeyParameters"] == nil { document["cacheKeyParameters"] = [] }
            try Self.validate(document, editor, context)
            method["methodIntegration"] = document
            return document
        }
        return OperationResponse(made)
    }

    // MARK: Integration responses

    /// An integration response as it is stored, checked.
    static func response(_ status: String, _ input: Value) throws(AWSError) -> Value {
        let response = (["statusCode": .string(status)] as Value).merging(
            input, ["selectionPattern", "responseParameters", "responseTemplates", "contentHandling"])
        try validate(response: response)
        return response
    }

    private static func validate(response: Value) throws(AWSError) {
        if let pattern = response["selectionPattern"]?.string, !pattern.isEmpty, (try? Pattern(pattern)) == nil {
            throw RESTError.bad("Invalid selection pattern specified: \(pattern.prefix(200))")
        }
        let parameters = response["responseParameters"]?.fields?.entries ?? []
        guard parameters.count <= RESTLimits.entries else { throw RESTError.bad("Too many response parameters") }
        for entry in parameters {
            let name = String(entry.name.dropFirst("method.response.header.".count))
            guard entry.name.hasPrefix("method.response.header."), ProxyAnswer.isHeader(name, "") else {
                throw mappingError(entry.name, isParameter: true)
            }
            guard let text = entry.value.string, RESTMapping(text, side: .response) != nil else {
                throw mappingError(entry.value.string ?? "", isParameter: false)
            }
        }
        try validate(templates: response["responseTemplates"], what: "response")
    }

    func putResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let status = input["statusCode"]?.string ?? ""
        let made = try await MethodOperations.edit(request, editor) { method, _, _ in
            guard var integration = method["methodIntegration"] else { throw RESTError.noIntegration }
            let response = try Self.response(status, input)
            var responses = integration["integrationResponses"] ?? [:]
            responses[status] = response
            integration["integrationResponses"] = responses
            method["methodIntegration"] = integration
            return response
        }
        return OperationResponse(made)
    }

    func getResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let method = try await MethodOperations.read(request, editor)
        guard let integration = method["methodIntegration"] else { throw RESTError.noIntegration }
        guard let found = integration["integrationResponses"]?[request.input["statusCode"]?.string ?? ""] else {
            throw RESTError.noResponse
        }
        return OperationResponse(found)
    }

    func deleteResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let status = request.input["statusCode"]?.string ?? ""
        // Recorded: also an unknown method is an unknown integration here.
        try await MethodOperations.edit(request, editor, missing: RESTError.noIntegration) { method, _, _ in
            guard var integration = method["methodIntegration"] else { throw RESTError.noIntegration }
            var responses = integration["integrationResponses"]?.fields ?? Fields()
            guard responses[status] != nil else { throw RESTError.noResponse }
            responses[status] = nil
            integration["integrationResponses"] = responses.isEmpty ? nil : .map(responses)
            method["methodIntegration"] = integration
        }
        return OperationResponse()
    }

    private static let responsePatches = PatchTable(
        style: .plain,
        rules: [
            .custom("/selectionPattern", [.replace]) { document, patch in
                document["selectionPattern"] = .string(patch.value ?? "")
            },
            .text("contentHandling", [.replace, .remove]), .entries("responseParameters"),
            .entries("responseTemplates"),
        ])

    func updateResponse(_ request: OperationRequest) async throws -> OperationResponse {
        let (status, operations) = (
            request.input["statusCode"]?.string ?? "", try PatchOperation.read(request.input)
        )
        let made = try await MethodOperations.edit(request, editor, missing: RESTError.noIntegration) { method, _, _ in
            guard var integration = method["methodIntegration"] else { throw RESTError.noIntegration }
            guard var response = integration["integrationResponses"]?[status] else { throw RESTError.noResponse }
            try Self.responsePatches.apply(operations, to: &response)
            try Self.validate(response: response)
            integration["integrationResponses"]?[status] = response
            method["methodIntegration"] = integration
            return response
        }
        return OperationResponse(made)
    }
}
