import Contracts
import Platform
import Storage
import Wire

struct IntegrationOperations: Sendable {
    let editor: Editor

    private static let members = [
        "ConnectionId", "ConnectionType", "ContentHandlingStrategy", "CredentialsArn", "Description",
        "IntegrationMethod", "IntegrationSubtype", "IntegrationType", "IntegrationUri", "PassthroughBehavior",
        "PayloadFormatVersion", "RequestParameters", "RequestTemplates", "ResponseParameters",
        "TemplateSelectionExpression", "TimeoutInMillis", "TlsConfig",
    ]

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let isSocket = try await editor.isSocket(request.input["ApiId"]?.string, request.context)
        var document = try Self.document(of: request.input, editor, request.context, isSocket: isSocket)
        let id = ResourceID.item()
        document["IntegrationId"] = .string(id)
        let made = document
        try await editor.edit(request.input["ApiId"]?.string, request.context) { api, transaction in
            guard try Item.count(.integration, api: api.id, in: transaction) < Limits.integrations else {
                throw GatewayError.tooMany("Integration", Limits.integrations)
            }
            try Item.put(.integration, id, made, api: api.id, in: transaction)
        }
        return OperationResponse(document)
    }

    /// A new integration, checked, with what it has without being asked.
    static func document(
        of input: Value, _ editor: Editor, _ context: OperationContext, isSocket: Bool = false
    ) throws(AWSError) -> Value {
        if isSocket {
            let document = SocketRules.integration(of: input, members)
            try validate(document, editor, context, isSocket: true)
            return document
        }
        var document: Value = ["ConnectionType": "INTERNET", "TimeoutInMillis": 30_000]
        document = document.merging(input, members)
        if document["IntegrationType"]?.string == "AWS_PROXY", document["IntegrationMethod"] == nil,
            document["IntegrationSubtype"] == nil
        {
            document["IntegrationMethod"] = "POST"
        }
        try validate(document, editor, context)
        return document
    }

    private static let types = MemberTypes(
        integers: ["TimeoutInMillis": 50...30_000], truths: ["ApiGatewayManaged"],
        maps: ["RequestParameters", "RequestTemplates"],
        others: ["ResponseParameters", "TlsConfig"])

    static func validate(
        _ document: Value, _ editor: Editor, _ context: OperationContext, isSocket: Bool = false
    ) throws(AWSError) {
        if let problem = types.problem(of: document) { throw GatewayError.bad(problem) }
        let integration = V2Model.Integration(document)
        guard integration.connectionType != "VPC_LINK" else {
            throw GatewayError.missing("Private integrations (ConnectionType VPC_LINK)")
        }
        guard integration.connectionId == nil else {
            throw GatewayError.bad("ConnectionId must not be set for INTERNET connections")
        }
        if integration.integrationSubtype != nil {
            throw GatewayError.missing("Integrations with other AWS services (IntegrationSubtype)")
        }
        if let role = integration.credentialsArn, !role.hasSuffix(":user/*"),
            ARN(role)?.account != context.scope.account
        {
            throw GatewayError.bad(
                "Invalid credentials ARN specified: \(role). It must be a role of the API's account.")
        }
        if isSocket { return try SocketRules.validate(integration: document, editor, context) }
        guard let uri = integration.integrationUri, !uri.isEmpty else {
            throw GatewayError.bad("IntegrationUri is a required parameter for integration")
        }
        guard let version = integration.payloadFormatVersion else {
            throw GatewayError.bad("PayloadFormatVersion is a required parameter for integration")
        }
        switch integration.integrationType {
        case "AWS_PROXY":
            guard PayloadVersion(rawValue: version) != nil else {
                throw GatewayError.bad("Invalid value for PayloadFormatVersion: \(version)")
            }
            let sample = FunctionURI.substitute(uri, stageVariables: [])
            guard FunctionURI.function(in: sample) != nil || uri.contains("${stageVariables.") else {
                throw GatewayError.bad("Invalid integration URI specified")
            }
        case "HTTP_PROXY":
            guard version == "1.0" else {
                throw GatewayError.bad("PayloadFormatVersion \(version) is not supported for HTTP_PROXY integrations")
            }
            guard let method = integration.integrationMethod else {
                throw GatewayError.bad("HttpMethod must be set for HTTP_PROXY integrations")
            }
            guard RouteKey.methods.contains(method) else {
                throw GatewayError.bad("Invalid HTTP method specified: \(method)")
            }
            guard
                lowercased(uri).hasPrefix("http://") || lowercased(uri).hasPrefix("https://")
                    || uri.hasPrefix("${stageVariables.")
            else { throw GatewayError.bad("Invalid HTTP endpoint specified for URI") }
            try editor.checkNetwork(context, what: "HTTP_PROXY integrations")
        default:
            throw GatewayError.bad(
                "The integration type \(integration.integrationType ?? "") is not supported for HTTP APIs")
        }
        try validateMappings(document, integration)
    }

    private static func validateMappings(
        _ document: Value, _ integration: V2Model.Integration
    ) throws(AWSError) {
        do {
            _ = try ParameterMapping(integration.requestParameters ?? [], side: .request)
            for entry in document["ResponseParameters"]?.fields?.entries ?? [] {
                guard let status = Int(entry.name), (200...599).contains(status) else {
                    throw MappingError(reason: "Invalid status code specified: \(entry.name)")
                }
                _ = try ParameterMapping(entry.value.pairs { $0.string } ?? [], side: .response)
            }
        } catch let error as MappingError {
            throw GatewayError.bad(error.reason)
        } catch {
            throw GatewayError.bad("Invalid mapping")
        }
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["IntegrationId"]?.string ?? ""
        return OperationResponse(
            try await editor.read(request.input["ApiId"]?.string, request.context) { api, transaction in
                try Item.require(.integration, id, api: api.id, in: transaction)
            })
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        try await editor.list(.integration, request)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let (input, context) = (request.input, request.context)
        let id = input["IntegrationId"]?.string ?? ""
        let editor = editor
        let document = try await editor.edit(input["ApiId"]?.string, context) { api, transaction in
            let maps: Set<String> = ["RequestParameters", "ResponseParameters"]
            var document = try Item.require(.integration, id, api: api.id, in: transaction)
            document = document.merging(input, Self.members.filter { !maps.contains($0) })
                .mergingMap("RequestParameters", input).mergingMap("ResponseParameters", input)
            for name in maps where document[name]?.fields?.isEmpty == true { document[name] = nil }
            try Self.validate(document, editor, context, isSocket: api.proto == SocketRules.proto)
            try Item.put(.integration, id, document, api: api.id, in: transaction)
            return document
        }
        return OperationResponse(document)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["IntegrationId"]?.string ?? ""
        try await editor.edit(request.input["ApiId"]?.string, request.context) { api, transaction in
            _ = try Item.require(.integration, id, api: api.id, in: transaction)
            let users = try Item.list(.route, api: api.id, in: transaction).filter {
                $0.document["Target"]?.string == "integrations/\(id)"
            }
            guard users.isEmpty else {
                throw GatewayError.conflict(
                    "Cannot delete Integration because it is referenced by the following Routes with Ids: ["
                        + users.map(\.id).joined(separator: ", ") + "]")
            }
            try Item.delete(.integration, id, api: api.id, in: transaction)
            try Item.delete(.integrationResponse, prefix: id + "/", api: api.id, in: transaction)
        }
        return OperationResponse()
    }
}
