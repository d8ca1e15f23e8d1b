import Contracts
import NIOCore
import Platform
import Storage
import Synchronization
import Wire

/// Runs GET, HEAD and LIST through the functions of Object Lambda access points.
final class ObjectLambda: Sendable {
    private let functions: any FunctionCaller
    private let credentials: any CredentialIssuer
    /// What functions call this server: `http://127.0.0.1:4566` inside a cell.
    private let endpoint: String
    private let time: any TimeSource
    let exchanges = Exchanges(limit: ControlLimits.waitingRequests)

    /// The host's first label in WriteGetObjectResponse's requests; cells resolve this one name (`martlet-cell`, /etc/hosts).
    static let route = "io-martlet-001"

    /// `endpoint`: scheme and authority, without a slash at the end.
    init(
        functions: any FunctionCaller, credentials: any CredentialIssuer, endpoint: String, time: any TimeSource
    ) {
        self.functions = functions
        self.credentials = credentials
        self.endpoint = endpoint
        self.time = time
    }

    /// What one request is about.
    struct Job: Sendable {
        var point: AccessPoint
        var support: AccessPoint
        var transformation: ObjectLambdaSettings.Transformation
        var request: OperationRequest
        var context: OperationContext { request.context }
    }

    func run(_ job: Job) async throws -> OperationResponse {
        switch job.context.operation {
        case "GetObject": return try await get(job)
        case "HeadObject": return try await HeadAnswer.response(answer(job))
        default: return try await ListAnswer.response(answer(job), operation: job.context.operation)
        }
    }

    // MARK: GetObject

    private func get(_ job: Job) async throws -> OperationResponse {
        guard let (token, exchange) = exchanges.open(account: job.point.key.scope.account) else {
            throw ObjectLambdaError.slowDown
        }
        let event = event(job, "getObjectContext", method: "GET", output: token)
        let timer = time.schedule(at: time.now() + .seconds(ControlLimits.responseSeconds)) {
            exchange.end(ObjectLambdaError.timeout)
        }
        job.context.closed.whenSuccess { exchange.end(ObjectLambdaError.callerLeft) }
        call(job, event) { result in
            exchange.end(ObjectLambdaError.failure(of: result) ?? ObjectLambdaError.notReceived)
        }
        let head: TransformedHead
        do {
            head = try await exchange.head()
        } catch {
            exchanges.remove(token)
            timer.cancel()
            throw error
        }
        guard head.hasBody else {
            timer.cancel()
            return OperationResponse(head.output, status: head.status)
        }
        return OperationResponse(
            head.output,
            payload: .stream(length: head.length) { writer in
                defer { timer.cancel() }
                do {
                    while let piece = try await exchange.read() { try await writer.write(piece) }
                } catch {
                    exchange.end(ObjectLambdaError.callerLeft)
                    throw error
                }
            }, status: head.status)
    }

    private func call(
        _ job: Job, _ event: Value, _ completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        functions.call(
            function: job.transformation.functionARN, as: job.context.principal,
            by: job.context, payload: ByteBuffer(bytes: JSON.encode(event)),
            traceID: job.context.header("x-amzn-trace-id"),
            completion: completion)
    }

    // MARK: HeadObject, ListObjects

    /// What the function answers. Throws what the caller gets instead.
    private func answer(_ job: Job) async throws -> Value {
        let operation = job.context.operation
        let (name, method) =
            switch operation {
            case "HeadObject": ("headObjectContext", "HEAD")
            case "ListObjects": ("listObjectsContext", "GET")
            default: ("listObjectsV2Context", "GET")
            }
        let event = event(job, name, method: method, output: nil)
        let result = try await once(job, event)
        if let failure = ObjectLambdaError.failure(of: .success(result)) { throw failure }
        guard result.payload.readableBytes <= ControlLimits.answerBytes,
            let answer = try? JSON.parse(result.payload.readableBytesView), answer.fields != nil
        else { throw ObjectLambdaError.invalidResponse("The function's response is not a JSON object.") }
        return answer
    }

    /// Runs the function to its end, at most for the time that S3 gives it.
    private func once(_ job: Job, _ event: Value) async throws -> InvocationResult {
        let timer = Mutex<ScheduledCall?>(nil)
        defer { timer.withLock { $0 }?.cancel() }
        return try await withCheckedThrowingContinuation { continuation in
            let waiting = OneShot(continuation)
            let call = time.schedule(at: time.now() + .seconds(ControlLimits.responseSeconds)) {
                waiting.resume(.failure(ObjectLambdaError.timeout))
            }
            timer.withLock { $0 = call }
            job.context.closed.whenSuccess { waiting.resume(.failure(ObjectLambdaError.callerLeft)) }
            self.call(job, event) { result in
                if case .failure = result, let failure = ObjectLambdaError.failure(of: result) {
                    waiting.resume(.failure(failure))
                } else {
                    waiting.resume(result)
                }
            }
        }
    }

    // MARK: The event

    /// S3 guide, "Event context format and usage"; the keys in its order.
    private func event(_ job: Job, _ name: String, method: String, output token: String?) -> Value {
        let user = UserRequest(job.context)
        var object: Fields = ["inputS3Url": .string(inputURL(job, user, method: method))]
        if let token {
            object.append("outputRoute", .string(Self.route))
            object.append("outputToken", .string(token))
        }
        return [
            "xAmzRequestId": .string(job.context.requestID),
            name: .map(object),
            "configuration": [
                "accessPointArn": .string(job.point.key.arn),
                "supportingAccessPointArn": .string(job.support.key.arn),
                "payload": .string(job.transformation.payload ?? ""),
            ],
            "userRequest": user.value,
            "userIdentity": CallerIdentity.value(job.context),
            "protocolVersion": .string(token == nil ? "1.01" : "1.00"),
        ]
    }

    /// A URL with the caller's own rights, for this one object or listing, that the function can use from where it runs.
    private func inputURL(_ job: Job, _ user: UserRequest, method: String) -> String {
        let key = job.request.input["Key"]?.string ?? ""
        let path = "/" + job.support.alias + (key.isEmpty ? "" : "/" + FormEncoding.encodePath(key.utf8))
        var query = user.queryForObject
        if let token = session(job.context) {
            let host = endpoint.split(separator: "/").last.map(String.init) ?? endpoint
            query = SigV4.presign(
                method: method, path: path, query: query, host: host, accessKeyID: token.accessKeyID,
                secret: token.secretAccessKey, sessionToken: token.sessionToken, region: job.support.key.scope.region,
                seconds: ControlLimits.inputURLSeconds, now: job.context.now)
        }
        return query.isEmpty ? endpoint + path : "\(endpoint)\(path)?\(query)"
    }

    /// Credentials of the caller; nil for those who have none.
    private func session(_ context: OperationContext) -> SessionCredentials? {
        let lifetime = Duration.seconds(ControlLimits.inputURLSeconds)
        switch context.principal {
        case .account(let account):
            return credentials.issue(
                roleARN: "", sessionName: "", account: account, lifetime: lifetime, now: context.now)
        case .roleSession(let role, let name, let account):
            return credentials.issue(
                roleARN: role, sessionName: name, account: account, tags: context.sessionTags, lifetime: lifetime,
                now: context.now)
        case .service, .anonymous: return nil
        }
    }
}

/// A continuation that the first of several resumes.
private final class OneShot: Sendable {
    private let waiting: Mutex<CheckedContinuation<InvocationResult, any Error>?>

    init(_ continuation: CheckedContinuation<InvocationResult, any Error>) { waiting = Mutex(continuation) }

    func resume(_ result: Result<InvocationResult, any Error>) {
        waiting.withLock { $0.take() }?.resume(with: result)
    }
}
