import Platform

/// An HTTP API as an OpenAPI 3 document describes it (developer guide, "Working with OpenAPI definitions for HTTP APIs").
struct APIDocument: Sendable {
    struct Integration: Sendable {
        /// Members as CreateIntegration takes them.
        var input: Value
    }
    struct Authorizer: Sendable {
        var name: String
        /// Members as CreateAuthorizer takes them.
        var input: Value
    }
    struct Route: Sendable {
        var key: String
        /// Members as CreateRoute takes them, without the target and the authorizer's id.
        var input: Value
        var integration: Int?
        var authorizer: String?
    }

    var name: String
    var description: String?
    var version: String?
    var cors: Value?
    var tags: Fields = [:]
    var routes: [Route] = []
    var integrations: [Integration] = []
    var authorizers: [Authorizer] = []
    var warnings: [String] = []

    private static let methods = ["get", "put", "post", "delete", "options", "head", "patch"]

    init(_ document: Value, basePath: BasePath) throws(DocumentReader.Problem) {
        guard let fields = document.fields else { throw .init(reason: "The document is no object") }
        guard let openAPI = fields["openapi"].map(CallerIdentity.text), openAPI.hasPrefix("3.") else {
            throw .init(reason: "Unsupported specification: HTTP APIs are imported from OpenAPI 3.0 documents")
        }
        guard let info = fields["info"]?.fields, let title = info["title"]?.string else {
            throw .init(reason: "The document has no info.title")
        }
        name = title
        description = info["description"]?.string
        version = info["version"].flatMap { $0.isNull ? nil : CallerIdentity.text($0) }
        let components = fields["components"]
        if let cors = fields["x-amazon-apigateway-cors"], !cors.isNull { self.cors = Self.cors(cors) }
        for tag in fields["tags"]?.list ?? [] {
            if let name = tag["name"]?.string, let value = tag["x-amazon-apigateway-tag-value"]?.string {
                tags[name] = .string(value)
            }
        }
        readAuthorizers(components)
        let prefix = basePath.prefix(of: BasePath.path(ofServers: fields["servers"]))
        var shared: [String: Int] = [:]
        for path in fields["paths"]?.fields?.entries ?? [] {
            for operation in path.value.fields?.entries ?? [] {
                let isAny = operation.name == "x-amazon-apigateway-any-method"
                guard isAny || Self.methods.contains(operation.name) else {
                    if operation.name == "trace" { warnings.append("Method TRACE of \(path.name) is not supported") }
                    continue
                }
                let isDefault = isAny && operation.value["isDefaultRoute"]?.bool == true
                let method = isAny ? "ANY" : operation.name.uppercased()
                let key = isDefault || path.name == "/$default" ? "$default" : "\(method) \(prefix)\(path.name)"
                guard RouteKey(key) != nil else { throw .init(reason: "Invalid route key \(key.prefix(200))") }
                try readRoute(key, operation.value, fields, components, &shared)
            }
        }
    }

    private mutating func readRoute(
        _ key: String, _ operation: Value, _ root: Fields, _ components: Value?, _ shared: inout [String: Int]
    ) throws(DocumentReader.Problem) {
        guard !routes.contains(where: { $0.key == key }) else {
            throw .init(reason: "Route with key \(key) is there more than once")
        }
        guard routes.count < Limits.routes else { throw .init(reason: "More than \(Limits.routes) routes") }
        var route = Route(key: key, input: ["RouteKey": .string(key)], integration: nil, authorizer: nil)
        if let id = operation["operationId"]?.string {
            // Programs make longer ones (FastAPI: of function, path and method), and nothing needs the name.
            if id.utf8.count <= Limits.operationName {
                route.input["OperationName"] = .string(id)
            } else {
                warnings.append("The operationId of \(key) has more than \(Limits.operationName) characters: left out")
            }
        }
        if let integration = operation["x-amazon-apigateway-integration"] {
            route.integration = try readIntegration(integration, key, components, &shared)
        } else {
            warnings.append("The route \(key) has no integration")
        }
        let security = operation["security"]?.list ?? root["security"]?.list ?? []
        if let first = security.first?.fields?.entries.first { readSecurity(first, components, &route) }
        if operation["x-amazon-apigateway-auth"]?["type"]?.string == "AWS_IAM" {
            route.input["AuthorizationType"] = "AWS_IAM"
        }
        routes.append(route)
    }

    private mutating func readSecurity(_ entry: Fields.Entry, _ components: Value?, _ route: inout Route) {
        let scheme = components?["securitySchemes"]?[entry.name]
        if scheme?["x-amazon-apigateway-authtype"]?.string?.lowercased() == "awssigv4" {
            route.input["AuthorizationType"] = "AWS_IAM"
            return
        }
        guard let authorizer = authorizers.first(where: { $0.name == entry.name }) else {
            warnings.append("The security scheme \(entry.name) has no x-amazon-apigateway-authorizer")
            return
        }
        route.authorizer = entry.name
        if authorizer.input["AuthorizerType"]?.string == "JWT" {
            route.input["AuthorizationType"] = "JWT"
            let scopes = entry.value.list ?? []
            if !scopes.isEmpty { route.input["AuthorizationScopes"] = .list(scopes) }
        } else {
            route.input["AuthorizationType"] = "CUSTOM"
        }
    }

    private mutating func readIntegration(
        _ given: Value, _ key: String, _ components: Value?, _ shared: inout [String: Int]
    ) throws(DocumentReader.Problem) -> Int {
        var integration = given
        if let reference = given["$ref"]?.string {
            if let known = shared[reference] { return known }
            let prefix = "#/components/x-amazon-apigateway-integrations/"
            guard reference.hasPrefix(prefix),
                let found = components?["x-amazon-apigateway-integrations"]?[
                    String(reference.dropFirst(prefix.count))]
            else { throw .init(reason: "The reference \(reference.prefix(200)) leads nowhere") }
            integration = found
            shared[reference] = integrations.count
        }
        guard let type = integration["type"]?.string else {
            throw .init(reason: "The integration of \(key) has no type")
        }
        var input: Value = ["IntegrationType": .string(type.uppercased())]
        let names = [
            ("uri", "IntegrationUri"), ("httpMethod", "IntegrationMethod"), ("credentials", "CredentialsArn"),
            ("connectionType", "ConnectionType"), ("connectionId", "ConnectionId"), ("description", "Description"),
            ("timeoutInMillis", "TimeoutInMillis"), ("integrationSubtype", "IntegrationSubtype"),
            ("requestParameters", "RequestParameters"), ("responseParameters", "ResponseParameters"),
        ]
        for (from, to) in names {
            if let value = integration[from], !value.isNull { input[to] = value }
        }
        if input["IntegrationMethod"]?.string?.lowercased() == "x-amazon-apigateway-any-method" {
            input["IntegrationMethod"] = "ANY"
        }
        input["PayloadFormatVersion"] =
            .string(integration["payloadFormatVersion"].flatMap(Self.versionText) ?? "1.0")
        if let name = integration["tlsConfig"]?["serverNameToVerify"], !name.isNull {
            input["TlsConfig"] = ["ServerNameToVerify": name]
        }
        integrations.append(Integration(input: input))
        return integrations.count - 1
    }

    /// `2.0` without quotes is a number in YAML and JSON.
    private static func versionText(_ value: Value) -> String? {
        if let text = value.string { return text }
        if value.isNull { return nil }
        return value.double == 2 ? "2.0" : value.double == 1 ? "1.0" : CallerIdentity.text(value)
    }

    private mutating func readAuthorizers(_ components: Value?) {
        for scheme in components?["securitySchemes"]?.fields?.entries ?? [] {
            guard let given = scheme.value["x-amazon-apigateway-authorizer"] else { continue }
            var input: Value = ["Name": .string(scheme.name)]
            let type = given["type"]?.string?.lowercased()
            input["AuthorizerType"] = type == "jwt" ? "JWT" : "REQUEST"
            if let source = given["identitySource"]?.string {
                input["IdentitySource"] = .strings(source.split(separator: ",").map { ProxyRequest.trimmed($0) })
            } else if let sources = given["identitySource"]?.list {
                input["IdentitySource"] = .list(sources)
            }
            if let jwt = given["jwtConfiguration"]?.fields {
                var settings: Value = [:]
                for (from, to) in [("issuer", "Issuer"), ("audience", "Audience")] {
                    if let value = jwt[from], !value.isNull { settings[to] = value }
                }
                input["JwtConfiguration"] = settings
            }
            let names = [
                ("authorizerUri", "AuthorizerUri"), ("authorizerCredentials", "AuthorizerCredentialsArn"),
                ("authorizerResultTtlInSeconds", "AuthorizerResultTtlInSeconds"),
                ("enableSimpleResponses", "EnableSimpleResponses"),
                ("identityValidationExpression", "IdentityValidationExpression"),
            ]
            for (from, to) in names {
                if let value = given[from], !value.isNull { input[to] = value }
            }
            if type != "jwt" {
                input["AuthorizerPayloadFormatVersion"] =
                    .string(given["authorizerPayloadFormatVersion"].flatMap(Self.versionText) ?? "2.0")
            }
            authorizers.append(Authorizer(name: scheme.name, input: input))
        }
    }

    private static func cors(_ given: Value) -> Value {
        var cors: Value = [:]
        for (from, to) in [
            ("allowCredentials", "AllowCredentials"), ("allowHeaders", "AllowHeaders"),
            ("allowMethods", "AllowMethods"), ("allowOrigins", "AllowOrigins"), ("exposeHeaders", "ExposeHeaders"),
            ("maxAge", "MaxAge"),
        ] {
            if let value = given[from], !value.isNull { cors[to] = value }
        }
        return cors
    }
}
