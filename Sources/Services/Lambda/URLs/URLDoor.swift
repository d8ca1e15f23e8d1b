public import Contracts
import Logging
import NIOCore
import Platform
import Storage
import Wire

/// Serves `*.lambda-url.*`: finds the URL by its id, answers preflights, checks both grants, makes the event, runs the
/// function, and answers what it wants.
public struct FunctionURLDoor: HTTPDoor {
    let service: LambdaService

    public let label = "lambda-url"
    /// Invoke's own; the event must also fit (a body in base64 is a third larger).
    public var bodyLimit: Int { Limits.synchronousPayloadBytes }
    public var tooLarge: DoorResponse { Self.message(413, "Request Entity Too Large") }

    typealias Answer = @Sendable (DoorResponse) -> Void

    public func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
        let id = request.labels.first ?? ""
        if let url = service.urls.find(id) { return respond(to: request, at: url, completion) }
        let service = service
        Task {
            let mark = service.urls.mark()
            do {
                guard let url = try await service.database.read({ try URLTable.find(id: id, in: $0) }) else {
                    return completion(Self.forbidden)
                }
                service.urls.store(url, since: mark)
                respond(to: request, at: url, completion)
            } catch {
                completion(failed(error))
            }
        }
    }

    private func respond(to request: DoorRequest, at url: FunctionURL, _ completion: @escaping Answer) {
        let origin = request.head.header("origin")
        if let cors = url.cors, let origin, request.head.method == "OPTIONS",
            let method = request.head.header("access-control-request-method")
        {
            let headers = cors.preflight(
                origin: origin, method: method,
                requestHeaders: request.head.header("access-control-request-headers"))
            return completion(DoorResponse(status: 200, headers: headers, payload: .none))
        }
        let answer: Answer = { response in
            completion(url.cors.map { Self.adding($0.headers(origin: origin), to: response) } ?? response)
        }
        var principal = Principal.anonymous
        if url.authType == .iam {
            if let failure = request.signatureFailure {
                return answer(Self.json(403, ["message": .string(failure.message)], error: failure.code))
            }
            guard request.isSigned else { return answer(Self.forbidden) }
            principal = request.context.principal
        }
        service.admit(url.target, Self.questions(principal, url), by: request.context) { result in
            switch result {
            case .failure(let error): answer(failed(error))
            case .success(let entry): run(request, url, entry, answer)
            }
        }
    }

    /// Both grants that a call needs since October 2025.
    private static func questions(_ principal: Principal, _ url: FunctionURL) -> [PolicyQuestion] {
        let type = url.authType.rawValue
        return [
            PolicyQuestion(principal: principal, action: "lambda:InvokeFunctionUrl", urlAuthType: type),
            PolicyQuestion(principal: principal, action: "lambda:InvokeFunction", urlAuthType: type, isViaURL: true),
        ]
    }

    private func run(
        _ request: DoorRequest, _ url: FunctionURL, _ entry: FunctionCache.Entry, _ answer: @escaping Answer
    ) {
        do {
            let context = request.context
            let honoured = TraceHeader.honoured(request.head.header("x-amzn-trace-id"), now: context.now)
            let (function, traceID) = try service.begin(entry, traceID: honoured)
            let payload = URLEvent.payload(request, url, traceID: traceID)
            guard payload.readableBytes <= Limits.synchronousPayloadBytes else { return answer(tooLarge) }
            let invocation = Invocation(
                requestID: context.requestID, payload: payload, invokedFunctionARN: url.target.arn, traceID: traceID)
            let invoker = try service.connections().invoker
            let trace = (name: "X-Amzn-Trace-Id", value: traceID)
            if url.invokeMode == .responseStream {
                invoker.invokeStreaming(function, invocation) { result in
                    switch result {
                    case .failure(let error): answer(failed(error))
                    case .success(let response): stream(response) { answer(Self.adding([trace], to: $0)) }
                    }
                }
            } else {
                invoker.invoke(function, invocation) { result in
                    switch result {
                    case .failure(let error): answer(failed(error))
                    case .success(let result): answer(Self.adding([trace], to: Self.collected(result)))
                    }
                }
            }
        } catch {
            answer(failed(error))
        }
    }

    // MARK: Answers

    private static func collected(_ result: InvocationResult) -> DoorResponse {
        guard result.functionError == nil, let response = URLResponse(result: result.payload) else { return badGateway }
        return DoorResponse(
            status: response.status, headers: response.headers, payload: .bytes(ByteBuffer(bytes: response.body)))
    }

    /// The head of a streamed response comes first, and may come in pieces.
    private func stream(_ response: StreamingResponse, _ answer: @escaping Answer) {
        let body = response.body
        guard response.contentType == HTTPPrelude.contentType else {
            Task {
                // Nothing is said before the first byte: a function that fails without any gets its 502.
                guard let first = await body.next() else { return answer(Self.end(of: body)) }
                let type = response.contentType ?? "application/json"
                answer(
                    DoorResponse(
                        status: 200, headers: [(name: "Content-Type", value: type)], payload: Self.rest(first, body)))
            }
            return
        }
        Task {
            var prelude = HTTPPrelude()
            while let piece = await body.next() {
                switch prelude.feed(piece) {
                case .incomplete: continue
                case .malformed: return answer(Self.badGateway)
                case .complete(let head, let rest):
                    return answer(
                        DoorResponse(status: head.status, headers: head.headers, payload: Self.rest(rest, body)))
                }
            }
            answer(Self.badGateway)
        }
    }

    /// A response without a byte.
    private static func end(of body: ResponseReader) -> DoorResponse {
        guard case .success(let result) = body.ending, result.functionError == nil else { return badGateway }
        return DoorResponse(
            status: 200, headers: [(name: "Content-Type", value: "application/octet-stream")], payload: .none)
    }

    /// What follows, as it comes. A function that fails now can only be told by cutting the connection.
    private static func rest(_ first: ByteBuffer, _ body: ResponseReader) -> ResponsePayload {
        .stream(length: nil) { writer in
            if first.readableBytes > 0 { try await writer.write(first) }
            while let piece = await body.next() { try await writer.write(piece) }
            switch body.ending {
            case .success(let result) where result.functionError == nil: break
            default: throw Failure(.unavailable, "the function failed after it had begun to answer")
            }
        }
    }

    private static let forbidden = json(
        403,
        [
            "Message":
                "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
        ], error: "AccessDeniedException")

    private static let badGateway = DoorResponse(
        status: 502, headers: [(name: "Content-Type", value: "application/json")],
        payload: .bytes(ByteBuffer(string: "Internal Server Error")))

    private static func message(_ status: Int, _ text: String) -> DoorResponse {
        json(status, ["Message": .string(text)], error: nil)
    }

    private static func json(_ status: Int, _ body: Value, error: String?) -> DoorResponse {
        var headers = [(name: "Content-Type", value: "application/json")]
        if let error { headers.append((name: "x-amzn-ErrorType", value: error)) }
        return DoorResponse(status: status, headers: headers, payload: .bytes(ByteBuffer(bytes: JSON.encode(body))))
    }

    /// What went wrong before the function could answer.
    private func failed(_ error: any Error) -> DoorResponse {
        guard let error = error as? AWSError else {
            service.logger.error("a function URL could not be served", metadata: ["error": "\(error)"])
            return Self.badGateway
        }
        switch error.status {
        case 403, 404: return Self.forbidden
        case 413: return tooLarge
        case 429:
            var body = Fields()
            for entry in error.fields.entries { body.append(entry.name, entry.value) }
            body["message"] = .string(error.message)
            return Self.json(429, .map(body), error: error.code)
        case 400..<500: return Self.json(error.status, ["Message": .string(error.message)], error: error.code)
        default: return Self.badGateway
        }
    }

    /// The URL's own headers win over the function's.
    private static func adding(_ headers: [(name: String, value: String)], to response: DoorResponse) -> DoorResponse {
        guard !headers.isEmpty else { return response }
        var response = response
        let isCORS = headers.contains { $0.name == "Access-Control-Allow-Origin" }
        if isCORS {
            response.headers.removeAll { $0.name.lowercased().hasPrefix("access-control-") }
        }
        response.headers += headers
        return response
    }
}
