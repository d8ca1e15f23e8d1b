import Contracts
import Platform
import Wire

/// A REST API with its stages, ready to serve: everything that a request needs without the database.
final class CompiledREST: Sendable {
    let id: String
    let scope: AccountRegion
    /// `disableExecuteApiEndpoint`: nothing is served.
    let isDisabled: Bool
    let stages: [String: RESTStage]

    init(id: String, scope: AccountRegion, isDisabled: Bool, stages: [String: RESTStage]) {
        self.id = id
        self.scope = scope
        self.isDisabled = isDisabled
        self.stages = stages
    }
}

/// A stage with the deployment that it serves.
final class RESTStage: Sendable {
    let name: String
    let deploymentID: String
    let variables: [(name: String, value: String)]
    let tree: RouteTree<RESTMethod>
    let settings: RESTSettings
    let responses: [GatewayResponseType: Value]
    /// API keys of the usage plans of this stage, by value.
    let keys: [String: PlanKey]
    /// Of all methods without settings of their own.
    let throttle: ThrottleSettings?
    let buckets = Throttle()
    let accessLog: CompiledStage.AccessLog?

    init(
        name: String, deploymentID: String, variables: [(name: String, value: String)], tree: RouteTree<RESTMethod>,
        settings: RESTSettings, responses: [GatewayResponseType: Value], keys: [String: PlanKey],
        throttle: ThrottleSettings?, accessLog: CompiledStage.AccessLog?
    ) {
        self.name = name
        self.deploymentID = deploymentID
        self.variables = variables
        self.tree = tree
        self.settings = settings
        self.responses = responses
        self.keys = keys
        self.throttle = throttle
        self.accessLog = accessLog
    }
}

struct PlanKey: Sendable {
    var id: String
    var plan: String
    var isEnabled: Bool
    var throttle: ThrottleSettings?
}

/// What a deployment has of the API itself.
struct RESTSettings: Sendable {
    enum Guard: Sendable {
        case open
        case policy(RESTPolicy)
        /// A policy that cannot be read lets nobody in.
        case broken
    }
    /// In lower case.
    var binaryTypes: [String] = []
    var policy = Guard.open
    /// Whether an authorizer names the API key, rather than a header.
    var takesKeyOfAuthorizer = false

    /// Whether bodies of this media type are bytes and not text.
    func isBinary(_ type: String?) -> Bool {
        guard !binaryTypes.isEmpty else { return false }
        let type = lowercased(ProxyRequest.trimmed((type ?? "").prefix { $0 != ";" }))
        return binaryTypes.contains { known in
            known == "*/*" || known == type || known.hasSuffix("/*") && type.hasPrefix(known.dropLast(1))
        }
    }
}

struct RESTMethod: Sendable {
    enum Authorization: Sendable {
        case none
        case iam
        case custom(RESTAuthorizer)
        /// An authorizer that is gone, or of a kind that is not served: nobody gets in.
        case broken
    }

    var resourceID: String
    var resourcePath: String
    /// `GET`, `ANY`
    var name: String
    var authorization = Authorization.none
    var needsKey = false
    var operationName: String?
    /// Those that must be there; empty unless a validator asks for it.
    var requiredParameters: [RequestParameter] = []
    /// Nil unless a validator asks for it: schemas by media type.
    var models: [String: JSONSchema]?
    var integration: RESTIntegration?
    var throttle: ThrottleSettings?
}

struct RESTAuthorizer: Sendable {
    enum Kind: Sendable {
        case token(IdentitySource, Pattern?)
        case request([IdentitySource])
    }
    var id: String
    var kind: Kind
    var function: String
    var lifetime: Duration
    var credentials: String?
}

struct RESTIntegration: Sendable {
    enum Target: Sendable {
        case function(arn: String, streams: Bool)
        /// The URL with `{parameter}`s, and the method: nil for that of the request.
        case http(url: String, method: String?, streams: Bool)
        case mock
        /// What cannot be called, and why.
        case broken(String)
    }
    enum Passthrough: String, Sendable {
        case whenNoMatch = "WHEN_NO_MATCH"
        case whenNoTemplates = "WHEN_NO_TEMPLATES"
        case never = "NEVER"
    }

    struct Response: Sendable {
        var status: Int
        /// Nil for the default.
        var pattern: Pattern?
        var parameters: [(header: String, mapping: RESTMapping)]
        var templates: [(type: String, text: String)]
    }

    /// As access logs name it; nil of one that calls nobody.
    var transferMode: String? {
        switch target {
        case .function(_, let streams), .http(_, _, let streams): streams ? "STREAMED" : "BUFFERED"
        case .mock, .broken: nil
        }
    }

    var target: Target
    var uri = ""
    var timeout: Duration
    var credentials: String?
    var parameters: [(to: RequestParameter, mapping: RESTMapping)] = []
    var templates: [(type: String, text: String)] = []
    var passthrough = Passthrough.whenNoMatch
    var responses: [Response] = []

    /// The response for what the integration answered: whose pattern fits, else the default.
    func response(for text: String) -> Response? {
        responses.first { $0.pattern?.matches(text) == true } ?? responses.first { $0.pattern == nil }
    }

    enum Template: Sendable {
        case text(String)
        /// The body goes on as it is.
        case passthrough
        case unsupported
    }

    /// The template for a request's media type (developer guide, "Integration passthrough behaviors").
    func template(for type: String?) -> Template {
        let type = lowercased(ProxyRequest.trimmed((type ?? "application/json").prefix { $0 != ";" }))
        if let known = templates.first(where: { lowercased($0.type) == type }) { return .text(known.text) }
        switch passthrough {
        case .whenNoMatch: return .passthrough
        case .whenNoTemplates: return templates.isEmpty ? .passthrough : .unsupported
        case .never: return .unsupported
        }
    }
}

/// Makes stages ready out of documents as they are stored.
enum RESTCompiler {
    /// The documents of one deployment, by kind and id.
    struct Deployment: Sendable {
        var resources: [Value] = []
        var authorizers: [String: Value] = [:]
        var models: [String: Value] = [:]
        var validators: [String: Value] = [:]
        var responses: [Value] = []
        var settings: Value = [:]

        /// The models, made ready; empty unless a validator looks at bodies.
        var library: JSONSchema.Library {
            guard validators.values.contains(where: { $0["validateRequestBody"]?.bool == true }) else {
                return JSONSchema.Library([:])
            }
            return JSONSchema.Library(
                models.compactMapValues { $0["schema"]?.string.flatMap { try? JSON.parse($0) } })
        }
    }

    /// `library` is the deployment's, made once for all stages that serve it.
    static func compile(
        stage document: Value, _ deployment: Deployment, _ library: JSONSchema.Library, keys: [String: PlanKey],
        api: String, scope: AccountRegion
    ) -> RESTStage {
        let variables = (document["variables"]?.fields?.entries ?? []).map {
            (name: $0.name, value: $0.value.string ?? "")
        }
        let overrides = document["methodSettings"]?.fields ?? Fields()
        var tree = RouteTree<RESTMethod>()
        for resource in deployment.resources {
            guard let path = resource["path"]?.string, let pattern = RouteTree<RESTMethod>.Pattern(path) else {
                continue
            }
            for entry in resource["resourceMethods"]?.fields?.entries ?? [] {
                var method = RESTMethod(
                    resourceID: resource["id"]?.string ?? "", resourcePath: path, name: entry.name)
                method.authorization = authorization(entry.value, deployment.authorizers, variables)
                method.needsKey = entry.value["apiKeyRequired"]?.bool ?? false
                method.operationName = entry.value["operationName"]?.string
                validation(entry.value, deployment.validators, library, &method)
                method.integration = entry.value["methodIntegration"].map { integration($0, variables) }
                method.throttle = throttle(overrides[path.dropFirst() + "/" + entry.name])
                tree.insert(method: entry.name, pattern: pattern, method)
            }
        }
        var responses: [GatewayResponseType: Value] = [:]
        for response in deployment.responses {
            if let type = response["responseType"]?.string.flatMap({ GatewayResponseType(rawValue: $0) }) {
                responses[type] = response
            }
        }
        return RESTStage(
            name: document["stageName"]?.string ?? "", deploymentID: document["deploymentId"]?.string ?? "",
            variables: variables, tree: tree, settings: settings(deployment.settings, api, scope),
            responses: responses, keys: keys, throttle: throttle(overrides["*/*"]),
            accessLog: Compiler.accessLog(
                format: document["accessLogSettings"]?["format"]?.string,
                destination: document["accessLogSettings"]?["destinationArn"]?.string, of: scope))
    }

    private static func settings(_ document: Value, _ api: String, _ scope: AccountRegion) -> RESTSettings {
        var settings = RESTSettings()
        settings.binaryTypes = (document["binaryMediaTypes"]?.list ?? []).compactMap { $0.string.map(lowercased) }
        settings.takesKeyOfAuthorizer = document["apiKeySource"]?.string == "AUTHORIZER"
        if let text = document["policy"]?.string {
            settings.policy = RESTPolicy(text, api: api, scope: scope).map { .policy($0) } ?? .broken
        }
        return settings
    }

    /// Nil without limits: -1 stands for none.
    static func throttle(_ setting: Value?) -> ThrottleSettings? {
        guard let setting else { return nil }
        let (rate, burst) = (
            setting["throttlingRateLimit"]?.double ?? -1, Int(setting["throttlingBurstLimit"]?.int ?? -1)
        )
        guard rate >= 0 || burst >= 0 else { return nil }
        return ThrottleSettings(
            rate: rate >= 0 ? rate : 10_000, burst: burst >= 0 ? burst : max(Int(exactly: rate.rounded()) ?? 1, 1))
    }

    private static func validation(
        _ method: Value, _ validators: [String: Value], _ library: JSONSchema.Library, _ compiled: inout RESTMethod
    ) {
        guard let validator = method["requestValidatorId"]?.string.flatMap({ validators[$0] }) else { return }
        if validator["validateRequestParameters"]?.bool == true {
            compiled.requiredParameters = (method["requestParameters"]?.fields?.entries ?? []).compactMap {
                $0.value.bool == true ? RequestParameter($0.name) : nil
            }
        }
        if validator["validateRequestBody"]?.bool == true {
            var models: [String: JSONSchema] = [:]
            for entry in method["requestModels"]?.fields?.entries ?? [] {
                models[lowercased(entry.name)] = entry.value.string.flatMap { JSONSchema($0, of: library) }
            }
            compiled.models = models
        }
    }

    private static func authorization(
        _ method: Value, _ authorizers: [String: Value], _ variables: [(name: String, value: String)]
    ) -> RESTMethod.Authorization {
        switch method["authorizationType"]?.string ?? "NONE" {
        case "NONE": return .none
        case "AWS_IAM": return .iam
        case "CUSTOM":
            guard let document = method["authorizerId"]?.string.flatMap({ authorizers[$0] }),
                let authorizer = authorizer(document, variables)
            else { return .broken }
            return .custom(authorizer)
        default: return .broken
        }
    }

    /// Nil when it names no function.
    static func authorizer(_ document: Value, _ variables: [(name: String, value: String)]) -> RESTAuthorizer? {
        let uri = FunctionURI.substitute(document["authorizerUri"]?.string ?? "", stageVariables: variables)
        guard let function = FunctionURI.function(in: uri),
            let sources = IdentitySource.list(document["identitySource"]?.string ?? "")
        else { return nil }
        let kind: RESTAuthorizer.Kind
        if document["type"]?.string == "TOKEN" {
            guard let source = sources.first else { return nil }
            let expression = document["identityValidationExpression"]?.string ?? ""
            kind = .token(source, expression.isEmpty ? nil : try? Pattern(expression))
        } else {
            kind = .request(sources)
        }
        let lifetime = document["authorizerResultTtlInSeconds"]?.int ?? RESTLimits.usualAuthorizerLifetime
        let role = document["authorizerCredentials"]?.string ?? ""
        return RESTAuthorizer(
            id: document["id"]?.string ?? "", kind: kind, function: function,
            // Without identity sources there is nothing to keep answers by.
            lifetime: .seconds(sources.isEmpty ? 0 : lifetime), credentials: role.isEmpty ? nil : role)
    }

    private static func integration(_ document: Value, _ variables: [(name: String, value: String)]) -> RESTIntegration
    {
        let uri = FunctionURI.substitute(document["uri"]?.string ?? "", stageVariables: variables)
        let method = document["httpMethod"]?.string
        let target: RESTIntegration.Target
        let streams = document["responseTransferMode"]?.string == "STREAM"
        switch document["type"]?.string {
        case "AWS_PROXY":
            if method != "POST" {
                target = .broken("The integration of a function must have the HTTP method POST.")
            } else if let function = FunctionURI.function(in: uri) {
                target = .function(arn: function, streams: streams)
            } else {
                target = .broken("Invalid endpoint address")
            }
        case "HTTP_PROXY": target = .http(url: uri, method: method == "ANY" ? nil : method, streams: streams)
        case "MOCK": target = .mock
        default: target = .broken("Integrations of this type are not served.")
        }
        var integration = RESTIntegration(
            target: target, uri: uri,
            timeout: .milliseconds(document["timeoutInMillis"]?.int ?? RESTLimits.usualTimeout))
        let role = document["credentials"]?.string ?? ""
        integration.credentials = role.isEmpty ? nil : role
        for entry in document["requestParameters"]?.fields?.entries ?? [] {
            guard let to = RESTMapping.destination(entry.name),
                let mapping = entry.value.string.flatMap({ RESTMapping($0, side: .request) })
            else { continue }
            integration.parameters.append((to, mapping))
        }
        integration.templates = templates(document["requestTemplates"])
        integration.passthrough =
            document["passthroughBehavior"]?.string.flatMap { .init(rawValue: $0) } ?? .whenNoMatch
        integration.responses = (document["integrationResponses"]?.fields?.entries ?? []).compactMap {
            response($0.value)
        }
        return integration
    }

    private static func templates(_ document: Value?) -> [(type: String, text: String)] {
        (document?.fields?.entries ?? []).map { (type: $0.name, text: $0.value.string ?? "") }
    }

    private static func response(_ document: Value) -> RESTIntegration.Response? {
        guard let status = document["statusCode"]?.string.flatMap({ Int($0) }) else { return nil }
        let pattern = document["selectionPattern"]?.string ?? ""
        var response = RESTIntegration.Response(
            status: status, pattern: pattern.isEmpty ? nil : try? Pattern(pattern), parameters: [],
            templates: templates(document["responseTemplates"]))
        for entry in document["responseParameters"]?.fields?.entries ?? [] {
            guard let mapping = entry.value.string.flatMap({ RESTMapping($0, side: .response) }) else { continue }
            response.parameters.append((String(entry.name.dropFirst("method.response.header.".count)), mapping))
        }
        return response
    }
}
