import Contracts
import Logging
import NIOCore
import Platform
import Policies
import Storage
import Wire

/// One Invoke, its parameters checked.
struct InvokeRequest: Sendable {
    enum Kind: Sendable { case requestResponse, event, dryRun }

    var target: FunctionTarget
    var kind: Kind
    var payload: ByteBuffer
    var clientContext: String?
    var wantsLogTail: Bool
    var traceID: String

    /// Throws AWS's errors for what does not depend on the function (reference 2.1, 2.2, 7.1).
    init(_ input: Model.InvocationRequest, payload: ByteBuffer, context: OperationContext) throws(AWSError) {
        target = try FunctionTarget(input.functionName ?? "", qualifier: input.qualifier, in: context.scope)
        kind =
            switch input.invocationType {
            case "Event": .event
            case "DryRun": .dryRun
            default: .requestResponse
            }
        if input.tenantId != nil {
            throw .invalidParameter(
                "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request "
                    + "and try again.")
        }
        if input.durableExecutionName != nil {
            throw .invalidParameter("Durable functions are not supported by Martlet yet.")
        }
        self.payload = try InvokeRequest.checked(payload, isEvent: kind == .event)
        clientContext = try InvokeRequest.decode(clientContext: input.clientContext)
        wantsLogTail = input.logType == "Tail" && kind == .requestResponse
        traceID = TraceHeader.honoured(context.header("x-amzn-trace-id"), now: context.now)
    }

    /// The payload within its limit and JSON; an empty one is `{}`.
    static func checked(_ payload: ByteBuffer, isEvent: Bool) throws(AWSError) -> ByteBuffer {
        let limit = isEvent ? Limits.eventPayloadBytes : Limits.synchronousPayloadBytes
        if payload.readableBytes > limit { throw .requestTooLarge(limit, operation: "InvokeFunction") }
        if payload.readableBytes == 0 { return ByteBuffer(string: "{}") }
        do {
            try JSON.validate(payload.readableBytesView)
        } catch {
            throw .lambda(
                "InvalidRequestContentException", status: 400,
                "Could not parse request body into json: Could not parse payload into json: \(error.jacksonText)")
        }
        return payload
    }

    private static func decode(clientContext: String?) throws(AWSError) -> String? {
        guard let clientContext, !clientContext.isEmpty else { return nil }
        if clientContext.utf8.count > Limits.clientContextBytes {
            throw .lambda(
                "InvalidRequestContentException", status: 400,
                "Client context must be smaller than \(Limits.clientContextBytes) bytes")
        }
        guard let bytes = Base64.decode(clientContext), let text = String(validating: bytes, as: UTF8.self),
            (try? JSON.validate(bytes)) != nil
        else {
            throw .lambda(
                "InvalidRequestContentException", status: 400,
                "Client context must be a valid Base64-encoded JSON object.")
        }
        return text
    }
}

extension LambdaService {
    /// The hot path: with the function in the cache, no database read and no task between here and the engine.
    func invoke(_ request: OperationRequest, _ done: @escaping OperationCompletion) {
        let invocation: InvokeRequest
        do {
            invocation = try InvokeRequest(
                Model.InvocationRequest(request.input), payload: request.payload, context: request.context)
        } catch {
            return done(.failure(error))
        }
        find(invocation.target, for: request.context) { [self] found in
            switch found {
            case .success(let entry): run(invocation, entry, request.context, done)
            case .failure(let error): done(.failure(error))
            }
        }
    }

    /// The function of a call, for a caller who may: a role's right to it is asked, the account has it.
    func find(
        _ target: FunctionTarget, for context: OperationContext,
        _ done: @escaping @Sendable (Result<FunctionCache.Entry, any Error>) -> Void
    ) {
        if context.principal.isRoleSession { return admit(target, [.invoke(context.principal)], by: context, done) }
        if let entry = cache.lookup(target.scope, target.name, target.qualifier ?? Qualifier.latestName) {
            return done(.success(entry))
        }
        let loop = context.eventLoop
        Task { [self] in
            do {
                let entry = try await entry(target)
                // The environment that this call starts lives on its caller's loop.
                loop.execute { done(.success(entry)) }
            } catch {
                done(.failure(error))
            }
        }
    }

    private func run(
        _ request: InvokeRequest, _ entry: FunctionCache.Entry, _ context: OperationContext,
        _ done: @escaping OperationCompletion
    ) {
        do {
            let invoker = try connections().invoker
            switch request.kind {
            case .dryRun:
                done(.success(OperationResponse(["StatusCode": 204], status: 204)))
            case .event:
                enqueue(request, context, invoker, done)
            case .requestResponse:
                let (function, traceID) = try begin(entry, traceID: request.traceID)
                let invocation = Invocation(
                    requestID: context.requestID, payload: request.payload, invokedFunctionARN: request.target.arn,
                    clientContext: request.clientContext, traceID: traceID, wantsLogTail: request.wantsLogTail)
                invoker.invoke(function, invocation) { result in
                    done(result.map { LambdaService.answer($0, traceID: traceID) })
                }
            }
        } catch {
            done(.failure(error))
        }
    }

    /// The version for one invocation, and the trace that it passes on. Throws when the chain runs in a circle.
    func begin(
        _ entry: FunctionCache.Entry, traceID: String
    ) throws(AWSError) -> (function: FunctionVersion, traceID: String) {
        let function = entry.pick(draw: draw)
        let (traceID, number) = TraceHeader.passing(function.functionARN, traceID)
        if number > TraceHeader.recursionLimit, !function.allowsRecursion {
            logger.warning(
                "an invocation was stopped: recursive loop", metadata: ["function": "\(function.functionARN)"])
            throw .recursiveInvocation
        }
        return (function, traceID)
    }

    /// Accepted means on disk: answered when the commit is.
    private func enqueue(
        _ request: InvokeRequest, _ context: OperationContext, _ invoker: any FunctionInvoker,
        _ done: @escaping OperationCompletion
    ) {
        let target = request.target
        let event = AsynchronousEvent(
            requestID: context.requestID, scope: target.scope, function: target.name,
            qualifier: target.qualifier ?? Qualifier.latestName, payload: Array(request.payload.readableBytesView),
            acceptedAt: context.now, invokedFunctionARN: target.arn, traceID: request.traceID)
        database.write { transaction in
            try invoker.enqueue(event, in: transaction)
        } completion: { result in
            done(result.map { OperationResponse(["StatusCode": 202], payload: .bytes(ByteBuffer()), status: 202) })
        }
    }

    private static func answer(_ result: InvocationResult, traceID: String) -> OperationResponse {
        var output: Fields = ["StatusCode": 200]
        if let error = result.functionError { output.append("FunctionError", .string(error)) }
        if let tail = result.logTail { output.append("LogResult", .string(Base64.encode(tail))) }
        output.append("ExecutedVersion", .string(result.executedVersion))
        return OperationResponse(
            .map(output), payload: .bytes(result.payload), status: 200,
            headers: [("Content-Type", "application/json"), ("X-Amzn-Trace-Id", traceID)])
    }

    /// The call of 2014: as an Event, with a body that says 202.
    func invokeAsync(_ request: OperationRequest) async throws -> OperationResponse {
        var payload = request.payload
        if let stream = request.stream {
            while var piece = try await stream.next() {
                if payload.readableBytes + piece.readableBytes > Limits.invokeAsyncPayloadBytes {
                    throw AWSError.requestTooLarge(Limits.invokeAsyncPayloadBytes, operation: "InvokeAsync")
                }
                payload.writeBuffer(&piece)
            }
        }
        if payload.readableBytes > Limits.invokeAsyncPayloadBytes {
            throw AWSError.requestTooLarge(Limits.invokeAsyncPayloadBytes, operation: "InvokeAsync")
        }
        var input = Model.InvocationRequest()
        input.functionName = request.input["FunctionName"]?.string
        input.invocationType = "Event"
        var invocation = try InvokeRequest(input, payload: payload, context: request.context)
        // This call does not hand the caller's trace on (the model's documentation); a chain that runs in a circle is still
        // to be found.
        if !invocation.traceID.contains("Lineage=") {
            invocation.traceID = TraceHeader.generate(now: request.context.now)
        }
        let context = request.context
        let target = invocation.target
        let entry = try await withCheckedThrowingContinuation { continuation in
            find(target, for: context) { continuation.resume(with: $0) }
        }
        _ = try await withCheckedThrowingContinuation { continuation in
            run(invocation, entry, context) { continuation.resume(with: $0) }
        }
        return OperationResponse(["Status": 202], status: 202)
    }
}
