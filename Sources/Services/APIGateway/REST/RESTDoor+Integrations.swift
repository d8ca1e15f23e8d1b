import Contracts
import NIOCore
import Platform
import Wire

extension RESTDoor {
    func integrate(_ call: RESTCall, _ method: RESTMethod) {
        guard let integration = method.integration else {
            return finish(call, .internal("No integration defined for method"))
        }
        switch integration.target {
        case .broken(let why):
            var call = call
            call.record.integration.error = why
            finish(call, .internal(why))
        case .mock: mock(call, integration)
        case .function(let function, let streams):
            if streams {
                stream(call, integration, function)
            } else {
                invoke(call, integration, function)
            }
        case .http(let url, let method, let streams):
            send(call, integration, url: url, method: method, streams: streams)
        }
    }

    /// Finishes with the integration's part of the record.
    private func settle(
        _ given: RESTCall, _ result: Result<ProxyAnswer, RESTFailure>, status: Int?, since start: UInt64
    ) {
        var call = given
        call.record.integration.latency = milliseconds(since: start)
        call.record.integration.status = status
        switch result {
        case .success(let answer):
            tell(call, answer)
            finish(call, answer)
        case .failure(let failure):
            call.record.integration.error = failure.detail
            finish(call, failure)
        }
    }

    private func tell(_ call: RESTCall, _ answer: ProxyAnswer) {
        guard let transcript = call.transcript else { return }
        transcript.add("Method response body after transformations: \(String(buffer: answer.body))")
        transcript.add("Method response headers: \(Transcript.map(answer.headers))")
        transcript.add("Successfully completed execution")
    }

    // MARK: MOCK

    private func mock(_ call: RESTCall, _ integration: RESTIntegration) {
        let text: String
        switch integration.template(for: call.request.header("content-type")) {
        case .text(let template): text = template
        case .passthrough: text = String(buffer: call.request.body)
        case .unsupported: return finish(call, .unsupportedMediaType)
        }
        guard let status = StaticTemplate.statusCode(text) else {
            return finish(call, .internal("Unable to parse statusCode. It should be an integer."))
        }
        guard let response = integration.response(for: String(status)) else {
            return finish(
                call,
                .internal("Output mapping refers to an invalid method response: \(status)"))
        }
        var answer = ProxyAnswer(status: response.status, headers: [], body: ByteBuffer())
        let accept = call.request.header("accept").map {
            $0.split(separator: ",").map { ProxyRequest.trimmed($0.prefix { $0 != ";" }) }
        }
        let template =
            response.templates.first { accept?.contains($0.type) ?? false }
            ?? response.templates.first { $0.type == "application/json" } ?? response.templates.first
        if let template { answer.body = ByteBuffer(string: template.text) }
        answer.headers = [("Content-Type", template?.type ?? "application/json")]
        for (name, mapping) in response.parameters {
            guard let value = mapping.value(call, answer), ProxyAnswer.isHeader(name, value),
                let sent = RESTAnswers.sent(name)
            else { continue }
            answer.headers.removeAll { lowercased($0.name) == lowercased(sent) }
            answer.headers.append((sent, value))
        }
        tell(call, answer)
        finish(call, answer)
    }

    // MARK: Functions

    /// Whom the function's policy is asked about: API Gateway for the method, a role, or the caller.
    private func asker(_ call: RESTCall, _ integration: RESTIntegration) -> Asker? {
        if integration.credentials == "arn:aws:iam::*:user/*" { return Asker(caller: call.request.context) }
        return call.asker(call.sourceARN, credentials: integration.credentials)
    }

    private func event(_ call: RESTCall) -> Result<ByteBuffer, RESTFailure> {
        let event = RESTEvents.proxy(call)
        guard event.readableBytes <= Limits.functionPayload else {
            return .failure(
                RESTFailure(
                    .requestTooLarge, "Request Too Long", "RequestTooLargeException",
                    detail: "The event is larger than \(Limits.functionPayload) bytes."))
        }
        return .success(event)
    }

    private func invoke(_ call: RESTCall, _ integration: RESTIntegration, _ function: String) {
        guard let asker = asker(call, integration) else {
            return finish(call, .internal("The integration's credentials are no role of the account."))
        }
        let event: ByteBuffer
        switch self.event(call) {
        case .failure(let failure): return finish(call, failure)
        case .success(let known): event = known
        }
        if let transcript = call.transcript {
            let region = ARN(function)?.region ?? call.api.scope.region
            let endpoint = "https://lambda.\(region).amazonaws.com/2015-03-31/functions/\(function)/invocations"
            transcript.add("Endpoint request URI: \(endpoint)")
            transcript.add("Endpoint request body after transformations: \(String(buffer: event))")
            transcript.add("Sending request to \(endpoint)")
        }
        let (once, start) = (Once(), time.uptimeNanoseconds())
        let deadline = deadlines.add(after: integration.timeout) {
            guard once.take() else { return }
            settle(call, .failure(.timeout()), status: nil, since: start)
        }
        functions.call(function: function, as: asker, payload: event, traceID: call.request.traceID) { result in
            guard once.take() else { return }
            deadlines.cancel(deadline)
            let (answer, status) = self.answer(result, call)
            if let transcript = call.transcript {
                let elapsed = (time.uptimeNanoseconds() &- start) / 1_000_000
                transcript.add("Received response. Status: \(status), Integration latency: \(elapsed) ms")
                if let payload = try? result.get().payload {
                    transcript.add("Endpoint response body before transformations: \(String(buffer: payload))")
                }
            }
            settle(call, answer, status: status, since: start)
        }
    }

    private func answer(_ result: Result<InvocationResult, any Error>, _ call: RESTCall) -> (
        Result<ProxyAnswer, RESTFailure>, Int
    ) {
        switch result {
        case .failure(let error):
            guard let known = error as? AWSError else { return (.failure(.internal("\(error)")), 500) }
            switch known.status {
            case 413:
                return (
                    .failure(RESTFailure(.requestTooLarge, "Request Too Long", "RequestTooLargeException")), 413
                )
            case 403: return (.failure(.internal("Invalid permissions on Lambda function")), 403)
            default: return (.failure(.internal(known.message)), known.status)
            }
        case .success(let result):
            if result.functionError != nil {
                let why = String(buffer: result.payload).prefix(1_000)
                return (
                    .failure(
                        .malformed("Lambda execution failed with status 200 due to customer function error: \(why)")),
                    200
                )
            }
            let settings = call.stage.settings
            let accept = call.request.header("accept")?.split(separator: ",").first.map(String.init)
            let answer = RESTAnswers.interpret(result.payload) { type in
                // The first type that the client accepts decides (developer guide, "Content type conversions").
                settings.isBinary(accept ?? "") || accept?.hasPrefix("*/*") ?? true && settings.isBinary(type)
            }
            return (
                answer.map { answer in
                    var answer = answer
                    answer.headers.append(("X-Amzn-Trace-Id", call.request.traceID))
                    return answer
                }, (try? answer.get().status) ?? 200
            )
        }
    }

    // MARK: Functions that stream

    private func stream(_ call: RESTCall, _ integration: RESTIntegration, _ function: String) {
        guard let asker = asker(call, integration) else {
            return finish(call, .internal("The integration's credentials are no role of the account."))
        }
        let event: ByteBuffer
        switch self.event(call) {
        case .failure(let failure): return finish(call, failure)
        case .success(let known): event = known
        }
        let (once, start) = (Once(), time.uptimeNanoseconds())
        // Until the response begins; a stream that flows may take its time.
        let deadline = deadlines.add(after: integration.timeout) {
            guard once.take() else { return }
            settle(call, .failure(.timeout()), status: nil, since: start)
        }
        functions.callStreaming(
            function: function, as: asker, payload: event, traceID: call.request.traceID
        ) { result in
            switch result {
            case .failure(let error):
                guard once.take() else { return }
                deadlines.cancel(deadline)
                let (answer, status) = self.answer(.failure(error), call)
                settle(call, answer, status: status, since: start)
            case .success(let response):
                Task {
                    let head = await Self.head(of: response)
                    guard once.take() else { return }
                    deadlines.cancel(deadline)
                    switch head {
                    case .success(var answer):
                        answer.headers.append(("X-Amzn-Trace-Id", call.request.traceID))
                        finish(call, answer, StreamPrelude.rest(answer.body, response.body), since: start)
                    case .failure(let failure): settle(call, .failure(failure), status: 200, since: start)
                    }
                }
            }
        }
    }

    /// The head of a streamed response comes first, and may come in pieces.
    private static func head(of response: StreamingResponse) async -> Result<ProxyAnswer, RESTFailure> {
        var prelude = StreamPrelude()
        while let piece = await response.body.next() {
            switch prelude.feed(piece) {
            case .incomplete: continue
            case .malformed: return .failure(.malformed("Malformed Lambda proxy response: no prelude"))
            case .complete(let head): return .success(head)
            }
        }
        return .failure(.malformed("Malformed Lambda proxy response: no prelude"))
    }

    // MARK: HTTP

    private func send(
        _ call: RESTCall, _ integration: RESTIntegration, url: String, method: String?, streams: Bool
    ) {
        guard call.request.hops < Limits.proxyHops else {
            return finish(call, .internal("The integrations of this server call one another in a circle."))
        }
        var outgoing = ParameterMapping.Outgoing(path: nil, query: call.request.query, headers: [])
        let ending = ProxyRequest.endingHere(call.door?.head).union(Self.rewritten)
        outgoing.headers = call.request.headers.filter { !ending.contains($0.name) }
        var path = call.record.event.pathParameters
        for (to, mapping) in integration.parameters {
            guard let value = mapping.value(call) else { continue }
            switch to.place {
            case .header:
                let name = lowercased(to.name)
                guard ProxyAnswer.isHeader(name, value), !ProxyAnswer.isOwn(name), !Self.notMapped.contains(name)
                else { continue }
                outgoing.headers.removeAll { $0.name == name }
                outgoing.headers.append((name, value))
            case .querystring:
                outgoing.query.removeAll { $0.name == to.name }
                outgoing.query.append((to.name, value))
            case .path:
                path.removeAll { $0.name == to.name }
                path.append((to.name, value))
            }
        }
        let scheme = call.door?.isSecure == true ? "https" : "http"
        let name = call.request.domainName
        let hop = "by=\(name);for=\(call.request.sourceIP);host=\(name);proto=\(scheme)"
        outgoing.headers.append(("forwarded", call.request.forwarded.map { $0 + ", " + hop } ?? hop))
        outgoing.headers.append(("x-amzn-apigateway-api-id", call.api.id))
        // Values of paths are as the client sent them: decoded here, so that they are not escaped twice.
        let decoded = path.map { (name: $0.name, value: ProxyRequest.decoded($0.value)) }
        let route = call.record.event.resource
        guard let target = IntegrationURL.make(url, decoded, route: route, outgoing) else {
            return finish(call, .internal("Invalid endpoint address"))
        }
        guard !IntegrationURL.leadsElsewhere(target) else {
            return finish(call, RESTFailure(.badRequestParameters, "Invalid path", "BadRequestException"))
        }
        call.transcript?.add("Endpoint request URI: \(target)")
        call.transcript?.add("Sending request to \(target)")
        let body = call.request.body.readableBytes > 0 ? Array(call.request.body.readableBytesView) : []
        let request = OutboundRequest(
            method: method ?? call.request.method, url: target, headers: outgoing.headers, body: body,
            timeout: integration.timeout)
        let start = time.uptimeNanoseconds()
        Task {
            do {
                if streams { return try await stream(call, request, since: start) }
                let response = try await http.send(request, bodyLimit: Limits.payload)
                var answer = Self.head(response.status, response.headers)
                answer.body = ByteBuffer(bytes: response.body)
                if call.request.method == "HEAD", request.method == "HEAD" {
                    answer.withheld = ProxyAnswer.Withheld(length: ProxyAnswer.length(response.headers))
                }
                settle(call, .success(answer), status: response.status, since: start)
            } catch {
                let elapsed = Duration.nanoseconds(Int64(clamping: time.uptimeNanoseconds() &- start))
                let failure: RESTFailure = elapsed >= integration.timeout ? .timeout() : .network("\(error)")
                settle(call, .failure(failure), status: nil, since: start)
            }
        }
    }

    /// Begins to answer when the backend does. A backend that breaks off, or takes too long, breaks the answer off; a client that
    /// goes away ends the request.
    private func stream(_ call: RESTCall, _ request: OutboundRequest, since start: UInt64) async throws {
        let response = try await http.open(
            request, longest: RESTLimits.longestStream, idle: RESTLimits.longestStreamPause)
        // What a backend says of HEAD's body is nothing that anybody else gets.
        let isKnown = request.method != "HEAD" || call.request.method == "HEAD"
        finish(
            call, Self.head(response.status, response.headers),
            .stream(length: isKnown ? ProxyAnswer.length(response.headers) : nil) { writer in
                try await response.read { piece in
                    if piece.readableBytes > 0 { try await writer.write(piece) }
                }
            }, since: start)
    }

    /// The answer as it came, without what belongs to its connection.
    private static func head(_ status: Int, _ given: [(name: String, value: String)]) -> ProxyAnswer {
        var headers: [(name: String, value: String)] = []
        for (name, value) in given {
            guard ProxyAnswer.isHeader(name, value), let sent = RESTAnswers.sent(name),
                !ProxyAnswer.isOwn(lowercased(sent))
            else { continue }
            headers.append((sent, value))
        }
        return ProxyAnswer(status: status, headers: headers, body: ByteBuffer())
    }

    /// What the client says of its own hop: the HTTP client says its own, and API Gateway which API it is.
    private static let rewritten: Set<String> = ["host", "content-length", "forwarded", "x-amzn-apigateway-api-id"]
    /// What no mapping may set.
    private static let notMapped = rewritten.union(["x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"])
}
