import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// ImportApi, ReimportApi and ExportApi.
struct DocumentOperations: Sendable {
    let editor: Editor

    /// A document's parts, checked as the operations check what they are given.
    private struct Plan: Sendable {
        var document: APIDocument
        var api: Value
        var integrations: [Value]
        var authorizers: [Value]
    }

    func importAPI(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let plan = try plan(request)
        var document = APIOperations.defaults.merging(plan.api, plan.api.fields?.names ?? [])
        document["ProtocolType"] = "HTTP"
        document["CreatedDate"] = .timestamp(context.now)
        if !plan.document.tags.isEmpty { document["Tags"] = .map(plan.document.tags) }
        let row = APIRow(id: ResourceID.api(), scope: context.scope, proto: "HTTP", document: document)
        try await editor.database.write { transaction in
            guard try APIRow.count(row.scope, in: transaction) < Limits.apis else {
                throw GatewayError.tooMany("Api", Limits.apis)
            }
            try row.insert(created: context.now, in: transaction)
            try APIOperations.keepCORS(of: row, in: transaction)
            try Self.fill(row, plan, in: transaction)
        }
        return response(row, plan, context)
    }

    /// Replaces everything that the document describes; stages and deployments stay.
    func reimport(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let plan = try plan(request)
        let row = try await editor.edit(request.input["ApiId"]?.string, context) { api, transaction in
            var row = api
            for name in ["Description", "Version", "CorsConfiguration"] { row.document[name] = nil }
            row.document = row.document.merging(plan.api, plan.api.fields?.names ?? [])
            try row.update(in: transaction)
            try APIOperations.keepCORS(of: row, in: transaction)
            for kind in [ItemKind.route, .integration, .authorizer, .routeResponse, .integrationResponse] {
                try Item.delete(kind, prefix: "", api: api.id, in: transaction)
            }
            try Self.fill(row, plan, in: transaction)
            return row
        }
        return response(row, plan, context)
    }

    private func response(_ row: APIRow, _ plan: Plan, _ context: OperationContext) -> OperationResponse {
        var output = APIOperations.shape(row, context)
        if !plan.document.warnings.isEmpty { output["Warnings"] = .strings(plan.document.warnings.prefix(100)) }
        return OperationResponse(output)
    }

    private func plan(_ request: OperationRequest) throws(AWSError) -> Plan {
        let input = request.input
        var basePath = BasePath.ignore
        if let text = input["Basepath"]?.string {
            guard let known = BasePath(rawValue: text) else {
                throw GatewayError.bad("Invalid basepath: \(text). Valid values are ignore, prepend and split")
            }
            basePath = known
        }
        let document: APIDocument
        do throws(DocumentReader.Problem) {
            document = try APIDocument(try DocumentReader.read(input["Body"]?.string ?? ""), basePath: basePath)
        } catch {
            throw GatewayError.bad("Unable to import API: \(error.reason)")
        }
        if input["FailOnWarnings"]?.bool == true, let first = document.warnings.first {
            throw GatewayError.bad("Warnings found during import: \(first)")
        }
        var api: Value = ["Name": .string(document.name)]
        if let text = document.description { api["Description"] = .string(text) }
        if let text = document.version { api["Version"] = .string(text) }
        if let cors = document.cors { api["CorsConfiguration"] = cors }
        let types = MemberTypes(
            integers: ["MaxAge": -1...86_400], truths: ["AllowCredentials"],
            lists: ["AllowHeaders", "AllowMethods", "AllowOrigins", "ExposeHeaders"])
        if let problem = types.problem(of: document.cors ?? [:]) { throw GatewayError.bad(problem) }
        guard document.tags.count <= Limits.tags else {
            throw GatewayError.bad("An API can have at most \(Limits.tags) tags")
        }
        try APIOperations.validate(api)
        guard document.authorizers.count <= Limits.authorizers else {
            throw GatewayError.tooMany("Authorizer", Limits.authorizers)
        }
        var plan = Plan(document: document, api: api, integrations: [], authorizers: [])
        for integration in document.integrations {
            plan.integrations.append(
                try IntegrationOperations.document(of: integration.input, editor, request.context))
        }
        for authorizer in document.authorizers {
            plan.authorizers.append(
                try AuthorizerOperations.document(of: authorizer.input, editor, request.context))
        }
        return plan
    }

    private static func fill(_ row: APIRow, _ plan: Plan, in transaction: any WriteTransaction) throws {
        let api = row.id
        var integrations: [String] = []
        for integration in plan.integrations {
            let id = ResourceID.item()
            var document = integration
            document["IntegrationId"] = .string(id)
            try Item.put(.integration, id, document, api: api, in: transaction)
            integrations.append(id)
        }
        var authorizers: [String: String] = [:]
        for authorizer in plan.authorizers {
            let made = try AuthorizerOperations.insert(authorizer, api: api, in: transaction)
            authorizers[made["Name"]?.string ?? ""] = made["AuthorizerId"]?.string
        }
        for route in plan.document.routes {
            let id = ResourceID.item()
            var document = (["ApiKeyRequired": false, "AuthorizationType": "NONE"] as Value)
                .merging(route.input, route.input.fields?.names ?? [])
            document["RouteId"] = .string(id)
            if let index = route.integration { document["Target"] = .string("integrations/" + integrations[index]) }
            if let name = route.authorizer, let id = authorizers[name] { document["AuthorizerId"] = .string(id) }
            // The document's keys are known to differ from one another.
            try RouteOperations.check(document, api: row, in: transaction)
            try Item.put(.route, id, document, api: api, in: transaction)
        }
    }

    // MARK: Export

    func export(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        guard input["Specification"]?.string == "OAS30" else {
            throw GatewayError.bad("Specification must be OAS30")
        }
        let type = input["OutputType"]?.string ?? ""
        guard type == "JSON" || type == "YAML" else { throw GatewayError.bad("OutputType must be JSON or YAML") }
        if let version = input["ExportVersion"]?.string, version != "1.0" {
            throw GatewayError.bad("ExportVersion must be 1.0")
        }
        let stage = input["StageName"]?.string
        let extensions = input["IncludeExtensions"]?.bool ?? true
        let endpoint = APIOperations.endpoint(input["ApiId"]?.string ?? "", context)
        let document = try await editor.read(input["ApiId"]?.string, context) { api, transaction in
            var deployment = ""
            if let stage {
                let served = try Item.require(.stage, stage, api: api.id, in: transaction)["DeploymentId"]?.string
                guard let served else { throw GatewayError.bad("The stage has no deployment") }
                deployment = served
            }
            var exporter = Exporter(api: api, endpoint: endpoint, stage: stage, hasExtensions: extensions)
            for item in try Item.list(.integration, api: api.id, deployment: deployment, in: transaction) {
                exporter.integrations[item.id] = item.document
            }
            for item in try Item.list(.authorizer, api: api.id, deployment: deployment, in: transaction) {
                exporter.authorizers[item.id] = item.document
            }
            let routes = try Item.list(.route, api: api.id, deployment: deployment, in: transaction)
            return exporter.document(routes.map(\.document))
        }
        let bytes = type == "JSON" ? JSON.encode(document) : Array(try DocumentReader.yamlText(document).utf8)
        return OperationResponse(payload: .bytes(ByteBuffer(bytes: bytes)))
    }
}

/// Writes an API as an OpenAPI 3 document, so that importing it makes the same API.
private struct Exporter {
    let api: APIRow
    let endpoint: String
    let stage: String?
    let hasExtensions: Bool
    var integrations: [String: Value] = [:]
    var authorizers: [String: Value] = [:]

    func document(_ routes: [Value]) -> Value {
        var info: Value = ["title": api.document["Name"] ?? ""]
        if let text = api.document["Description"] { info["description"] = text }
        info["version"] = api.document["Version"] ?? ""
        var document: Value = ["openapi": "3.0.1"]
        document["info"] = info
        let path = stage.map { $0 == CompiledAPI.defaultStage ? "" : "/" + $0 } ?? ""
        document["servers"] = [["url": .string(endpoint + path)]]
        if hasExtensions, let tags = api.document["Tags"]?.fields, !tags.isEmpty {
            document["tags"] = .list(
                tags.entries.map { ["name": .string($0.name), "x-amazon-apigateway-tag-value": $0.value] })
        }
        var paths = Fields()
        for value in routes.sorted(by: { ($0["RouteKey"]?.string ?? "") < ($1["RouteKey"]?.string ?? "") }) {
            guard let key = value["RouteKey"]?.string.flatMap({ RouteKey($0) }) else { continue }
            let path = key.path == "$default" ? "/$default" : key.path
            let isAny = key.method == "ANY" || key.path == "$default"
            let method = isAny ? "x-amazon-apigateway-any-method" : lowercased(key.method)
            var operations = paths[path] ?? [:]
            operations[method] = operation(value, key)
            paths[path] = operations
        }
        document["paths"] = .map(paths)
        if let components = components() { document["components"] = components }
        if hasExtensions, let cors = api.document["CorsConfiguration"]?.fields {
            document["x-amazon-apigateway-cors"] = .map(lowerCamel(cors))
        }
        if hasExtensions { document["x-amazon-apigateway-importexport-version"] = "1.0" }
        return document
    }

    private func operation(_ route: Value, _ key: RouteKey) -> Value {
        var operation: Value = [
            "responses": ["default": ["description": .string("Default response for \(key.text)")]]
        ]
        if key.path == "$default" { operation["isDefaultRoute"] = true }
        if let name = route["OperationName"] { operation["operationId"] = name }
        let names = key.pattern?.names ?? []
        if !names.isEmpty {
            operation["parameters"] = .list(
                names.map {
                    [
                        "name": .string($0), "in": "path", "description": .string("Generated path parameter for \($0)"),
                        "required": true, "schema": ["type": "string"],
                    ]
                })
        }
        if let id = route["AuthorizerId"]?.string, let name = authorizers[id]?["Name"]?.string {
            operation["security"] = [.map(Fields([(name, route["AuthorizationScopes"] ?? [])]))]
        } else if route["AuthorizationType"]?.string == "AWS_IAM" {
            operation["security"] = [["sigv4": []]]
        }
        if hasExtensions, let target = route["Target"]?.string,
            let integration = integrations[String(target.dropFirst("integrations/".count))]
        {
            operation["x-amazon-apigateway-integration"] = self.integration(integration)
        }
        return operation
    }

    private func integration(_ value: Value) -> Value {
        var output: Value = [:]
        for (from, to) in [
            ("PayloadFormatVersion", "payloadFormatVersion"), ("CredentialsArn", "credentials"),
            ("IntegrationMethod", "httpMethod"), ("IntegrationUri", "uri"), ("ConnectionType", "connectionType"),
            ("TimeoutInMillis", "timeoutInMillis"), ("Description", "description"),
            ("RequestParameters", "requestParameters"), ("ResponseParameters", "responseParameters"),
        ] {
            if let member = value[from] { output[to] = member }
        }
        output["type"] = .string(lowercased(value["IntegrationType"]?.string ?? ""))
        if let name = value["TlsConfig"]?["ServerNameToVerify"] { output["tlsConfig"] = ["serverNameToVerify": name] }
        return output
    }

    private func components() -> Value? {
        var schemes = Fields()
        for value in authorizers.values.sorted(by: { ($0["Name"]?.string ?? "") < ($1["Name"]?.string ?? "") }) {
            var authorizer: Value = [:]
            authorizer["identitySource"] = .string(
                (value["IdentitySource"]?.list ?? []).compactMap(\.string).joined(separator: ","))
            let isJWT = value["AuthorizerType"]?.string == "JWT"
            if let settings = value["JwtConfiguration"]?.fields {
                authorizer["jwtConfiguration"] = .map(lowerCamel(settings))
            }
            for (from, to) in [
                ("AuthorizerUri", "authorizerUri"), ("AuthorizerCredentialsArn", "authorizerCredentials"),
                ("AuthorizerPayloadFormatVersion", "authorizerPayloadFormatVersion"),
                ("AuthorizerResultTtlInSeconds", "authorizerResultTtlInSeconds"),
                ("EnableSimpleResponses", "enableSimpleResponses"),
            ] {
                if let member = value[from] { authorizer[to] = member }
            }
            authorizer["type"] = isJWT ? "jwt" : "request"
            var scheme: Value =
                isJWT
                ? ["type": "oauth2", "flows": [:]]
                : ["type": "apiKey", "name": "Unused", "in": "header"]
            if hasExtensions { scheme["x-amazon-apigateway-authorizer"] = authorizer }
            schemes[value["Name"]?.string ?? ""] = scheme
        }
        if hasExtensions {
            schemes["sigv4"] = [
                "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4",
            ]
        }
        return schemes.isEmpty ? nil : ["securitySchemes": .map(schemes)]
    }

    /// Members as OpenAPI extensions write them: `AllowOrigins` → `allowOrigins`.
    private func lowerCamel(_ fields: Fields) -> Fields {
        Fields(fields.entries.map { ($0.name.prefix(1).lowercased() + $0.name.dropFirst(), $0.value) })
    }
}
