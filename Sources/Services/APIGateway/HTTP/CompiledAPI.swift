import Contracts
import Platform
import Wire

/// An HTTP API with its stages, ready to serve: everything that a request needs without the database.
final class CompiledAPI: Sendable {
    let id: String
    let scope: AccountRegion
    /// `DisableExecuteApiEndpoint`: nothing is served.
    let isDisabled: Bool
    let stages: [String: CompiledStage]

    init(id: String, scope: AccountRegion, isDisabled: Bool, stages: [String: CompiledStage]) {
        self.id = id
        self.scope = scope
        self.isDisabled = isDisabled
        self.stages = stages
    }

    static let defaultStage = "$default"

    /// The stage that serves a path, and whether its name is the first segment.
    func stage(ofPath path: String) -> (stage: CompiledStage, isInPath: Bool)? {
        let first = path.utf8.dropFirst().prefix { $0 != UInt8(ascii: "/") }
        if !first.isEmpty, let stage = stages[ProxyRequest.decoded(String(Substring(first)))],
            stage.name != Self.defaultStage
        {
            return (stage, true)
        }
        return stages[Self.defaultStage].map { ($0, false) }
    }
}

/// A stage with the deployment that it serves.
final class CompiledStage: Sendable {
    let name: String
    let variables: [(name: String, value: String)]
    let tree: RouteTree<CompiledRoute>
    let defaultRoute: CompiledRoute?
    let cors: CORSPolicy?
    /// Of all routes without settings of their own.
    let throttle: ThrottleSettings?
    let buckets = Throttle()
    let accessLog: AccessLog?

    struct AccessLog: Sendable {
        var format: AccessLogFormat
        var scope: AccountRegion
        var group: String
    }

    init(
        name: String, variables: [(name: String, value: String)], tree: RouteTree<CompiledRoute>,
        defaultRoute: CompiledRoute?, cors: CORSPolicy?, throttle: ThrottleSettings?, accessLog: AccessLog?
    ) {
        self.name = name
        self.variables = variables
        self.tree = tree
        self.defaultRoute = defaultRoute
        self.cors = cors
        self.throttle = throttle
        self.accessLog = accessLog
    }
}

struct CompiledRoute: Sendable {
    enum Authorization: Sendable {
        case none
        case iam
        case jwt(JWTSettings, scopes: [String])
        case lambda(LambdaAuthorizer)
        /// An authorizer that is gone, or of a kind that is not served: nobody gets in.
        case broken
    }

    var key: String
    /// The path of the route key, or `$default`.
    var path: String
    var authorization: Authorization
    /// Nil when the route has no target.
    var integration: CompiledIntegration?
    var throttle: ThrottleSettings?

    /// The end of the ARN that permissions name: `GET/pets/{id}`, `$default`.
    func resource(method: String) -> String { path == "$default" ? path : method + path }
}

struct CompiledIntegration: Sendable {
    enum Target: Sendable {
        case function(arn: String, version: PayloadVersion)
        /// The URL with `{parameter}`s, and the method: nil for that of the request.
        case http(url: String, method: String?)
        /// What cannot be called, and why.
        case broken(String)
    }
    var target: Target
    var timeout: Duration
    /// The role that it is called as; `arn:aws:iam::*:user/*` for the caller's own rights.
    var credentials: String?
    var request: ParameterMapping
    /// By status code of the integration's answer.
    var responses: [Int: ParameterMapping]
    var tlsServerName: String?
}

struct JWTSettings: Sendable, Hashable {
    var issuer: String
    var audiences: [String]
    /// `$request.header.Authorization`
    var identitySource: String
}

struct LambdaAuthorizer: Sendable {
    var id: String
    var function: String
    var version: PayloadVersion
    var allowsSimple: Bool
    var identitySources: [String]
    var lifetime: Duration
    var credentials: String?
}

/// Makes compiled APIs out of documents as they are stored.
enum Compiler {
    /// The documents of one deployment, by kind and id.
    struct Deployment: Sendable {
        var routes: [Value] = []
        var integrations: [String: Value] = [:]
        var authorizers: [String: Value] = [:]
        var cors: Value?
    }

    static func compile(stage document: Value, _ deployment: Deployment, api: String, scope: AccountRegion)
        -> CompiledStage
    {
        let stage = V2Model.Stage(document)
        let variables = (stage.stageVariables ?? []).map { (name: $0.key, value: $0.value) }
        var overrides: [String: ThrottleSettings] = [:]
        for (key, settings) in stage.routeSettings ?? [] { overrides[key] = throttle(settings) }
        var tree = RouteTree<CompiledRoute>()
        var defaultRoute: CompiledRoute?
        var integrations: [String: CompiledIntegration] = [:]
        for (id, value) in deployment.integrations { integrations[id] = integration(value, variables) }
        for value in deployment.routes {
            let route = V2Model.Route(value)
            guard let key = route.routeKey.flatMap({ RouteKey($0) }) else { continue }
            let target = route.target.flatMap { target in
                target.hasPrefix("integrations/") ? integrations[String(target.dropFirst(13))] : nil
            }
            let compiled = CompiledRoute(
                key: key.text, path: key.path, authorization: authorization(route, deployment.authorizers, variables),
                integration: target, throttle: overrides[key.text])
            if let pattern = key.pattern {
                tree.insert(method: key.method, pattern: pattern, compiled)
            } else {
                defaultRoute = compiled
            }
        }
        return CompiledStage(
            name: stage.stageName ?? "", variables: variables, tree: tree, defaultRoute: defaultRoute,
            cors: deployment.cors.map(cors), throttle: stage.defaultRouteSettings.flatMap(throttle),
            accessLog: accessLog(
                format: stage.accessLogSettings?.format, destination: stage.accessLogSettings?.destinationArn, of: scope
            ))
    }

    static func throttle(_ settings: V2Model.RouteSettings) -> ThrottleSettings? {
        guard settings.throttlingRateLimit != nil || settings.throttlingBurstLimit != nil else { return nil }
        let rate = settings.throttlingRateLimit ?? Double(settings.throttlingBurstLimit ?? 0)
        return ThrottleSettings(
            rate: rate, burst: settings.throttlingBurstLimit ?? max(Int(exactly: rate.rounded()) ?? 1, 1))
    }

    static func cors(_ value: Value) -> CORSPolicy {
        let cors = V2Model.Cors(value)
        return CORSPolicy(
            origins: cors.allowOrigins ?? [], methods: cors.allowMethods ?? [], headers: cors.allowHeaders ?? [],
            exposed: cors.exposeHeaders ?? [], maximumAge: cors.maxAge,
            allowsCredentials: cors.allowCredentials ?? false)
    }

    /// Nil also for a log group of another account or Region: nobody writes there for the API's owner.
    static func accessLog(format: String?, destination: String?, of scope: AccountRegion) -> CompiledStage.AccessLog? {
        guard let format, let arn = destination.flatMap({ ARN($0) }),
            arn.service == "logs", arn.resource.hasPrefix("log-group:"), arn.account == scope.account,
            arn.region == scope.region
        else { return nil }
        var group = arn.resource.dropFirst("log-group:".count)
        if group.hasSuffix(":*") { group = group.dropLast(2) }
        return CompiledStage.AccessLog(
            format: AccessLogFormat(format), scope: AccountRegion(account: arn.account, region: arn.region),
            group: String(group))
    }

    private static func integration(_ value: Value, _ variables: [(name: String, value: String)])
        -> CompiledIntegration
    {
        let integration = V2Model.Integration(value)
        let uri = FunctionURI.substitute(integration.integrationUri ?? "", stageVariables: variables)
        let target: CompiledIntegration.Target
        switch integration.integrationType {
        case "AWS_PROXY":
            if integration.integrationSubtype != nil {
                target = .broken("Integrations with other services are not there yet.")
            } else if let function = FunctionURI.function(in: uri) {
                let version = PayloadVersion(rawValue: integration.payloadFormatVersion ?? "") ?? .v1
                target = .function(arn: function, version: version)
            } else {
                target = .broken("The integration names no function: \(uri)")
            }
        case "HTTP_PROXY":
            let method = integration.integrationMethod
            target = .http(url: uri, method: method == "ANY" ? nil : method)
        default: target = .broken("Integrations of this type are not served.")
        }
        let request = (try? ParameterMapping(integration.requestParameters ?? [], side: .request)) ?? .none
        var responses: [Int: ParameterMapping] = [:]
        for (status, pairs) in value["ResponseParameters"]?.fields?.entries.map({ ($0.name, $0.value) }) ?? [] {
            let strings = pairs.pairs { $0.string } ?? []
            if let status = Int(status) { responses[status] = try? ParameterMapping(strings, side: .response) }
        }
        return CompiledIntegration(
            target: target, timeout: .milliseconds(integration.timeoutInMillis ?? 30_000),
            credentials: integration.credentialsArn, request: request, responses: responses,
            tlsServerName: integration.tlsConfig?.serverNameToVerify)
    }

    private static func authorization(
        _ route: V2Model.Route, _ authorizers: [String: Value], _ variables: [(name: String, value: String)]
    ) -> CompiledRoute.Authorization {
        switch route.authorizationType ?? "NONE" {
        case "NONE": return .none
        case "AWS_IAM": return .iam
        case "JWT":
            guard let authorizer = route.authorizerId.flatMap({ authorizers[$0] }).map({ V2Model.Authorizer($0) }),
                let settings = authorizer.jwtConfiguration, let issuer = settings.issuer
            else { return .broken }
            let source = authorizer.identitySource?.first ?? "$request.header.Authorization"
            return .jwt(
                JWTSettings(issuer: issuer, audiences: settings.audience ?? [], identitySource: source),
                scopes: route.authorizationScopes ?? [])
        case "CUSTOM":
            guard let authorizer = route.authorizerId.flatMap({ authorizers[$0] }).map({ V2Model.Authorizer($0) }),
                let uri = authorizer.authorizerUri,
                let function = FunctionURI.function(in: FunctionURI.substitute(uri, stageVariables: variables))
            else { return .broken }
            let sources = authorizer.identitySource ?? []
            return .lambda(
                LambdaAuthorizer(
                    id: authorizer.authorizerId ?? "", function: function,
                    version: PayloadVersion(rawValue: authorizer.authorizerPayloadFormatVersion ?? "") ?? .v2,
                    allowsSimple: authorizer.enableSimpleResponses ?? false, identitySources: sources,
                    // Without identity sources there is nothing to keep answers by.
                    lifetime: .seconds(sources.isEmpty ? 0 : authorizer.authorizerResultTtlInSeconds ?? 0),
                    credentials: authorizer.authorizerCredentialsArn))
        default: return .broken
        }
    }
}

/// `GET /pets/{id}`, `ANY /{proxy+}`, `$default`.
struct RouteKey: Sendable, Hashable {
    static let methods = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

    var text: String
    /// Empty for `$default`.
    var method: String
    /// `$default` for that.
    var path: String
    var pattern: RouteTree<CompiledRoute>.Pattern?

    init?(_ text: String) {
        guard text.utf8.count <= Limits.routeKey else { return nil }
        self.text = text
        if text == "$default" {
            (method, path, pattern) = ("", text, nil)
            return
        }
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, Self.methods.contains(String(parts[0])),
            let pattern = RouteTree<CompiledRoute>.Pattern(String(parts[1]))
        else { return nil }
        (method, path, self.pattern) = (String(parts[0]), String(parts[1]), pattern)
    }
}
