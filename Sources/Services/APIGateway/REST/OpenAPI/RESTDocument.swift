import Platform

/// A REST API as a Swagger 2 or OpenAPI 3 document describes it (developer guide, "Develop REST APIs using OpenAPI").
struct RESTDocument: Sendable {
    struct Operation: Sendable {
        /// Members as PutMethod takes them, without the ids of the authorizer and the validator.
        var method: Value
        var authorizer: String?
        var validator: String?
        /// Members as PutIntegration takes them.
        var integration: Value?
        var methodResponses: Fields = [:]
        /// By status code, as PutIntegrationResponse takes them.
        var integrationResponses: Fields = [:]
    }
    struct Path: Sendable {
        var path: String
        var operations: [(name: String, operation: Operation)]
    }

    /// Members of the API as CreateRestApi takes them.
    var api: Value
    /// Schemas by name; references among them are by `#/definitions/…` or `#/components/schemas/…`.
    var models: [(name: String, schema: Value)] = []
    var validators: Fields = [:]
    /// By name, as CreateAuthorizer takes them.
    var authorizers: Fields = [:]
    /// By type, as PutGatewayResponse takes them.
    var responses: Fields = [:]
    var paths: [Path] = []
    var warnings: [String] = []

    private let root: Fields
    private let isSwagger: Bool

    private static let methods = ["get", "put", "post", "delete", "options", "head", "patch"]

    init(_ document: Value, basePath: BasePath) throws(DocumentReader.Problem) {
        guard let fields = document.fields else { throw .init(reason: "The document is no object") }
        root = fields
        isSwagger = fields["swagger"].map(CallerIdentity.text)?.hasPrefix("2") ?? false
        guard isSwagger || fields["openapi"].map(CallerIdentity.text)?.hasPrefix("3.") == true else {
            throw .init(
                reason: "Unsupported specification: REST APIs are imported from Swagger 2 and OpenAPI 3 documents")
        }
        guard let info = fields["info"]?.fields, let title = info["title"]?.string, !title.isEmpty else {
            throw .init(reason: "The document has no info.title")
        }
        api = ["name": .string(title)]
        if let text = info["description"]?.string, !text.isEmpty { api["description"] = .string(text) }
        if let version = info["version"].map(CallerIdentity.text), !version.isEmpty {
            api["version"] = .string(version)
        }
        readSettings()
        for entry in (isSwagger ? fields["definitions"] : fields["components"]?["schemas"])?.fields?.entries ?? [] {
            models.append((Self.modelName(entry.name), entry.value))
        }
        for entry in fields["x-amazon-apigateway-request-validators"]?.fields?.entries ?? [] {
            validators[entry.name] = entry.value.picking(["validateRequestBody", "validateRequestParameters"])
        }
        for entry in fields["x-amazon-apigateway-gateway-responses"]?.fields?.entries ?? [] {
            responses[entry.name] = Self.gatewayResponse(entry.value)
        }
        try readAuthorizers()
        let base = isSwagger ? root["basePath"]?.string ?? "" : BasePath.path(ofServers: root["servers"])
        let prefix = basePath.prefix(of: base)
        for entry in fields["paths"]?.fields?.entries ?? [] { try readPath(prefix, entry.name, entry.value) }
    }

    /// Models have letters and digits in their names.
    static func modelName(_ name: String) -> String {
        String(
            decoding: name.utf8.filter { PercentEncoding.isUnreserved($0) && !"-._~".utf8.contains($0) }, as: UTF8.self)
    }

    private mutating func readSettings() {
        for (from, to) in [
            ("x-amazon-apigateway-binary-media-types", "binaryMediaTypes"),
            ("x-amazon-apigateway-api-key-source", "apiKeySource"),
            ("x-amazon-apigateway-minimum-compression-size", "minimumCompressionSize"),
        ] {
            if let value = root[from], !value.isNull { api[to] = value }
        }
        if let policy = root["x-amazon-apigateway-policy"], !policy.isNull {
            api["policy"] = .string(JSON.encodeString(policy))
        }
        let endpoint =
            root["x-amazon-apigateway-endpoint-configuration"]
            ?? root["servers"]?.list?.first?["x-amazon-apigateway-endpoint-configuration"]
        for name in ["vpcEndpointIds", "types", "disableExecuteApiEndpoint"] {
            if let value = endpoint?[name], !value.isNull { api[name] = value }
        }
    }

    private static func gatewayResponse(_ given: Value) -> Value {
        var response = given.picking(["responseParameters", "responseTemplates"])
        if let status = given["statusCode"], !status.isNull {
            response["statusCode"] = .string(CallerIdentity.text(status))
        }
        return response
    }

    // MARK: Authorizers

    private mutating func readAuthorizers() throws(DocumentReader.Problem) {
        for scheme in schemes?.fields?.entries ?? [] {
            guard let given = scheme.value["x-amazon-apigateway-authorizer"] else { continue }
            let type = given["type"]?.string.map(lowercased) ?? "token"
            guard type == "token" || type == "request" else {
                throw .init(reason: "The authorizer type \(type) of \(scheme.name) is not implemented by Martlet yet")
            }
            var input: Value = ["name": .string(scheme.name), "type": type == "token" ? "TOKEN" : "REQUEST"]
            if let kind = scheme.value["x-amazon-apigateway-authtype"], !kind.isNull { input["authType"] = kind }
            for name in [
                "authorizerUri", "authorizerCredentials", "identityValidationExpression",
                "authorizerResultTtlInSeconds",
                "identitySource",
            ] {
                if let value = given[name], !value.isNull { input[name] = value }
            }
            if type == "token", input["identitySource"] == nil {
                input["identitySource"] = .string(
                    "method.request.header." + (scheme.value["name"]?.string ?? "Authorization"))
            }
            authorizers[scheme.name] = input
        }
    }

    private var schemes: Value? {
        isSwagger ? root["securityDefinitions"] : root["components"]?["securitySchemes"]
    }

    private func readSecurity(_ operation: Value, _ read: inout Operation) {
        read.method["authorizationType"] = "NONE"
        for requirement in operation["security"]?.list ?? root["security"]?.list ?? [] {
            for entry in requirement.fields?.entries ?? [] {
                let scheme = schemes?[entry.name]
                if lowercased(scheme?["x-amazon-apigateway-authtype"]?.string ?? "") == "awssigv4" {
                    read.method["authorizationType"] = "AWS_IAM"
                } else if authorizers[entry.name] != nil {
                    read.method["authorizationType"] = "CUSTOM"
                    read.authorizer = entry.name
                } else if scheme?["type"]?.string == "apiKey",
                    lowercased(scheme?["name"]?.string ?? "") == "x-api-key"
                {
                    read.method["apiKeyRequired"] = true
                }
            }
        }
        if let type = operation["x-amazon-apigateway-auth"]?["type"]?.string, ["AWS_IAM", "NONE"].contains(type) {
            read.method["authorizationType"] = .string(type)
            if type == "NONE" { read.authorizer = nil }
        }
    }

    // MARK: Paths

    private mutating func readPath(_ prefix: String, _ path: String, _ item: Value) throws(DocumentReader.Problem) {
        var whole = prefix + path
        while whole.utf8.count > 1, whole.utf8.last == UInt8(ascii: "/") { whole.removeLast() }
        guard RouteTree<RESTMethod>.Pattern(whole) != nil else {
            throw .init(reason: "Invalid path \(whole.prefix(200))")
        }
        var operations: [(name: String, operation: Operation)] = []
        for entry in item.fields?.entries ?? [] {
            let isAny = entry.name == "x-amazon-apigateway-any-method"
            guard isAny || Self.methods.contains(entry.name) else { continue }
            let name = isAny ? "ANY" : entry.name.uppercased()
            operations.append(
                (name, try readOperation(entry.value, shared: item["parameters"]?.list ?? [], whole, name)))
        }
        paths.append(Path(path: whole, operations: operations))
    }

    private mutating func readOperation(
        _ operation: Value, shared: [Value], _ path: String, _ name: String
    ) throws(DocumentReader.Problem) -> Operation {
        var read = Operation(method: [:])
        if let id = operation["operationId"]?.string { read.method["operationName"] = .string(id) }
        read.validator =
            operation["x-amazon-apigateway-request-validator"]?.string
            ?? root["x-amazon-apigateway-request-validator"]?.string
        if let validator = read.validator, validators[validator] == nil {
            throw .init(reason: "The request validator \(validator) of \(name) \(path) is not defined")
        }
        readSecurity(operation, &read)
        var parameters: Fields = [:]
        var bodies: Fields = [:]
        for given in shared + (operation["parameters"]?.list ?? []) {
            let parameter = followed(given, ["parameters"])
            guard let place = parameter["in"]?.string, let name = parameter["name"]?.string else { continue }
            let isRequired = parameter["required"]?.bool ?? false
            switch place {
            case "path", "header":
                parameters["method.request.\(place).\(name)"] = .bool(isRequired || place == "path")
            case "query": parameters["method.request.querystring.\(name)"] = .bool(isRequired)
            case "body":
                let types = (operation["consumes"] ?? root["consumes"])?.list?.compactMap(\.string) ?? []
                if let model = parameter["schema"].flatMap({ self.model($0) }) {
                    for type in types.isEmpty ? ["application/json"] : types { bodies[type] = .string(model) }
                }
            default: break
            }
        }
        for entry in followed(operation["requestBody"] ?? [:], ["requestBodies"])["content"]?.fields?.entries ?? [] {
            if let model = entry.value["schema"].flatMap({ self.model($0) }) { bodies[entry.name] = .string(model) }
        }
        if !parameters.isEmpty { read.method["requestParameters"] = .map(parameters) }
        if !bodies.isEmpty { read.method["requestModels"] = .map(bodies) }
        readResponses(operation, &read)
        if let integration = operation["x-amazon-apigateway-integration"] {
            readIntegration(integration, &read)
        } else {
            warnings.append("No integration defined for method \(name) of \(path)")
        }
        return read
    }

    /// What a `$ref` leads to, one step.
    private func followed(_ value: Value, _ section: [String]) -> Value {
        guard let reference = value["$ref"]?.string, let name = reference.split(separator: "/").last.map(String.init)
        else { return value }
        let places = isSwagger ? root[section[0]] : root["components"]?[section[0]]
        return places?[name] ?? value
    }

    /// The model that a schema names; a schema that stands there itself becomes one.
    private mutating func model(_ schema: Value) -> String? {
        if let reference = schema["$ref"]?.string {
            return reference.split(separator: "/").last.map { Self.modelName(String($0)) }
        }
        guard schema.fields?.isEmpty == false else { return nil }
        let name = "MODEL" + ResourceID.item()
        models.append((name, schema))
        return name
    }

    private mutating func readResponses(_ operation: Value, _ read: inout Operation) {
        for entry in operation["responses"]?.fields?.entries ?? [] {
            guard entry.name.utf8.count == 3, Int(entry.name) != nil else { continue }
            let given = followed(entry.value, ["responses"])
            var response: Value = ["statusCode": .string(entry.name)]
            var headers: Fields = [:]
            for header in given["headers"]?.fields?.entries ?? [] {
                headers["method.response.header.\(header.name)"] = false
            }
            if !headers.isEmpty { response["responseParameters"] = .map(headers) }
            var bodies: Fields = [:]
            if let model = given["schema"].flatMap({ self.model($0) }) {
                let types = (operation["produces"] ?? root["produces"])?.list?.compactMap(\.string) ?? []
                for type in types.isEmpty ? ["application/json"] : types { bodies[type] = .string(model) }
            }
            for content in given["content"]?.fields?.entries ?? [] {
                if let model = content.value["schema"].flatMap({ self.model($0) }) {
                    bodies[content.name] = .string(model)
                }
            }
            if !bodies.isEmpty { response["responseModels"] = .map(bodies) }
            read.methodResponses[entry.name] = response
        }
    }

    private func readIntegration(_ given: Value, _ read: inout Operation) {
        var input: Value = [:]
        for name in [
            "uri", "credentials", "requestParameters", "requestTemplates", "timeoutInMillis", "contentHandling",
            "connectionId", "cacheNamespace", "cacheKeyParameters", "tlsConfig", "responseTransferMode",
        ] {
            if let value = given[name], !value.isNull { input[name] = value }
        }
        input["type"] = .string((given["type"]?.string ?? "").uppercased())
        if let method = given["httpMethod"]?.string {
            input["integrationHttpMethod"] = .string(
                method.lowercased() == "x-amazon-apigateway-any-method" ? "ANY" : method.uppercased())
        }
        if let text = given["connectionType"]?.string { input["connectionType"] = .string(text.uppercased()) }
        if let text = given["passthroughBehavior"]?.string { input["passthroughBehavior"] = .string(text.uppercased()) }
        read.integration = input
        for entry in given["responses"]?.fields?.entries ?? [] {
            guard let status = entry.value["statusCode"].map(CallerIdentity.text) else { continue }
            var response = entry.value.picking(["responseParameters", "responseTemplates", "contentHandling"])
            if entry.name != "default" { response["selectionPattern"] = .string(entry.name) }
            read.integrationResponses[status] = response
        }
    }
}
