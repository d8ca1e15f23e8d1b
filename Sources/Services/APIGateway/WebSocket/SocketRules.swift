import Contracts
import Platform
import Storage
import Wire

/// What the control plane checks of WebSocket APIs and not of HTTP APIs.
enum SocketRules {
    static let proto = "WEBSOCKET"

    // MARK: APIs

    /// What an API has without being asked.
    static let defaults: Value = [
        "ApiKeySelectionExpression": "$request.header.x-api-key", "DisableExecuteApiEndpoint": false,
        "IpAddressType": "ipv4",
    ]

    static func validate(api input: Value, isNew: Bool) throws(AWSError) {
        if let text = input["RouteSelectionExpression"]?.string {
            guard SelectionExpression(text) != nil else {
                throw GatewayError.bad("Invalid route selection expression specified")
            }
        } else if isNew {
            throw GatewayError.bad("RouteSelectionExpression is a required parameter for WEBSOCKET protocol")
        }
        for (member, what) in [
            ("CorsConfiguration", "CORS"), ("Target", "Quick create"), ("RouteKey", "Quick create"),
            ("CredentialsArn", "Quick create"),
        ] where input[member] != nil {
            throw GatewayError.bad("\(what) is not supported for WEBSOCKET protocol")
        }
    }

    // MARK: Routes

    static let reserved = ["$connect", "$disconnect", "$default"]

    static func isRouteKey(_ key: String) -> Bool {
        if key.hasPrefix("$") { return reserved.contains(key) }
        return (1...Limits.routeKey).contains(key.utf8.count) && key.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    static let badKey = GatewayError.bad("The provided route key is not formatted properly")

    static func validate(route document: Value) throws(AWSError) {
        let route = V2Model.Route(document)
        guard let key = route.routeKey, isRouteKey(key) else { throw badKey }
        if route.apiKeyRequired == true {
            throw GatewayError.missing("API keys of WebSocket APIs (ApiKeyRequired)")
        }
        let type = route.authorizationType ?? "NONE"
        guard type == "NONE" || key == "$connect" else {
            throw GatewayError.bad("Currently, authorization restriction is only supported on the $connect Route")
        }
        guard type != "JWT" else {
            throw GatewayError.bad("JWT authorization is not supported for WEBSOCKET protocol")
        }
        if let expression = route.routeResponseSelectionExpression, expression != "$default" {
            throw GatewayError.bad("Invalid route response selection expression specified")
        }
        if route.requestModels?.isEmpty == false || route.modelSelectionExpression != nil {
            throw GatewayError.missing("Validating messages against models (RequestModels)")
        }
    }

    // MARK: Integrations

    /// A new integration, with what it has without being asked.
    static func integration(of input: Value, _ members: [String]) -> Value {
        var document: Value = [
            "ConnectionType": "INTERNET", "PassthroughBehavior": "WHEN_NO_MATCH", "PayloadFormatVersion": "1.0",
            "TimeoutInMillis": .int(Limits.socketIntegrationMilliseconds),
        ]
        document = document.merging(input, members)
        if document["IntegrationType"]?.string == "AWS_PROXY", document["IntegrationMethod"] == nil {
            document["IntegrationMethod"] = "POST"
        }
        if document["IntegrationType"]?.string == "MOCK" {
            document["IntegrationResponseSelectionExpression"] = "${integration.response.statuscode}"
        }
        return document
    }

    static func validate(
        integration document: Value, _ editor: Editor, _ context: OperationContext
    ) throws(AWSError) {
        let integration = V2Model.Integration(document)
        guard integration.payloadFormatVersion == "1.0" else {
            throw GatewayError.bad("PayloadFormatVersion must be 1.0 for WEBSOCKET protocol")
        }
        guard let timeout = integration.timeoutInMillis,
            (50...Limits.socketIntegrationMilliseconds).contains(Int64(timeout))
        else { throw GatewayError.bad("Timeout should be between 50 ms and 29000 ms") }
        if integration.requestParameters?.isEmpty == false || document["ResponseParameters"]?.fields?.isEmpty == false {
            throw GatewayError.missing("Parameter mapping of WebSocket APIs")
        }
        let uri = integration.integrationUri ?? ""
        switch integration.integrationType {
        case "AWS_PROXY":
            guard !uri.isEmpty else {
                throw GatewayError.bad("IntegrationUri is a required parameter for integration")
            }
            let sample = FunctionURI.substitute(uri, stageVariables: [])
            guard FunctionURI.function(in: sample) != nil || uri.contains("${stageVariables.") else {
                throw GatewayError.bad("Invalid integration URI specified")
            }
        case "HTTP_PROXY":
            guard let method = integration.integrationMethod, RouteKey.methods.contains(method), method != "ANY" else {
                throw GatewayError.bad("HttpMethod must be set for HTTP_PROXY integrations")
            }
            guard
                lowercased(uri).hasPrefix("http://") || lowercased(uri).hasPrefix("https://")
                    || uri.hasPrefix("${stageVariables.")
            else { throw GatewayError.bad("Invalid HTTP endpoint specified for URI") }
            try editor.checkNetwork(context, what: "HTTP_PROXY integrations")
        case "MOCK":
            for (_, template) in integration.requestTemplates ?? [] where mockStatus(template) == nil {
                throw GatewayError.missing("Mapping templates in VTL")
            }
        case "AWS", "HTTP":
            throw GatewayError.missing(
                "Integrations with mapping templates (IntegrationType \(integration.integrationType ?? ""))")
        default: throw GatewayError.bad("Invalid integration type specified")
        }
    }

    /// What a template without anything to evaluate says: the status of a MOCK integration.
    static func mockStatus(_ template: String) -> Int? {
        guard !template.contains("$"), !template.contains("#"), let value = try? JSON.parse(template),
            let status = value.fields?["statusCode"]?.int, (100...599).contains(status)
        else { return nil }
        return Int(status)
    }

    // MARK: Authorizers

    static func validate(authorizer document: Value) throws(AWSError) {
        let authorizer = V2Model.Authorizer(document)
        guard authorizer.authorizerType == "REQUEST" else {
            throw GatewayError.bad("Only REQUEST authorizers are supported for WEBSOCKET protocol")
        }
        guard let uri = authorizer.authorizerUri else {
            throw GatewayError.bad("AuthorizerUri must be set for REQUEST authorizers")
        }
        guard FunctionURI.function(in: uri) != nil || uri.contains("${stageVariables.") else {
            throw GatewayError.bad(
                "Invalid Authorizer URI: \(uri). Authorizer URI should be a valid API Gateway ARN that represents a "
                    + "Lambda function invocation.")
        }
        if authorizer.authorizerPayloadFormatVersion != nil || authorizer.enableSimpleResponses == true
            || authorizer.authorizerResultTtlInSeconds ?? 0 != 0
        {
            throw GatewayError.bad(
                "AuthorizerPayloadFormatVersion, EnableSimpleResponses and AuthorizerResultTtlInSeconds are not "
                    + "supported for WEBSOCKET protocol")
        }
        guard authorizer.jwtConfiguration == nil else {
            throw GatewayError.bad("JwtConfiguration must not be set for REQUEST authorizers")
        }
    }

    /// `route.request.header.Auth`, `route.request.querystring.name`, `context.…`, `stageVariables.…`.
    static func isSource(_ text: String) -> Bool {
        ["route.request.header.", "route.request.querystring.", "context.", "stageVariables."].contains {
            text.hasPrefix($0) && text.utf8.count > $0.utf8.count
        } && text.utf8.count <= 512
    }
}
