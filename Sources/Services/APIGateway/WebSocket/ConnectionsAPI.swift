import Contracts
import NIOCore
import Platform
import Policies
import Storage
import Wire

/// The API by which backends reach connections (`apigatewaymanagementapi`): below `/STAGE/@connections` of the API's own host.
struct ConnectionsAPI: Sendable {
    let hub: SocketHub
    let database: any Database
    let authorizer: any Authorizer
    let time: any TimeSource
    let schema: ServiceSchema

    struct Call: Sendable {
        var api: SocketAPI
        var stage: String
        var connectionID: String
        var request: DoorRequest

        /// Nil for other paths.
        init?(_ request: DoorRequest, _ api: SocketAPI) {
            let segments = ProxyRequest.segments(of: request.head.path)
            guard segments.count == 3, segments[1] == "@connections", api.stages[segments[0]] != nil else {
                return nil
            }
            self.api = api
            stage = segments[0]
            connectionID = segments[2]
            self.request = request
        }

        /// `STAGE/POST/@connections/ID`, as policies name it.
        var resource: String { api.arn("\(stage)/\(request.head.method)/@connections/\(connectionID)") }
    }

    typealias Completion = @Sendable (DoorResponse) -> Void

    func respond(to call: Call, _ completion: @escaping Completion) {
        let requestID = call.request.context.requestID
        let match: OperationMatch
        do throws(AWSError) {
            var head = call.request.head
            // The id as it was sent.
            head.path = "/@connections/" + (head.path.split(separator: "/").last ?? "")
            guard let found = try Codec.match(head, schema: schema) else { throw Self.forbidden }
            match = found
        } catch {
            return completion(answer(error, nil, requestID))
        }
        let finish: @Sendable (Result<Value, AWSError>) -> Void = { result in
            switch result {
            case .success(let output):
                let encoded = Codec.encode(output, for: match, requestID: requestID, payloadApart: false)
                completion(
                    DoorResponse(
                        status: encoded.status, headers: encoded.headers,
                        payload: encoded.body.map { .bytes($0) } ?? .none))
            case .failure(let error): completion(answer(error, match, requestID))
            }
        }
        authorize(call) { refusal in
            if let refusal { finish(.failure(refusal)) } else { run(match.operation.name, call, finish) }
        }
    }

    private func answer(_ error: AWSError, _ match: OperationMatch?, _ requestID: String) -> DoorResponse {
        let encoded = Codec.encode(
            error, for: match, schema: schema, fallback: .restJSON, resource: "", requestID: requestID)
        return DoorResponse(
            status: encoded.status, headers: encoded.headers, payload: encoded.body.map { .bytes($0) } ?? .none)
    }

    // MARK: Who may

    private static let forbidden = AWSError("ForbiddenException", status: 403, "Forbidden")

    private func authorize(_ call: Call, _ completion: @escaping @Sendable (AWSError?) -> Void) {
        if let failure = call.request.signatureFailure { return completion(failure) }
        guard call.request.isSigned else {
            return completion(
                AWSError("MissingAuthenticationTokenException", status: 403, "Missing Authentication Token"))
        }
        let principal = call.request.context.principal
        guard principal.account == call.api.scope.account else { return completion(Self.forbidden) }
        // The account itself may everything: nothing to look up.
        if case .account = principal { return completion(nil) }
        let resource = call.resource
        Task {
            let decision = try? await database.read { transaction in
                try authorizer.decide(
                    for: call.request.context, action: "execute-api:ManageConnections", resource: resource,
                    in: transaction)
            }
            switch decision {
            case .allowed: completion(nil)
            case nil: completion(.internalFailure("InternalServerErrorException"))
            case .explicitlyDenied, .notAllowed:
                completion(
                    AWSError(
                        "ForbiddenException", status: 403,
                        "User: \(principal.arn) is not authorized to perform: execute-api:ManageConnections on "
                            + "resource: \(resource)"))
            }
        }
    }

    // MARK: Operations

    private static let gone = AWSError("GoneException", status: 410, "")

    private func run(
        _ operation: String, _ call: Call, _ completion: @escaping @Sendable (Result<Value, AWSError>) -> Void
    ) {
        if operation == "PostToConnection", call.request.body.readableBytes > Limits.socketMessage {
            return completion(
                .failure(AWSError("PayloadTooLargeException", status: 413, "Message too long")))
        }
        guard ConnectionID.isValid(call.connectionID) else {
            return completion(
                .failure(
                    AWSError("BadRequestException", status: 400, "Invalid connectionId: \(shown(call.connectionID))")))
        }
        guard let connection = hub.find(call.connectionID, api: call.api.id, stage: call.stage) else {
            return completion(.failure(Self.gone))
        }
        switch operation {
        case "PostToConnection":
            // Answered when the socket has it.
            connection.send(SocketIntegrations.message(call.request.body), now: time.now()) { result in
                switch result {
                case .success: completion(.success([:]))
                case .failure(.closed): completion(.failure(Self.gone))
                case .failure(.full):
                    completion(.failure(AWSError("LimitExceededException", status: 429, "Limit Exceeded")))
                }
            }
        case "GetConnection":
            completion(
                .success([
                    "ConnectedAt": .timestamp(connection.connectedAt),
                    "Identity": [
                        "SourceIp": .string(connection.sourceIP), "UserAgent": .string(connection.userAgent),
                    ],
                    "LastActiveAt": .timestamp(connection.lastActiveAt),
                ]))
        case "DeleteConnection":
            connection.close(WebSocketClose(code: 1000, reason: "Connection Closed Normally"))
            completion(.success([:]))
        default: completion(.failure(.notImplemented(service: schema.id, operation: operation)))
        }
    }

    private func shown(_ text: String) -> String {
        String(text.unicodeScalars.prefix(128).filter { (0x20...0x7E).contains($0.value) }.map(Character.init))
    }
}
