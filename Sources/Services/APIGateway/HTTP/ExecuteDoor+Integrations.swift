import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

extension ExecuteDoor {
    func integrate(_ call: Call, _ route: CompiledRoute) {
        guard let integration = route.integration else {
            return finish(call, .internalError("The route has no integration."))
        }
        switch integration.target {
        case .broken(let why):
            finish(call, .internalError(why), error: why)
        case .function(let arn, let version):
            invoke(call, route, integration, function: arn, version: version)
        case .http(let url, let method):
            send(call, route, integration, url: url, method: method)
        }
    }

    private func finish(_ call: Call, _ answer: ProxyAnswer, error: String?, since start: UInt64? = nil) {
        var call = call
        call.record.integration.error = error
        if let start {
            call.record.integration.latency = Int((time.uptimeNanoseconds() &- start) / 1_000_000)
        }
        finish(call, answer)
    }

    // MARK: Functions

    /// Whom the function's policy is asked about: API Gateway for the route, a role, or the caller.
    private func asker(_ call: Call, _ route: CompiledRoute, credentials: String?) -> Asker? {
        if credentials == "arn:aws:iam::*:user/*" { return Asker(caller: call.request.context) }
        return call.asker(route.fullResource(call), credentials: credentials)
    }

    private func invoke(
        _ call: Call, _ route: CompiledRoute, _ integration: CompiledIntegration, function: String,
        version: PayloadVersion
    ) {
        guard let asker = asker(call, route, credentials: integration.credentials) else {
            return finish(call, .internalError("bad role"), error: "The integration's credentials are no role.")
        }
        var request = call.request
        integration.request.apply(to: &request) { call.record.select($0) }
        let event =
            version == .v2
            ? ProxyEvents.version2(request, call.record.event) : ProxyEvents.version1(request, call.record.event)
        guard event.readableBytes <= Limits.functionPayload else {
            return finish(call, .tooLarge, error: "Request must be smaller than \(Limits.functionPayload) bytes")
        }
        let start = time.uptimeNanoseconds()
        let once = Once()
        let deadline = deadlines.add(after: integration.timeout) {
            guard once.take() else { return }
            finish(call, .unavailable("Integration timed out"), error: "Endpoint request timed out", since: start)
        }
        functions.call(function: function, as: asker, payload: event, traceID: call.request.traceID) { result in
            guard once.take() else { return }
            deadlines.cancel(deadline)
            let (answer, problem, status) = Self.answer(result, version)
            var call = call
            call.record.integration.status = status
            var final = answer
            map(&final, call, integration)
            finish(call, final, error: problem, since: start)
        }
    }

    /// The client's answer, why it is not the function's, and the status that Lambda answered.
    private static func answer(_ result: Result<InvocationResult, any Error>, _ version: PayloadVersion)
        -> (ProxyAnswer, String?, Int?)
    {
        switch result {
        case .success(let result):
            if result.functionError != nil {
                let why = "The Lambda function returned an error. \(String(buffer: result.payload).prefix(1_000))"
                return (.internalError(why), why, 200)
            }
            let answer = ProxyAnswer.interpret(result.payload, version: version)
            return (answer, answer.problem?.detail, answer.problem == nil ? answer.status : 200)
        case .failure(let error):
            guard let known = error as? AWSError else { return (.internalError("\(error)"), "\(error)", 500) }
            switch known.status {
            case 413: return (.tooLarge, known.message, 413)
            // A throttled function makes an HTTP API unavailable.
            case 429, 502, 503, 504: return (.unavailable(known.message), known.message, known.status)
            default:
                let why =
                    known.code == "AccessDeniedException"
                    ? "The IAM role configured on the integration or API Gateway doesn't have permissions to call the "
                        + "integration. Check the permissions and try again."
                    : known.message
                return (.internalError(why), why, known.status)
            }
        }
    }

    private func map(_ answer: inout ProxyAnswer, _ call: Call, _ integration: CompiledIntegration) {
        guard let mapping = integration.responses[answer.status] else { return }
        let original = answer
        mapping.apply(to: &answer) { expression in
            if expression.hasPrefix("response.header.") {
                let name = lowercased(String(expression.dropFirst("response.header.".count)))
                let values = original.headers.filter { lowercased($0.name) == name }.map(\.value)
                return values.isEmpty ? nil : values.joined(separator: ",")
            }
            if expression == "response.body" { return String(buffer: original.body) }
            if expression.hasPrefix("response.body.") {
                return RequestRecord.member(expression.dropFirst("response.body.".count), of: original.body)
            }
            return call.record.select(expression)
        }
    }

    // MARK: HTTP

    private func send(
        _ call: Call, _ route: CompiledRoute, _ integration: CompiledIntegration, url: String, method: String?
    ) {
        guard call.request.hops < Limits.proxyHops else {
            let why = "The integrations of this server call one another in a circle."
            return finish(call, .internalError(why), error: why)
        }
        var outgoing = ParameterMapping.Outgoing(path: nil, query: call.request.query, headers: [])
        let ending = ProxyRequest.endingHere(call.door.head).union(Self.notForwarded)
        outgoing.headers = call.request.headers.filter { !ending.contains($0.name) }
        integration.request.apply(to: &outgoing) { call.record.select($0) }
        let scheme = call.door.isSecure ? "https" : "http"
        let name = call.request.domainName
        let hop = "by=\(name);for=\(call.request.sourceIP);host=\(name);proto=\(scheme)"
        outgoing.headers.append(("forwarded", call.request.forwarded.map { $0 + ", " + hop } ?? hop))
        let event = call.record.event
        guard let target = IntegrationURL.make(url, event.pathParameters, route: event.resource, outgoing) else {
            return finish(call, .internalError("bad URL"), error: "Invalid integration URI")
        }
        guard !IntegrationURL.leadsElsewhere(target) else {
            return finish(call, .error(400, "Bad Request", type: "BAD_REQUEST_PARAMETERS"), error: "Invalid path")
        }
        var body: [UInt8] = []
        if call.request.body.readableBytes > 0 { body = Array(call.request.body.readableBytesView) }
        let request = OutboundRequest(
            method: method ?? call.request.method, url: target, headers: outgoing.headers, body: body,
            timeout: integration.timeout)
        let start = time.uptimeNanoseconds()
        Task {
            do {
                let response = try await http.send(request, bodyLimit: Limits.payload)
                var call = call
                call.record.integration.status = response.status
                var answer = Self.answer(response)
                if call.request.method == "HEAD", request.method == "HEAD" {
                    answer.withheld = ProxyAnswer.Withheld(length: ProxyAnswer.length(response.headers))
                }
                map(&answer, call, integration)
                finish(call, answer, error: nil, since: start)
            } catch {
                let elapsed = Duration.nanoseconds(Int64(clamping: time.uptimeNanoseconds() &- start))
                if elapsed >= integration.timeout {
                    let answer = ProxyAnswer.error(504, "Gateway Timeout", type: "INTEGRATION_TIMEOUT")
                    finish(call, answer, error: "Endpoint request timed out", since: start)
                } else {
                    finish(call, .unavailable("\(error)"), error: "\(error)", since: start)
                }
            }
        }
    }

    /// The answer as it came, without what belongs to its connection.
    private static func answer(_ response: OutboundResponse) -> ProxyAnswer {
        var headers: [(name: String, value: String)] = []
        for (name, value) in response.headers {
            let name = lowercased(name)
            guard !ProxyAnswer.isOwn(name), ProxyAnswer.isHeader(name, value) else { continue }
            headers.append((name, value))
        }
        return ProxyAnswer(status: response.status, headers: headers, body: ByteBuffer(bytes: response.body))
    }

    /// The client's framing and this hop's: the HTTP client says its own.
    private static let notForwarded: Set<String> = [
        "host", "content-length", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "forwarded",
    ]
}

/// The URL of an HTTP integration.
enum IntegrationURL {
    /// Fills `{parameter}`s in and adds the query; nil when the result is no URL of HTTP. `route` says which parameters are
    /// greedy: the value of another is one segment, whatever is in it.
    static func make(
        _ template: String, _ parameters: [(name: String, value: String)], route: String,
        _ outgoing: ParameterMapping.Outgoing
    ) -> String? {
        let lower = lowercased(String(template.prefix(8)))
        guard lower.hasPrefix("http://") || lower.hasPrefix("https://") else { return nil }
        let scheme = lower.hasPrefix("https://") ? "https://" : "http://"
        let rest = template.dropFirst(scheme.count)
        // Nothing that a client sends may name the host: parameters are for what comes behind it.
        let authority = rest.prefix { !"/?#".contains($0) }
        guard !authority.isEmpty, !authority.contains("{"), !authority.contains("@") else { return nil }
        let tail = rest[authority.endIndex...].prefix { $0 != "#" }
        var path = String(tail.prefix { $0 != "?" })
        let fixed = tail.dropFirst(path.count + 1)
        if let new = outgoing.path {
            path = encode(new, keeping: "/")
        } else {
            for (name, value) in parameters {
                let text = encode(value, keeping: route.contains("{\(name)+}") ? "/" : "")
                path = path.replacing("{\(name)}", with: text).replacing("{\(name)+}", with: text)
            }
        }
        let query = [String(fixed), Self.query(outgoing.query)].filter { !$0.isEmpty }.joined(separator: "&")
        let url = scheme + authority + (path.isEmpty ? "/" : path) + (query.isEmpty ? "" : "?" + query)
        return url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) ? url : nil
    }

    /// Whether the path has segments that lead elsewhere (`..`): a backend would take them out, and be asked for what is not
    /// behind the route. Clients take them out themselves before they send.
    static func leadsElsewhere(_ url: String) -> Bool {
        url.prefix { $0 != "?" }.split(separator: "/").contains { $0 == "." || $0 == ".." }
    }

    /// `a=1&b=2`, percent-encoded.
    static func query(_ pairs: [(name: String, value: String)]) -> String {
        pairs.map { encode($0.name, keeping: "") + "=" + encode($0.value, keeping: "") }.joined(separator: "&")
    }

    private static func encode(_ text: String, keeping kept: String) -> String {
        var out: [UInt8] = []
        for byte in text.utf8 {
            if PercentEncoding.isUnreserved(byte) || kept.utf8.contains(byte) {
                out.append(byte)
            } else {
                PercentEncoding.escape(byte, into: &out)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

/// Lets the first of several through.
final class Once: Sendable {
    private let isTaken = Atomic(false)
    func take() -> Bool { !isTaken.exchange(true, ordering: .acquiringAndReleasing) }
}
