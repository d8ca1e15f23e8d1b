import Contracts
import NIOCore
import Platform
import Wire

/// Calls what is behind a route of a WebSocket API.
struct SocketIntegrations: Sendable {
    let functions: IntegratedFunctions
    let http: any OutboundHTTP
    let deadlines: Deadlines

    struct Call: Sendable {
        var api: SocketAPI
        var stage: SocketStage
        var connection: SocketConnection
        var event: SocketEvent
        var traceID: String
    }

    struct Answer: Sendable {
        var status: Int
        var headers: [(name: String, value: String)]
        /// What a route response sends.
        var message: WebSocketMessage?
    }

    struct Failed: Sendable {
        /// For the client, and its status at a handshake.
        var message: String
        var handshakeStatus: Int
        /// For the access log.
        var detail: String
    }

    enum Outcome: Sendable {
        case answered(Answer)
        case failed(Failed)
    }

    typealias Completion = @Sendable (Outcome) -> Void

    func run(_ integration: SocketRoute.Integration, _ call: Call, _ completion: @escaping Completion) {
        switch integration.target {
        case .broken(let why): completion(Self.failure(500, why))
        case .mock(let status): completion(.answered(Answer(status: status, headers: [])))
        case .function(let arn): invoke(arn, integration, call, completion)
        case .http(let url, let method): send(url, method, integration, call, completion)
        }
    }

    private static func failure(_ status: Int, _ detail: String, message: String = "Internal server error") -> Outcome {
        .failed(Failed(message: message, handshakeStatus: status, detail: detail))
    }

    /// Whom a function's policy is asked about: API Gateway for the resource, or a role of the account.
    func asker(_ api: SocketAPI, resource: String, credentials: String?) -> Asker? {
        let (source, account) = (api.arn(resource), api.scope.account)
        guard let credentials else {
            return Asker(.service(name: IntegratedFunctions.service, sourceARN: source, sourceAccount: account))
        }
        return Asker(role: credentials, of: account, source: source)
    }

    // MARK: Functions

    private func invoke(
        _ function: String, _ integration: SocketRoute.Integration, _ call: Call, _ completion: @escaping Completion
    ) {
        let resource = call.stage.name + "/" + call.event.routeKey
        guard let asker = asker(call.api, resource: resource, credentials: integration.credentials) else {
            return completion(Self.failure(500, "The integration's credentials are no role."))
        }
        let event = SocketEvents.integration(call.event, call.connection, call.stage)
        let once = Once()
        let deadline = deadlines.add(after: integration.timeout) {
            guard once.take() else { return }
            completion(Self.failure(504, "Endpoint request timed out", message: "Endpoint request timed out"))
        }
        functions.call(function: function, as: asker, payload: event, traceID: call.traceID) { result in
            guard once.take() else { return }
            deadlines.cancel(deadline)
            completion(Self.outcome(of: result))
        }
    }

    private static func outcome(of result: Result<InvocationResult, any Error>) -> Outcome {
        switch result {
        case .success(let result):
            if result.functionError != nil {
                return failure(
                    502, "The Lambda function returned an error. \(String(buffer: result.payload).prefix(1_000))")
            }
            guard let answer = answer(in: result.payload) else {
                return failure(502, "Malformed Lambda proxy response")
            }
            return .answered(answer)
        case .failure(let error):
            // No permission, no such function, throttled.
            return failure(500, (error as? AWSError)?.message ?? "\(error)")
        }
    }

    /// `{"statusCode":…, "headers":…, "body":…}`.
    static func answer(in payload: ByteBuffer) -> Answer? {
        guard let value = try? JSON.parse(payload.readableBytesView), let fields = value.fields,
            let code = fields["statusCode"], let status = code.int ?? code.string.flatMap({ Int64($0) }),
            (100...599).contains(status)
        else { return nil }
        var headers: [(name: String, value: String)] = []
        for entry in fields["headers"]?.fields?.entries ?? [] {
            if let text = entry.value.string, ProxyAnswer.isHeader(entry.name, text) {
                headers.append((entry.name, text))
            }
        }
        guard let body = fields["body"], !body.isNull else { return Answer(status: Int(status), headers: headers) }
        guard let text = body.string else { return nil }
        guard fields["isBase64Encoded"]?.bool == true else {
            return Answer(status: Int(status), headers: headers, message: .text(ByteBuffer(string: text)))
        }
        guard let bytes = Base64.decode(text) else { return nil }
        return Answer(status: Int(status), headers: headers, message: Self.message(ByteBuffer(bytes: bytes)))
    }

    /// Text where it can be.
    static func message(_ bytes: ByteBuffer) -> WebSocketMessage {
        let isText = bytes.readableBytesView.withContiguousStorageIfAvailable { isUTF8($0) } ?? false
        return isText ? .text(bytes) : .binary(bytes)
    }

    // MARK: HTTP

    private func send(
        _ url: String, _ method: String, _ integration: SocketRoute.Integration, _ call: Call,
        _ completion: @escaping Completion
    ) {
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return completion(Self.failure(500, "Invalid integration URI"))
        }
        var body: [UInt8] = []
        if case .message(_, let text) = call.event.kind { body = Array(text.utf8) }
        if integration.convertsToBinary, !body.isEmpty {
            guard let bytes = Base64.decode(String(decoding: body, as: UTF8.self)) else {
                return completion(Self.failure(500, "The message is not base64."))
            }
            body = bytes
        }
        // What the other side takes from us, not from the client.
        let own: Set<String> = ["host", "content-type", "connectionid", "x-amzn-apigateway-api-id"]
        var headers = [("content-type", "application/json"), ("x-amzn-apigateway-api-id", call.api.id)]
        if case .connect = call.event.kind {
            headers += call.connection.opening.headers.map { (lowercased($0.name), $0.value) }.filter {
                !$0.0.hasPrefix("sec-websocket-") && !own.contains($0.0)
            }
        }
        headers.append(("connectionid", call.connection.id))
        let request = OutboundRequest(
            method: method, url: url, headers: headers, body: body, timeout: integration.timeout)
        Task {
            do {
                let response = try await http.send(request, bodyLimit: Limits.socketMessage)
                let bytes = ByteBuffer(bytes: response.body)
                completion(
                    .answered(
                        Answer(
                            status: response.status, headers: response.headers,
                            message: bytes.readableBytes == 0 ? nil : Self.message(bytes))))
            } catch {
                completion(Self.failure(504, "\(error)"))
            }
        }
    }
}
