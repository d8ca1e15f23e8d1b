import Platform

/// Writes a deployment as a Swagger 2 or OpenAPI 3 document, so that importing it makes the same API.
struct RESTExporter {
    let api: APIRow
    let deployment: RESTCompiler.Deployment
    let stage: String
    let endpoint: String
    let isSwagger: Bool
    /// `integrations`, `authorizers`, `apigateway` (both).
    let extensions: Set<String>

    private var hasIntegrations: Bool { !extensions.isDisjoint(with: ["integrations", "apigateway"]) }
    private var hasAuthorizers: Bool { !extensions.isDisjoint(with: ["authorizers", "apigateway"]) }

    func document() -> Value {
        var info: Value = ["title": api.document["name"] ?? ""]
        if let text = api.document["description"] { info["description"] = text }
        info["version"] = api.document["version"] ?? "1.0"
        var document: Value = isSwagger ? ["swagger": "2.0"] : ["openapi": "3.0.1"]
        document["info"] = info
        let authority = endpoint.firstRange(of: "://").map { String(endpoint[$0.upperBound...]) } ?? endpoint
        if isSwagger {
            document["host"] = .string(authority)
            document["basePath"] = .string("/" + stage)
            document["schemes"] = [.string(endpoint.hasPrefix("https:") ? "https" : "http")]
        } else {
            document["servers"] = [
                [
                    "url": .string(endpoint + "/{basePath}"),
                    "variables": ["basePath": ["default": .string(stage)]],
                ]
            ]
        }
        var paths = Fields()
        for resource in deployment.resources.sorted(by: { ($0["path"]?.string ?? "") < ($1["path"]?.string ?? "") }) {
            guard let path = resource["path"]?.string, let methods = resource["resourceMethods"]?.fields else {
                continue
            }
            var operations = Fields()
            for entry in methods.entries {
                let name = entry.name == "ANY" ? "x-amazon-apigateway-any-method" : lowercased(entry.name)
                operations[name] = operation(entry.value)
            }
            paths[path] = .map(operations)
        }
        document["paths"] = .map(paths)
        addDefinitions(to: &document)
        if hasIntegrations { addExtensions(to: &document) }
        return document
    }

    private func operation(_ method: Value) -> Value {
        var operation: Value = [:]
        if let name = method["operationName"] { operation["operationId"] = name }
        let models = method["requestModels"]?.fields?.entries ?? []
        if isSwagger, !models.isEmpty { operation["consumes"] = .strings(models.map(\.name)) }
        var parameters = (method["requestParameters"]?.fields?.entries ?? []).compactMap { entry -> Value? in
            guard let parameter = RequestParameter(entry.name) else { return nil }
            let place = parameter.place == .querystring ? "query" : parameter.place.rawValue
            var value: Value = ["name": .string(parameter.name), "in": .string(place)]
            value["required"] = .bool(entry.value.bool == true || place == "path")
            if isSwagger { value["type"] = "string" } else { value["schema"] = ["type": "string"] }
            return value
        }
        if isSwagger, let model = models.first {
            parameters.append([
                "in": "body", "name": model.value, "required": true, "schema": reference(model.value.string ?? ""),
            ])
        } else if !models.isEmpty {
            operation["requestBody"] = [
                "content": .map(Fields(models.map { ($0.name, ["schema": reference($0.value.string ?? "")]) })),
                "required": true,
            ]
        }
        if !parameters.isEmpty { operation["parameters"] = .list(parameters) }
        operation["responses"] = responses(method)
        addSecurity(method, to: &operation)
        if hasIntegrations {
            if let id = method["requestValidatorId"]?.string, let name = deployment.validators[id]?["name"] {
                operation["x-amazon-apigateway-request-validator"] = name
            }
            if let integration = method["methodIntegration"] {
                operation["x-amazon-apigateway-integration"] = self.integration(integration)
            }
        }
        return operation
    }

    private func reference(_ model: String) -> Value {
        ["$ref": .string((isSwagger ? "#/definitions/" : "#/components/schemas/") + model)]
    }

    private func responses(_ method: Value) -> Value {
        var responses = Fields()
        for entry in method["methodResponses"]?.fields?.entries ?? [] {
            var response: Value = ["description": .string("\(entry.name) response")]
            let headers = (entry.value["responseParameters"]?.fields?.names ?? []).map {
                String($0.dropFirst("method.response.header.".count))
            }
            if !headers.isEmpty {
                response["headers"] = .map(
                    Fields(headers.map { ($0, isSwagger ? ["type": "string"] : ["schema": ["type": "string"]]) }))
            }
            let models = entry.value["responseModels"]?.fields?.entries ?? []
            if isSwagger, let model = models.first {
                response["schema"] = reference(model.value.string ?? "")
            } else if !models.isEmpty {
                response["content"] = .map(
                    Fields(models.map { ($0.name, ["schema": reference($0.value.string ?? "")]) }))
            }
            responses[entry.name] = response
        }
        return .map(responses)
    }

    private func addSecurity(_ method: Value, to operation: inout Value) {
        var security: [Value] = []
        if method["authorizationType"]?.string == "AWS_IAM" { security.append(["sigv4": Value.list([])]) }
        if let id = method["authorizerId"]?.string, let name = deployment.authorizers[id]?["name"]?.string {
            security.append(.map(Fields([(name, Value.list([]))])))
        }
        if method["apiKeyRequired"]?.bool == true { security.append(["api_key": Value.list([])]) }
        if !security.isEmpty { operation["security"] = .list(security) }
    }

    private func integration(_ integration: Value) -> Value {
        var output: Value = [:]
        for name in [
            "uri", "httpMethod", "credentials", "requestParameters", "requestTemplates", "contentHandling",
            "timeoutInMillis", "tlsConfig", "responseTransferMode",
        ] {
            if let value = integration[name] { output[name] = value }
        }
        output["type"] = .string(lowercased(integration["type"]?.string ?? ""))
        if let text = integration["passthroughBehavior"]?.string {
            output["passthroughBehavior"] = .string(lowercased(text))
        }
        var responses = Fields()
        for entry in integration["integrationResponses"]?.fields?.entries ?? [] {
            let pattern = entry.value["selectionPattern"]?.string ?? ""
            responses[pattern.isEmpty ? "default" : pattern] = entry.value.picking([
                "statusCode", "responseParameters", "responseTemplates", "contentHandling",
            ])
        }
        if !responses.isEmpty { output["responses"] = .map(responses) }
        return output
    }

    // MARK: Beside the paths

    private func addDefinitions(to document: inout Value) {
        var schemas = Fields()
        for (name, model) in deployment.models.sorted(by: { $0.key < $1.key }) {
            guard let schema = model["schema"]?.string.flatMap({ try? JSON.parse($0) }) else { continue }
            schemas[name] = local(schema, depth: 0)
        }
        var security = Fields()
        for authorizer in deployment.authorizers.values.sorted(by: {
            ($0["name"]?.string ?? "") < ($1["name"]?.string ?? "")
        }) {
            security[authorizer["name"]?.string ?? ""] = scheme(authorizer)
        }
        let methods = deployment.resources.flatMap { $0["resourceMethods"]?.fields?.entries ?? [] }
        if methods.contains(where: { $0.value["authorizationType"]?.string == "AWS_IAM" }) {
            var scheme: Value = ["type": "apiKey", "name": "Authorization", "in": "header"]
            scheme["x-amazon-apigateway-authtype"] = "awsSigv4"
            security["sigv4"] = scheme
        }
        if methods.contains(where: { $0.value["apiKeyRequired"]?.bool == true }) {
            security["api_key"] = ["type": "apiKey", "name": "x-api-key", "in": "header"]
        }
        if isSwagger {
            if !security.isEmpty { document["securityDefinitions"] = .map(security) }
            if !schemas.isEmpty { document["definitions"] = .map(schemas) }
        } else if !security.isEmpty || !schemas.isEmpty {
            var components: Value = [:]
            if !schemas.isEmpty { components["schemas"] = .map(schemas) }
            if !security.isEmpty { components["securitySchemes"] = .map(security) }
            document["components"] = components
        }
    }

    /// References to models are references within the document.
    private func local(_ schema: Value, depth: Int) -> Value {
        guard depth < Limits.documentDepth else { return schema }
        switch schema {
        case .map(let fields):
            return .map(
                Fields(
                    fields.entries.map { entry in
                        if entry.name == "$ref", let text = entry.value.string,
                            let range = text.firstRange(of: "/models/")
                        {
                            return ("$ref", reference(String(text[range.upperBound...]))["$ref"] ?? .null)
                        }
                        return (entry.name, local(entry.value, depth: depth + 1))
                    }))
        case .list(let list): return .list(list.map { local($0, depth: depth + 1) })
        default: return schema
        }
    }

    private func scheme(_ authorizer: Value) -> Value {
        let isToken = authorizer["type"]?.string == "TOKEN"
        let source = authorizer["identitySource"]?.string ?? ""
        let name = isToken ? source.split(separator: ".").last.map(String.init) ?? "Authorization" : "Unused"
        var scheme: Value = ["type": "apiKey", "name": .string(name), "in": "header"]
        scheme["x-amazon-apigateway-authtype"] = authorizer["authType"] ?? "custom"
        guard hasAuthorizers else { return scheme }
        var detail = authorizer.picking([
            "authorizerUri", "authorizerCredentials", "authorizerResultTtlInSeconds", "identityValidationExpression",
        ])
        if !isToken { detail["identitySource"] = .string(source) }
        detail["type"] = isToken ? "token" : "request"
        scheme["x-amazon-apigateway-authorizer"] = detail
        return scheme
    }

    private func addExtensions(to document: inout Value) {
        let settings = deployment.settings
        if let types = settings["binaryMediaTypes"] { document["x-amazon-apigateway-binary-media-types"] = types }
        if let size = settings["minimumCompressionSize"] {
            document["x-amazon-apigateway-minimum-compression-size"] = size
        }
        if settings["apiKeySource"]?.string == "AUTHORIZER" {
            document["x-amazon-apigateway-api-key-source"] = "AUTHORIZER"
        }
        if let policy = settings["policy"]?.string.flatMap({ try? JSON.parse($0) }) {
            document["x-amazon-apigateway-policy"] = policy
        }
        if !deployment.validators.isEmpty {
            document["x-amazon-apigateway-request-validators"] = .map(
                Fields(
                    deployment.validators.values.map {
                        ($0["name"]?.string ?? "", $0.picking(["validateRequestParameters", "validateRequestBody"]))
                    }))
        }
        if !deployment.responses.isEmpty {
            document["x-amazon-apigateway-gateway-responses"] = .map(
                Fields(
                    deployment.responses.map {
                        (
                            $0["responseType"]?.string ?? "",
                            $0.picking(["statusCode", "responseParameters", "responseTemplates"])
                        )
                    }))
        }
    }
}
