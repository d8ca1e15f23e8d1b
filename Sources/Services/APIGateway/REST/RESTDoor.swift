import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Wire

/// The data plane of REST APIs: from a request on an `execute-api` host to an answer.
///
/// Each step is a function that ends in the next: stage → method → policy → authorizer → API key → throttle → validation →
/// integration → answer. Nothing here reads the database when the API is in the catalog, except for AWS_IAM, where the
/// policies of roles are asked.
struct RESTDoor: Sendable {
    let catalog: RESTCatalog
    let database: any Database
    let functions: IntegratedFunctions
    let http: any OutboundHTTP
    let logs: any LogSink
    let authorizer: any Authorizer
    let answers: AuthorizerCache
    let deadlines: Deadlines
    let time: any TimeSource

    typealias Completion = @Sendable (DoorResponse) -> Void

    /// `generation`: of `answers`, read before the API was looked up.
    func serve(
        _ api: CompiledREST, _ request: DoorRequest, generation: UInt64, _ completion: @escaping Completion
    ) {
        let (requestID, extendedID) = (Identifier.uuid(), RequestID.make())
        let raw = request.head.path.utf8.dropFirst()
        let name = raw.prefix { $0 != UInt8(ascii: "/") }
        guard !api.isDisabled, let stage = api.stages[ProxyRequest.decoded(String(Substring(name)))] else {
            return completion(Self.response(RESTFailure.forbidden.plainAnswer, requestID, extendedID))
        }
        let rest = raw[name.endIndex...]
        let path = rest.isEmpty ? "/" : String(decoding: rest, as: UTF8.self)
        var proxied = ProxyRequest(request, requestID: requestID, stage: stage.name)
        proxied.isBodyText = !stage.settings.isBinary(request.head.header("content-type"))
        let event = EventContext(
            accountID: api.scope.account, apiID: api.id, stage: stage.name, routeKey: "", resource: "",
            pathParameters: [], stageVariables: stage.variables, identity: .none)
        var call = RESTCall(
            api: api, stage: stage, record: RequestRecord(request: proxied, event: event), extendedID: extendedID,
            path: path, door: request, generation: generation
        ) { reply in
            switch reply {
            case .whole(let answer): completion(Self.response(answer, requestID, extendedID))
            case .stream(let head, let body): completion(Self.response(head, requestID, extendedID, body))
            }
        }
        guard Self.headerBytes(request) <= Limits.headers else {
            return finish(
                call, RESTFailure(.default4xx, "Request Header Fields Too Large", "BadRequestException", status: 431))
        }
        guard let match = stage.tree.match(method: proxied.method, segments: Self.segments(path)) else {
            return finish(call, .missingToken)
        }
        call.method = match.endpoint
        call.record.event.resource = match.endpoint.resourcePath
        call.record.event.pathParameters = match.parameters
        authorize(call, match.endpoint)
    }

    /// What cannot even be looked up.
    func fail(_ detail: String, _ completion: Completion) {
        completion(Self.response(RESTFailure.internal(detail).plainAnswer, Identifier.uuid(), RequestID.make()))
    }

    /// As sent: API Gateway hands on what it matched without decoding it (recorded). A slash at the end means nothing.
    static func segments(_ path: String) -> [String] {
        var segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if segments.last == "" { segments.removeLast() }
        return segments
    }

    /// The request line and the values of headers.
    private static func headerBytes(_ request: DoorRequest) -> Int {
        request.head.headers.reduce(
            request.head.method.utf8.count + request.head.path.utf8.count + request.head.query.utf8.count + 12
        ) { $0 + $1.value.utf8.count }
    }

    // MARK: After the authorizer

    func proceed(_ call: RESTCall, _ method: RESTMethod) {
        var call = call
        var failure: RESTFailure?
        if method.needsKey { failure = checkKey(&call) }
        if failure == nil { failure = checkThrottle(call, method) ?? validate(call, method) }
        if let failure { return finish(call, failure) }
        integrate(call, method)
    }

    private func checkKey(_ call: inout RESTCall) -> RESTFailure? {
        let given =
            call.stage.settings.takesKeyOfAuthorizer ? call.usageIdentifierKey : call.request.header("x-api-key")
        guard let given, let key = call.stage.keys[given], key.isEnabled else { return .forbidden }
        (call.key, call.keyID) = (given, key.id)
        if let throttle = key.throttle,
            !call.stage.buckets.admits("key \(key.plan) \(key.id)", throttle, now: call.request.receivedAt)
        {
            return .throttled
        }
        return nil
    }

    private func checkThrottle(_ call: RESTCall, _ method: RESTMethod) -> RESTFailure? {
        guard let settings = method.throttle ?? call.stage.throttle else { return nil }
        let bucket = method.throttle == nil ? "" : method.name + method.resourcePath
        return call.stage.buckets.admits(bucket, settings, now: call.request.receivedAt) ? nil : .throttled
    }

    private func validate(_ call: RESTCall, _ method: RESTMethod) -> RESTFailure? {
        // "Included in the request and not blank" (developer guide, "Request validation for REST APIs").
        let missing = method.requiredParameters.filter { parameter in
            call.values(parameter).allSatisfy { $0.allSatisfy(\.isWhitespace) }
        }
        guard missing.isEmpty else { return .missing(parameters: missing.map(\.name)) }
        guard let models = method.models, !models.isEmpty else { return nil }
        let type = call.request.header("content-type") ?? "application/json"
        // "To use the same model regardless of the content type": `$default` (developer guide).
        guard let schema = models[lowercased(ProxyRequest.trimmed(type.prefix { $0 != ";" }))] ?? models["$default"]
        else {
            return nil
        }
        guard let body = try? JSON.parse(call.request.body.readableBytesView) else { return .badBody([]) }
        return schema.accepts(body) ? nil : .badBody(schema.problems(of: body))
    }

    // MARK: The end

    /// Answers in the API's own words for the failure.
    func finish(_ call: RESTCall, _ failure: RESTFailure) {
        let responses = call.stage.responses
        let configured = responses[failure.type] ?? responses[failure.status < 500 ? .default4xx : .default5xx]
        call.transcript?.add(
            failure.detail.map { "Execution failed due to configuration error: \($0)" }
                ?? "Execution failed: \(failure.message ?? "")")
        finish(call, failure.answer(configured, accept: call.request.header("accept")) { $0.value(call) })
    }

    /// Answers, and writes the access log.
    func finish(_ call: RESTCall, _ answer: ProxyAnswer) {
        call.reply(.whole(answer))
        log(call, answer)
    }

    /// Answers with what is still being made since `start`, and writes the access log when it has ended.
    func finish(_ given: RESTCall, _ head: ProxyAnswer, _ body: ResponsePayload, since start: UInt64) {
        var call = given
        call.record.integration.status = head.status
        call.record.integration.timeToAllHeaders = milliseconds(since: start)
        guard call.stage.accessLog != nil, case .stream(let length, let produce) = body else {
            return call.reply(.stream(head, body))
        }
        let begun = call
        let meter = StreamMeter(time: time) { reading in
            var call = begun
            call.record.integration.latency = milliseconds(since: start)
            call.record.integration.timeToFirstContent = reading.firstContent.map { Int(($0 &- start) / 1_000_000) }
            call.record.integration.streamed = reading.bytes
            log(call, head)
        }
        call.reply(
            .stream(
                head,
                .stream(length: length) { writer in
                    defer { meter.ended() }
                    try await produce(StreamMeter.Writer(meter: meter, writer: writer))
                }))
    }

    func milliseconds(since start: UInt64) -> Int { Int((time.uptimeNanoseconds() &- start) / 1_000_000) }

    private func log(_ call: RESTCall, _ answer: ProxyAnswer) {
        guard let log = call.stage.accessLog else { return }
        let now = time.now()
        let line = log.format.line { call.value($0, answer: answer, now: now) }
        let day = CivilTime(now)
        // Names of AWS's own streams are not documented; these find the API and its stage.
        let stream = "\(call.api.id)_\(call.stage.name)/\(day.year)/\(pad(day.month))/\(pad(day.day))"
        logs.append(
            scope: log.scope, group: log.group, stream: stream, events: [LogEvent(timestamp: now, message: line)])
    }

    private static func response(
        _ answer: ProxyAnswer, _ requestID: String, _ extendedID: String, _ stream: ResponsePayload? = nil
    ) -> DoorResponse {
        let headers = [("x-amzn-RequestId", requestID), ("x-amz-apigw-id", extendedID)] + answer.headers
        // What has no body by its status gets none (RFC 9110, 15.3.5 and 15.4.5).
        let isBare = answer.status == 204 || answer.status == 304
        return DoorResponse(
            status: answer.status, headers: headers, payload: isBare ? .none : stream ?? answer.payload)
    }
}
