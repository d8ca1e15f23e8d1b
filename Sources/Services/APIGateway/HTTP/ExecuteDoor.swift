import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Wire

/// The data plane of HTTP APIs: from a request on an `execute-api` host to an answer.
///
/// Each step is a function that ends in the next: stage → route → throttle → authorizer → integration → answer. Nothing here
/// reads the database when the API is in the catalog, except for AWS_IAM, where the caller's policies are asked.
struct ExecuteDoor: Sendable {
    let catalog: APICatalog
    let functions: IntegratedFunctions
    let http: any OutboundHTTP
    let logs: any LogSink
    let iam: IAMAuthorizer
    let keys: IssuerKeys
    let answers: AuthorizerCache
    let deadlines: Deadlines
    let time: any TimeSource
    let logger: Logger

    typealias Completion = @Sendable (DoorResponse) -> Void

    func respond(to request: DoorRequest, _ completion: @escaping Completion) {
        guard let id = request.labels.first, ResourceID.isValid(id) else {
            return completion(Self.response(.notFound, requestID: RequestID.make()))
        }
        let generation = answers.generation
        if let api = catalog.cached(id) { return serve(api, request, generation, completion) }
        Task {
            do {
                guard let api = try await catalog.load(id) else {
                    return completion(Self.response(.notFound, requestID: RequestID.make()))
                }
                serve(api, request, generation, completion)
            } catch {
                logger.error("cannot load an API", metadata: ["api": "\(id)", "error": "\(error)"])
                completion(Self.response(.internalError("\(error)"), requestID: RequestID.make()))
            }
        }
    }

    /// One request on its way.
    struct Call: Sendable {
        var api: CompiledAPI
        var stage: CompiledStage
        var record: RequestRecord
        var door: DoorRequest
        /// Of the authorizers' answers, when the API was looked up.
        var generation: UInt64
        var completion: Completion

        var request: ProxyRequest { record.request }

        /// Of what is used, as permissions and policies name it.
        func arn(_ resource: String) -> String {
            "arn:aws:execute-api:\(api.scope.region):\(api.scope.account):\(api.id)/\(resource)"
        }

        /// API Gateway for a resource, or the role that stands there as credentials. Nil when those are no role of the account.
        func asker(_ resource: String, credentials: String?) -> Asker? {
            let (source, account) = (arn(resource), api.scope.account)
            guard let credentials else {
                return Asker(
                    .service(name: IntegratedFunctions.service, sourceARN: source, sourceAccount: account))
            }
            return Asker(role: credentials, of: account, source: source)
        }
    }

    private func serve(
        _ api: CompiledAPI, _ request: DoorRequest, _ generation: UInt64, _ completion: @escaping Completion
    ) {
        let requestID = RequestID.make()
        guard !api.isDisabled, let (stage, isInPath) = api.stage(ofPath: request.head.path) else {
            return completion(Self.response(.notFound, requestID: requestID))
        }
        let proxied = ProxyRequest(request, requestID: requestID, stage: isInPath ? stage.name : nil)
        let event = EventContext(
            accountID: api.scope.account, apiID: api.id, stage: stage.name, routeKey: "", resource: "",
            pathParameters: [], stageVariables: stage.variables, identity: .none)
        var call = Call(
            api: api, stage: stage, record: RequestRecord(request: proxied, event: event), door: request,
            generation: generation, completion: completion)
        guard Self.headerBytes(request) <= Limits.headers else {
            return finish(
                call, .error(431, "Request Header Fields Too Large", type: "BAD_REQUEST_PARAMETERS"))
        }
        if let cors = stage.cors, CORSPolicy.isPreflight(proxied) {
            let answer = ProxyAnswer(status: 204, headers: cors.preflightHeaders(for: proxied), body: ByteBuffer())
            return finish(call, answer, isPreflight: true)
        }
        guard let (route, parameters) = Self.route(stage, proxied) else { return finish(call, .notFound) }
        call.record.event.routeKey = route.key
        call.record.event.resource = route.path
        call.record.event.pathParameters = parameters
        let settings = route.throttle ?? stage.throttle
        if let settings {
            let key = route.throttle == nil ? "" : route.key
            guard stage.buckets.admits(key, settings, now: proxied.receivedAt) else {
                return finish(call, .tooManyRequests)
            }
        }
        authorize(call, route)
    }

    private static func route(_ stage: CompiledStage, _ request: ProxyRequest)
        -> (CompiledRoute, [(name: String, value: String)])?
    {
        if let match = stage.tree.match(method: request.method, segments: request.segments) {
            return (match.endpoint, match.parameters)
        }
        return stage.defaultRoute.map { ($0, []) }
    }

    /// The request line and the values of headers.
    static func headerBytes(_ request: DoorRequest) -> Int {
        request.head.headers.reduce(
            request.head.method.utf8.count + request.head.path.utf8.count + request.head.query.utf8.count + 12
        ) { $0 + $1.value.utf8.count }
    }

    // MARK: Authorization

    private func authorize(_ call: Call, _ route: CompiledRoute) {
        switch route.authorization {
        case .none: integrate(call, route)
        case .broken: finish(call, .internalError("The authorizer of the route is not there."))
        case .iam:
            iam.authorize(call, resource: call.arn(route.fullResource(call))) { result in
                proceed(call, route, result)
            }
        case .jwt(let settings, let scopes):
            authorize(call, jwt: settings, scopes: scopes) { proceed(call, route, $0) }
        case .lambda(let authorizer):
            authorize(call, route, lambda: authorizer) { proceed(call, route, $0) }
        }
    }

    private func proceed(_ call: Call, _ route: CompiledRoute, _ result: Authorization) {
        var call = call
        switch result {
        case .allowed(let identity):
            call.record.event.identity = identity
            integrate(call, route)
        case .refused(let answer):
            call.record.authorizerError = answer.problem?.detail
            finish(call, answer)
        }
    }

    // MARK: The end

    /// Answers, and writes the access log.
    func finish(_ call: Call, _ answer: ProxyAnswer, isPreflight: Bool = false) {
        var answer = answer
        if !isPreflight, let cors = call.stage.cors {
            // "API Gateway ignores CORS headers returned from your backend integration."
            answer.headers.removeAll { $0.name.hasPrefix("access-control-") }
            answer.headers += cors.answerHeaders(for: call.request)
        }
        call.completion(Self.response(answer, requestID: call.request.requestID))
        guard let log = call.stage.accessLog else { return }
        let now = time.now()
        let line = log.format.line { call.record.value($0, answer: answer, now: now) }
        let day = CivilTime(now)
        // Names of AWS's own streams are not documented; these find the API and its stage.
        let stream = "\(call.api.id)_\(call.stage.name)/\(day.year)/\(pad(day.month))/\(pad(day.day))"
        logs.append(
            scope: log.scope, group: log.group, stream: stream, events: [LogEvent(timestamp: now, message: line)])
    }

    private static func response(_ answer: ProxyAnswer, requestID: String) -> DoorResponse {
        DoorResponse(
            status: answer.status, headers: answer.headers + [("apigw-requestid", requestID)],
            payload: answer.body.readableBytes == 0 && [204, 304].contains(answer.status) ? .none : answer.payload)
    }
}

extension CompiledRoute {
    /// `STAGE/METHOD/path` of a request, as ARNs of execute-api end.
    func fullResource(_ call: ExecuteDoor.Call) -> String {
        call.stage.name + "/" + resource(method: call.request.method)
    }
}

/// What came of asking an authorizer.
enum Authorization: Sendable {
    case allowed(CallerIdentity)
    case refused(ProxyAnswer)
}

/// `JKJaXmPLvHcESHA=`: the ids of API Gateway's requests.
enum RequestID {
    static func make() -> String {
        let digits = Identifier.hex(22)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(11)
        var high: UInt8?
        for digit in digits.utf8 {
            let value = digit < 58 ? digit - 48 : digit - 87
            if let known = high {
                bytes.append(known << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return Base64.encode(bytes)
    }
}

/// Identifiers of API Gateway's resources.
enum ResourceID {
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)

    /// Ten letters and digits: an API's.
    static func api() -> String { make(10) }
    /// Seven: a route's, an integration's.
    static func item() -> String { make(7) }
    static func authorizer() -> String { make(6) }
    static func deployment() -> String { make(6) }

    private static func make(_ length: Int) -> String {
        // The first is a letter, so that a host name begins with one.
        var generator = SystemRandomNumberGenerator()
        var text = [alphabet[Int.random(in: 0..<26, using: &generator)]]
        while text.count < length {
            text.append(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether it can be an API's: others are not looked for.
    static func isValid(_ id: String) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
    }
}
