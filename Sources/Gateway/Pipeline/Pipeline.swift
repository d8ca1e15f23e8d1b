import Contracts
import Logging
import NIOCore
import Platform
import Wire

/// The way of every request: id → service → identity → operation → body → decode → dispatch → encode. Each step is one
/// function here; what a step needs to know is in the `Call`.
struct Pipeline: HTTPResponder {
    let table: ServiceTable
    let entries: [ServiceEntry]
    let doors: [any HTTPDoor]
    let authenticator: Authenticator
    let builtIn: BuiltInRoutes
    let baseDomains: [String]
    let webPages: WebPages
    /// The value of `OutboundMark` on requests that this server made.
    let mark: String?
    let unresolved: GatewayMetrics.Series
    let time: any TimeSource
    let logger: Logger

    /// An unsigned query request's form is read up to this before its service is known: a policy document is the largest
    /// parameter of the query services here (IAM 6,144 to 131,072 characters, percent-encoded).
    static let formBytes = 1 << 20
    /// Of a compressed body as much as this is inflated. Ours: the only operation that clients compress takes 1 MB.
    static let inflatedBytes = 4 << 20

    // MARK: The steps

    func respond(to exchange: HTTPExchange) {
        let host = exchange.request.host.map { HostName($0, baseDomains: baseDomains) } ?? .nothing
        var call = Call(exchange, requestID: Identifier.uuid(), host: host)
        if exchange.info.origin == .outside, let reason = webPages.refusal(of: exchange.request, host: host) {
            return fail(call, call.style.webPage(reason))
        }
        if let answer = builtIn.answer(exchange.request) { return exchange.respond(answer) }
        if call.host.dataPlane == nil, let (named, rest) = HostName.inPath(call.head.path) {
            call = Call(exchange, requestID: call.requestID, host: named)
            call.head.path = rest
        }
        if call.host.dataPlane == nil, isOwn(call.originalHead) { return refuseOwn(call) }
        do throws(AWSError) {
            call.signed = try authenticator.signature(of: call.originalHead)
        } catch {
            // The service is still looked for, so that the error speaks its protocol.
            if case .service(let index) = table.resolve(call.head, host: call.host, scope: nil) {
                call.entry = entries[index]
            }
            return fail(call, error)
        }
        switch table.resolve(call.head, host: call.host, scope: call.signed?.scope.service) {
        case .service(let index): run(enter(call, index))
        case .dataPlane(let label): routeHost(call, label)
        case .unknown(let name): fail(call, Pipeline.unknownService(name))
        case .formBody: resolveByForm(call)
        }
    }

    /// Whether this server made the request.
    func isOwn(_ head: RequestHead) -> Bool {
        guard let mark else { return false }
        return head.headers.contains { $0.name == OutboundMark.header && $0.value == mark }
    }

    /// Whoever chose the URL would act with the rights of a caller on this machine. Only hosts that are no AWS API take such
    /// requests: what they do is their owner's.
    private func refuseOwn(_ call: Call) {
        if case .service(let index) = table.resolve(call.head, host: call.host, scope: nil) {
            return fail(enter(call, index), entries[index].style.ownRequest)
        }
        fail(call, call.style.ownRequest)
    }

    private func resolveByForm(_ call: Call) {
        call.exchange.collectBody(limit: Pipeline.formBytes) { result in
            switch result {
            case .failure(let failure): fail(call, ErrorStyle.query.body(failure))
            case .success(let body):
                switch table.resolve(form: String(buffer: body)) {
                case .service(let index): run(enter(call, index), body: body)
                case .unknown(let name): fail(call, Pipeline.unknownService(name))
                case .dataPlane, .formBody: fail(call, AWSError.internalFailure())
                }
            }
        }
    }

    /// Gives the call its service, and S3 its bucket.
    private func enter(_ call: Call, _ index: Int) -> Call {
        let entry = entries[index]
        guard entry.isS3 else {
            var call = call
            call.entry = entry
            return call
        }
        var entered = Call(call.exchange, requestID: RequestIdentifiers.s3(), host: call.host)
        entered.signed = call.signed
        entered.entry = entry
        if let path = S3Address.path(of: call.originalHead, host: call.host, scope: call.signed?.scope) {
            entered.head.path = path
        }
        if call.signed?.isPresigned == true { entered.head.headers += PresignedHeaders.hoisted(from: entered.head) }
        return entered
    }

    /// From the service to the body.
    private func run(_ entered: Call, body: ByteBuffer? = nil) {
        var call = entered
        if call.head.method == "OPTIONS", let preflight = call.entry?.definition.preflight {
            return answerPreflight(call, preflight)
        }
        do throws(AWSError) {
            try readVersion2(&call)
            try authenticate(&call, body: body)
            try match(&call, body: body)
            try checkSignature(&call)
        } catch {
            return fail(call, error)
        }
        if let body { return decode(call, body) }
        readBody(call)
    }

    /// A browser asks what a page may do; it brings no credentials.
    private func answerPreflight(
        _ call: Call, _ preflight: @escaping @Sendable (RequestHead) async throws -> [(name: String, value: String)]
    ) {
        Task {
            do {
                let allowed = try await preflight(call.head)
                respond(call, HTTPAnswer(status: 200, headers: headers(call, allowed), body: .none))
            } catch {
                fail(call, error)
            }
        }
    }

    /// `AWSAccessKeyId`, `Expires` and `Signature` in the query.
    private func readVersion2(_ call: inout Call) throws(AWSError) {
        guard call.signed == nil, !call.originalHead.query.isEmpty else { return }
        call.signed = try authenticator.version2Signature(
            of: call.originalHead, isS3: call.entry?.isS3 == true)
        if call.signed != nil { call.head.headers += PresignedHeaders.hoisted(from: call.head) }
    }

    private func authenticate(_ call: inout Call, body: ByteBuffer?) throws(AWSError) {
        call.identity = try authenticator.identify(
            call.signed, origin: call.exchange.info.origin, region: call.host.region, style: call.style,
            now: call.exchange.receivedAt, mayBeAnonymous: isOpen(call, body: body))
        // S3 declares the hash of a body, and it is checked with and without authentication. The others sign the hash
        // itself, which `checkSignature` sees to; of them only the framing matters here.
        let declared = call.originalHead.header("x-amz-content-sha256")
        let matters =
            call.style == .s3
            ? declared != nil || call.identity?.secret != nil : declared?.hasPrefix("STREAMING-") == true
        if matters { call.integrity = try SigV4.bodyIntegrity(call.originalHead, signed: call.signed) }
    }

    /// Whether it is unsigned, and of an operation that takes such requests.
    private func isOpen(_ call: Call, body: ByteBuffer?) -> Bool {
        guard call.signed == nil, let definition = call.entry?.definition else { return false }
        if definition.takesAnonymous { return true }
        let open = definition.openOperations
        guard !open.isEmpty else { return false }
        let action =
            ServiceTable.parameter("Action", in: call.originalHead.query)
            ?? body.flatMap { ServiceTable.parameter("Action", in: String(buffer: $0)) }
        return action.map { open.contains($0) } ?? false
    }

    /// Finds the operation, as far as the head says it; refuses what is not implemented before any body is read.
    private func match(_ call: inout Call, body: ByteBuffer? = nil) throws(AWSError) {
        guard let entry = call.entry else { throw .internalFailure() }
        call.match = try Codec.match(call.head, schema: entry.definition.schema)
        if call.match == nil, let body {
            call.match = try Codec.match(call.head, body: body, schema: entry.definition.schema)
        }
        guard let match = call.match else { return }
        call.operation = entry.operation(match.operation.name)
        guard call.operation?.handler != nil else {
            throw .notImplemented(service: entry.definition.schema.id, operation: match.operation.name)
        }
        try checkPage(&call, entry, match.operation)
    }

    /// Refuses what a foreign web page has sent, unless the operation has its own proof in the request, or the service has
    /// rules of its own for pages.
    private func checkPage(
        _ call: inout Call, _ entry: ServiceEntry, _ operation: OperationSchema
    ) throws(AWSError) {
        guard call.exchange.info.origin == .outside, let page = webPages.foreignPage(of: call.originalHead),
            WebPages.mayChange(operation), !entry.definition.openOperations.contains(operation.name)
        else { return }
        if entry.definition.preflight != nil {
            call.foreignPage = page
            return
        }
        throw call.style.webPage(WebPages.refusal(from: page))
    }

    /// Checks the signature where the head suffices: S3 and streamed bodies, whose hash is declared.
    private func checkSignature(_ call: inout Call) throws(AWSError) {
        guard let signed = call.signed, let secret = call.identity?.secret else { return }
        if signed.isVersion2 {
            // The resource that it signs has the bucket in it, wherever the request has it.
            var head = call.originalHead
            head.path = call.head.path
            return try SigV2Query.verify(head, signed: signed, secret: secret, now: call.exchange.receivedAt)
        }
        guard call.style == .s3 || call.match?.operation.streamsInput == true else { return }
        call.key = try SigV4.verify(
            call.originalHead, signed: signed, secret: secret, payloadHash: nil, now: call.exchange.receivedAt,
            forS3: call.style == .s3)
    }

    /// The other services sign what the body hashes to, whether they say so in a header or not.
    private func checkSignature(_ call: Call, of body: ByteBuffer) throws(AWSError) {
        guard let signed = call.signed, let secret = call.identity?.secret, call.key == nil, !signed.isVersion2 else {
            return
        }
        let declared = call.originalHead.header("x-amz-content-sha256")
        var hash: String?
        if declared == nil || declared?.utf8.count == 64 {
            var sum = Checksum(.sha256)
            body.withUnsafeReadableBytes { sum.update($0) }
            hash = hexEncoded(sum.finalize())
        }
        // S3 Control signs paths as S3 does.
        _ = try SigV4.verify(
            call.originalHead, signed: signed, secret: secret, payloadHash: hash, now: call.exchange.receivedAt,
            forS3: call.entry?.definition.schema.signingName == "s3")
    }

    private func readBody(_ call: Call) {
        let head = call.originalHead
        if call.match?.operation.streamsInput == true {
            let decoder = BodyDecoder(call.integrity, key: call.key, head: head)
            let length = call.isChunkedBody ? BodyDecoder.decodedLength(head) : call.exchange.request.announcedLength
            let stream = call.exchange.streamBody()
            let reader = DecodedBodyReader(stream, decoder: decoder, contentLength: length, style: call.style)
            return decode(call, ByteBuffer(), stream: reader)
        }
        let limit = call.operation?.bodyLimit ?? call.entry?.definition.bodyLimit ?? Pipeline.formBytes
        // Framing and trailers come on top of the body that is limited.
        let framing = call.isChunkedBody ? limit / 8 + 4096 : 0
        call.exchange.collectBody(limit: limit + framing) { result in
            switch result {
            case .success(let raw): decodeBuffered(call, raw, limit: limit)
            case .failure(.tooLarge): fail(call, tooLarge(call, limit))
            case .failure(let failure): fail(call, call.style.body(failure))
            }
        }
    }

    private func tooLarge(_ call: Call, _ limit: Int) -> AWSError {
        guard let entry = call.entry else { return call.style.body(.tooLarge) }
        return entry.definition.tooLarge(call.match?.operation.name ?? "", limit)
    }

    private func decodeBuffered(_ call: Call, _ raw: ByteBuffer, limit: Int) {
        do throws(AWSError) {
            let decoder = BodyDecoder(call.integrity, key: call.key, head: call.originalHead)
            let body = try BodyDecoder.decode(raw, with: decoder)
            guard body.readableBytes <= limit else { return fail(call, tooLarge(call, limit)) }
            decode(call, body)
        } catch {
            fail(call, error)
        }
    }

    /// The body as it was before its client compressed it (botocore does so with large PutMetricData). The other protocols'
    /// bodies are the payload, in whatever encoding. Throws `SerializationException` and the service's error for large bodies.
    private func inflated(_ call: Call, _ body: ByteBuffer) throws(AWSError) -> ByteBuffer {
        guard call.originalHead.header("content-encoding")?.lowercased() == "gzip", body.readableBytes > 0,
            call.entry?.definition.schema.protocols.contains(where: { $0 == .restJSON || $0 == .restXML }) == false
        else { return body }
        let limit = min(
            call.operation?.bodyLimit ?? call.entry?.definition.bodyLimit ?? Pipeline.formBytes, Pipeline.inflatedBytes)
        // Empty blocks would be walked at no gain: compressed, it is no larger.
        guard body.readableBytes <= limit else { throw tooLarge(call, limit) }
        do throws(Gunzip.Failure) {
            return ByteBuffer(bytes: try Gunzip.inflate(Array(body.readableBytesView), limit: limit))
        } catch {
            if error == .tooLarge { throw tooLarge(call, limit) }
            throw AWSError("SerializationException", "The body is not gzip, as its Content-Encoding says.")
        }
    }

    private func decode(_ found: Call, _ received: ByteBuffer, stream: (any BodyReader)? = nil) {
        var call = found
        let request: OperationRequest
        do throws(AWSError) {
            if stream == nil { try checkSignature(call, of: received) }
            let body = stream == nil ? try inflated(call, received) : received
            if call.match == nil { try match(&call, body: body) }
            guard let match = call.match else { throw .internalFailure() }
            let isPayload = match.operation.hasBlobInput
            let input = try Codec.decode(match, head: call.head, body: isPayload ? ByteBuffer() : body)
            try Self.checkTags(input)
            request = OperationRequest(
                context: call.context(
                    service: match.schema.id, operation: match.operation.name,
                    isTransportTrusted: authenticator.mode != .sigv4), input: input,
                payload: body, stream: stream)
        } catch {
            return fail(call, error)
        }
        dispatch(call, request)
    }

    /// Services look at all tags before they count them, some in their transaction: so many that this takes long nobody may send.
    /// AWS allows 50 in most places.
    private static func checkTags(_ input: Value) throws(AWSError) {
        for name in ["Tags", "tags", "TagKeys", "tagKeys"] {
            guard let given = input[name], max(given.list?.count ?? 0, given.fields?.count ?? 0) > mostTags else {
                continue
            }
            throw AWSError(
                "ValidationException", status: 400,
                "1 validation error detected: Value at '\(name)' failed to satisfy constraint: Member must have length less "
                    + "than or equal to \(mostTags)")
        }
    }

    private static let mostTags = 1_000

    private func dispatch(_ call: Call, _ request: OperationRequest) {
        switch call.operation?.handler {
        case nil: fail(call, AWSError.internalFailure())
        case .callback(let handle): handle(request) { finish(call, $0) }
        case .asynchronous(let handle):
            Task {
                do {
                    finish(call, .success(try await handle(request)))
                } catch {
                    finish(call, .failure(error))
                }
            }
        }
    }

    // MARK: Answers

    /// Encodes what the operation said; on whatever thread it said it.
    private func finish(_ call: Call, _ result: Result<OperationResponse, any Error>) {
        switch result {
        case .failure(let error): fail(call, error)
        case .success(let response):
            guard let match = call.match else { return fail(call, AWSError.internalFailure()) }
            var isApart = true
            if case .none = response.payload { isApart = false }
            let encoded = Codec.encode(
                response.output, for: match, requestID: call.requestID, payloadApart: isApart)
            let body: HTTPAnswer.Body =
                switch response.payload {
                case .none: encoded.body.map { .bytes($0) } ?? .none
                case .bytes(let bytes): .bytes(bytes)
                case .files(let parts, let release): .files(parts, release: release)
                case .stream(let length, let produce): .stream(length: length) { try await produce($0) }
                }
            var answer = HTTPAnswer(
                status: response.status ?? encoded.status, headers: headers(call, encoded.headers + response.headers),
                body: body)
            if case .files = body { answer.onFailure = { encode(call, $0) } }
            respond(call, answer)
        }
    }

    func fail(_ call: Call, _ error: any Error) { respond(call, encode(call, error)) }

    func respond(_ call: Call, _ answer: HTTPAnswer) {
        let series = call.operation?.series ?? call.entry?.unmatched ?? unresolved
        let elapsed = time.uptimeNanoseconds() &- call.exchange.startedUptime
        series.record(status: answer.status, microseconds: elapsed / 1000)
        call.exchange.respond(answer)
    }

    private func encode(_ call: Call, _ error: any Error) -> HTTPAnswer {
        let known: AWSError
        switch error {
        case let error as AWSError: known = error
        case let failure as BodyFailure: known = call.style.body(failure)
        default:
            logger.error(
                "\(error)",
                metadata: [
                    "request": "\(call.requestID)", "service": "\(call.entry?.definition.schema.id ?? "")",
                    "operation": "\(call.match?.operation.name ?? "")",
                ])
            known =
                call.style == .s3
                ? AWSError("InternalError", status: 500, "We encountered an internal error. Please try again.")
                : .internalFailure()
        }
        let encoded = Codec.encode(
            known, for: call.match, schema: call.entry?.definition.schema,
            fallback: call.entry?.fallbackProtocol(call.head) ?? Call.guessProtocol(call.head) ?? .restJSON,
            resource: call.head.path, requestID: call.requestID)
        let present = Set(encoded.headers.map { lowercasedASCII($0.name) })
        let more = known.headers.filter { !present.contains(lowercasedASCII($0.name)) }
        return HTTPAnswer(
            status: encoded.status, headers: headers(call, encoded.headers + more),
            body: encoded.body.map { .bytes($0) } ?? .none)
    }

    /// Adds the ids; a service may have set its own (Lambda takes the caller's).
    func headers(_ call: Call, _ given: [(name: String, value: String)]) -> [(name: String, value: String)] {
        var headers = given
        func add(_ name: String, _ value: @autoclosure () -> String) {
            let isThere = given.contains {
                $0.name.utf8.count == name.utf8.count && lowercasedASCII($0.name) == lowercasedASCII(name)
            }
            if !isThere { headers.append((name: name, value: value())) }
        }
        if call.style == .s3 {
            add("x-amz-request-id", call.requestID)
            add("x-amz-id-2", Codec.hostID(call.requestID))
            add("Server", "AmazonS3")
        } else {
            add("x-amzn-RequestId", call.requestID)
        }
        return headers
    }

    private static func unknownService(_ name: String) -> AWSError {
        // The name comes from the request: only what can be a service's name is repeated.
        let shown = name.prefix(64).filter { $0.isASCII && ($0.isLetter || $0.isNumber || " .-_".contains($0)) }
        return AWSError(
            "NotImplementedException", status: 501, "The service \(shown) is not implemented by Martlet yet.")
    }

    func refusal(status: Int, reason: String) -> HTTPAnswer {
        unresolved.record(status: status, microseconds: 0)
        return HTTPAnswer(
            status: status, headers: [(name: "x-amzn-RequestId", value: Identifier.uuid())],
            body: .bytes(ByteBuffer(string: "{\"message\":\"\(reason)\"}")))
    }
}
