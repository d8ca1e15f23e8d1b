public import Contracts
public import NIOCore
import Platform
import Policies
import Storage
import Wire

/// Other services' way to functions: named by ARN, permitted by the function's policy, run at once. With the function and its
/// policy in the cache there is no database read, unless the caller is a role, whose own policies are asked each time.
extension LambdaService: FunctionCaller {
    public func call(
        function arn: String, as principal: Principal, by context: OperationContext?, payload: ByteBuffer,
        traceID: String?,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        prepare(arn, .invoke(principal), context, payload, traceID) { result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let call): call.invoker.invoke(call.function, call.invocation, completion: completion)
            }
        }
    }

    public func callStreaming(
        function arn: String, as principal: Principal, by context: OperationContext?, payload: ByteBuffer,
        traceID: String?,
        completion: @escaping ResponseStream.Begun
    ) {
        prepare(arn, .invoke(principal), context, payload, traceID) { result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let call):
                call.invoker.invokeStreaming(call.function, call.invocation, completion: completion)
            }
        }
    }

    private struct Call: Sendable {
        var invoker: any FunctionInvoker
        var function: FunctionVersion
        var invocation: Invocation
    }

    private func prepare(
        _ arn: String, _ question: PolicyQuestion, _ context: OperationContext?, _ payload: ByteBuffer,
        _ traceID: String?,
        _ done: @escaping @Sendable (Result<Call, any Error>) -> Void
    ) {
        guard let target = FunctionTarget(arn: arn) else {
            return done(.failure(AWSError.invalidParameter("Not the ARN of a function: \(arn)")))
        }
        admit(target, [question], by: context) { [self] result in
            done(
                Result {
                    let entry = try result.get()
                    let trace = TraceHeader.honoured(traceID, now: time.now())
                    let (function, passed) = try begin(entry, traceID: trace)
                    return Call(
                        invoker: try connections().invoker, function: function,
                        invocation: Invocation(
                            requestID: Identifier.uuid(), payload: payload, invokedFunctionARN: target.arn,
                            traceID: passed))
                })
        }
    }

    /// What a target resolves to, once every question is answered with yes; `done` is called at once when all that is in the
    /// cache, else on the loop of `context`, that of a request from outside, which is asked for conditions too: an environment
    /// lives on the loop that starts it, and is near to its caller there. Fails with 404 when it is not there, 409 while it is
    /// not ready, 403 when the answer is no.
    func admit(
        _ target: FunctionTarget, _ questions: [PolicyQuestion], by context: OperationContext? = nil,
        _ done: @escaping @Sendable (Result<FunctionCache.Entry, any Error>) -> Void
    ) {
        let qualifier = target.qualifier ?? Qualifier.latestName
        if let entry = cache.lookup(target.scope, target.name, qualifier),
            let policy = cache.policy(target.scope, target.name, target.policyQualifier),
            questions.allSatisfy({ !$0.principal.isRoleSession })
        {
            let denied = questions.first { !permits(target, $0, policy, identity: .allowed) }
            return done(denied.map { .failure(AWSError.notAuthorized($0, target)) } ?? .success(entry))
        }
        Task { [self] in
            do {
                let entry = try await entry(target)
                try await check(target, questions, context)
                guard let loop = context?.eventLoop else { return done(.success(entry)) }
                loop.execute { done(.success(entry)) }
            } catch {
                done(.failure(error))
            }
        }
    }

    private func check(
        _ target: FunctionTarget, _ questions: [PolicyQuestion], _ context: OperationContext?
    ) async throws {
        let mark = cache.mark()
        let cached = cache.policy(target.scope, target.name, target.policyQualifier)
        let authorizer = try connections().authorizer
        let (policy, identities) = try await database.read { transaction in
            let policy =
                try cached
                ?? CachedPolicy(
                    PolicyTable.get(
                        target.scope, target.name, qualifier: target.policyQualifier, in: transaction),
                    resource: target.policyResource)
            let identities = try questions.map { question -> PolicyDecision in
                guard question.principal.isRoleSession, let authorizer else { return .allowed }
                return try authorizer.decide(
                    question.principal, action: question.action, resource: target.arn,
                    conditions: { asked in
                        let caller: any Caller = context ?? question.principal
                        return try caller.conditions.merging(question.conditions) { $1 }
                            .merging(
                                asked.resourceTags {
                                    try FunctionTable.get(target.scope, target.name, in: transaction)?.tags
                                }
                            ) { $1 }
                    }, in: transaction)
            }
            return (policy, identities)
        }
        if cached == nil {
            cache.store(policy, target.scope, target.name, target.policyQualifier, since: mark)
        }
        for (question, identity) in zip(questions, identities)
        where !permits(target, question, policy, identity: identity) {
            throw AWSError.notAuthorized(question, target)
        }
    }

    /// An account may do everything in itself; services and strangers have nothing but the resource's policy.
    private func permits(
        _ target: FunctionTarget, _ question: PolicyQuestion, _ policy: CachedPolicy, identity: PolicyDecision
    ) -> Bool {
        PolicyDecision.permits(
            question.principal, identity: identity, resource: policy.decision(question),
            resourceAccount: target.scope.account)
    }
}

extension LambdaService: TokenFunctionCaller {
    public func call(
        function arn: String, as principal: Principal, eventSourceToken: String, payload: ByteBuffer,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        prepare(arn, .invoke(principal, token: eventSourceToken), nil, payload, nil) { result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let call): call.invoker.invoke(call.function, call.invocation, completion: completion)
            }
        }
    }

    public func check(
        function arn: String, as principal: Principal, eventSourceToken: String,
        completion: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        guard let target = FunctionTarget(arn: arn) else {
            return completion(.failure(AWSError.invalidParameter("Not the ARN of a function: \(arn)")))
        }
        admit(target, [.invoke(principal, token: eventSourceToken)]) { completion($0.map { _ in () }) }
    }
}

extension PolicyQuestion {
    fileprivate static func invoke(_ principal: Principal, token: String) -> PolicyQuestion {
        var question = invoke(principal)
        question.eventSourceToken = token
        return question
    }
}

extension FunctionTarget {
    /// Of a function's ARN, qualified or not.
    init?(arn text: String) {
        guard let arn = ARN(text), arn.service == "lambda", let name = FunctionName(text) else { return nil }
        self.init(
            scope: AccountRegion(account: arn.account, region: arn.region), name: name.name, qualifier: name.qualifier)
    }

    private var isLatest: Bool { Qualifier(qualifier) == .latest }
    /// `$LATEST` and the unqualified function are one for a policy.
    var policyQualifier: String { isLatest ? "" : qualifier ?? "" }
    var policyResource: String { isLatest ? unqualifiedARN : arn }
}

extension AWSError {
    fileprivate static func notAuthorized(_ question: PolicyQuestion, _ target: FunctionTarget) -> AWSError {
        let isForeign = question.principal.account != target.scope.account
        let kind: String
        switch question.principal {
        case .roleSession where !isForeign: kind = "identity"
        default: kind = "resource"
        }
        return .lambda(
            "AccessDeniedException", status: 403,
            "User: \(question.principal.arn) is not authorized to perform: \(question.action) on resource: "
                + "\(target.arn) because no \(kind)-based policy allows the \(question.action) action")
    }
}
