import NIOCore

/// Quotas of API Gateway: each with its unit and source. "Quotas" is "Quotas for configuring and running an HTTP API".
enum Limits {
    // MARK: Control plane

    /// APIs of an account and Region (Quotas).
    static let apis = 600
    /// Bytes of a route's OperationName (model: StringWithLengthBetween1And64).
    static let operationName = 64
    /// (Quotas)
    static let routes = 300
    /// (Quotas)
    static let integrations = 300
    /// (Quotas)
    static let stages = 10
    /// (Quotas)
    static let authorizers = 10
    /// Of JWT authorizers (Quotas).
    static let audiences = 50
    /// Of a route (Quotas).
    static let scopes = 10
    /// (Quotas)
    static let tags = 50
    /// Of a stage (Quotas).
    static let stageVariables = 100
    /// Characters (Quotas).
    static let stageVariableName = 64
    static let stageVariableValue = 512
    /// Bytes of an access log's template (Quotas).
    static let accessLogFormat = 3 << 10
    /// Own choice: models, responses, and deployments that somebody asked for.
    static let models = 100
    static let responses = 100
    static let deployments = 300
    /// Deployments that auto-deployment keeps when no stage needs them any more. Own choice.
    static let automaticDeployments = 10
    /// Bytes of an OpenAPI document (REST's quota of 6 MB; none is documented for HTTP APIs).
    static let document = 6 << 20
    /// Values in an OpenAPI document once aliases are followed: an alias bomb ends here. Own choice.
    static let documentValues = 200_000
    /// Nesting in an OpenAPI document. Own choice.
    static let documentDepth = 200
    /// Items of a page, and when nothing is asked for. Own choice: AWS documents neither.
    static let page = 500
    /// Characters of a route key and its parts. Own choice.
    static let routeKey = 1024
    static let routeSegments = 64

    // MARK: WebSocket APIs ("Quotas for configuring and running a WebSocket API")

    /// Bytes of a message and of one of its frames.
    static let socketMessage = 128 << 10
    static let socketFrame = 32 << 10
    /// Bytes of messages that wait for a client. Own choice: two of the largest.
    static let socketUnsent = 256 << 10
    /// Without a message or a ping.
    static let socketIdle = Duration.seconds(600)
    static let socketLife = Duration.seconds(7_200)
    /// The longest and the usual wait for an integration, milliseconds.
    static let socketIntegrationMilliseconds: Int64 = 29_000
    /// Messages of one connection that are with their integrations at the same time; the next wait in the socket. Own choice.
    static let socketMessagesInFlight = 16
    /// Characters of a selection expression. Own choice.
    static let selectionExpression = 1024

    // MARK: Data plane

    /// Bytes of a request's and of a response's body (Quotas).
    static let payload = 10 << 20
    /// Bytes of the request line and header values together (Quotas).
    static let headers = 10_240
    /// Bytes of a function's event (Lambda's quota of a synchronous payload).
    static let functionPayload = 6_291_456
    /// HTTP integrations of this server that call one another, one behind the other. Own choice.
    static let proxyHops = 8
    /// The longest and the usual wait for an integration (Quotas).
    static let integrationTimeout = Duration.seconds(30)
    /// (Quotas)
    static let authorizerTimeout = Duration.seconds(10)
    /// APIs kept ready in memory. Own choice.
    static let compiledAPIs = 1_000
    /// Answers of Lambda authorizers kept, and the longest key. Own choice.
    static let cachedAuthorizations = 10_000
    static let authorizationKey = 8 << 10
    /// Bytes of the answer of a Lambda authorizer that is kept. Own choice.
    static let cachedAuthorization = 16 << 10
    /// Bytes of what a Lambda authorizer may answer (the body of a policy and its context). Own choice.
    static let authorizerAnswer = 1 << 20
    /// For the answer of an OpenID provider, each of two requests (Quotas).
    static let openIDTimeout = Duration.milliseconds(1_500)
    /// Bytes of an OpenID provider's documents (Quotas).
    static let openIDDocument = 150_000
    /// Issuers whose keys are kept, and keys of one. Own choice.
    static let issuers = 200
    static let keysOfIssuer = 100
    /// How long keys are used without asking again ("cached for up to two hours", developer guide on JWT authorizers).
    static let keyLifetime = Duration.seconds(7_200)
    /// The shortest time between two requests to an issuer, also when tokens name keys that are not known: nobody makes this
    /// server flood an issuer. Own choice.
    static let keyRefresh = Duration.seconds(10)
    /// Bytes of a token. Own choice: headers are limited to 10,240.
    static let token = 10_240
    /// How much of a JSON body parameter mapping looks at (developer guide on parameter mapping).
    static let mappedBody = 100 << 10
    /// Header fields of a function's answer. Own choice.
    static let responseHeaders = 1_000
    /// Bytes of one line of an access log (Quotas: 1 MB; own choice, since a request is bounded far below).
    static let logLine = 256 << 10
}
