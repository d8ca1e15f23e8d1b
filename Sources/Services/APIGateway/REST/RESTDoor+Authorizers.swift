import Contracts
import NIOCore
import Platform
import Policies
import Storage
import Wire

extension RESTDoor {
    // MARK: The API's policy

    /// Asks the API's own policy first, where nobody else is asked; with an authorizer, both count together.
    func authorize(_ call: RESTCall, _ method: RESTMethod) {
        switch method.authorization {
        case .none:
            if let failure = refusal(call, policy(call, .anonymous)) { return finish(call, failure) }
            proceed(call, method)
        case .broken: finish(call, RESTFailure.authorizer("The method's authorizer is not there."))
        case .iam: authorizeSigner(call, method)
        case .custom(let authorizer):
            let decision = policy(call, .anonymous)
            if decision == .explicitlyDenied, let failure = refusal(call, decision) { return finish(call, failure) }
            ask(authorizer, call) { result in
                switch result {
                case .failure(let failure): finish(call, failure)
                case .success(let (answer, latency)): judge(call, method, answer, latency, decision)
                }
            }
        }
    }

    /// Nil without a policy.
    private func policy(_ call: RESTCall, _ principal: Principal) -> PolicyDecision? {
        switch call.stage.settings.policy {
        case .open: nil
        case .broken: .explicitlyDenied
        case .policy(let policy):
            policy.decision(principal, arn: call.methodARN, account: call.api.scope.account, call.request)
        }
    }

    private func refusal(_ call: RESTCall, _ decision: PolicyDecision?) -> RESTFailure? {
        switch decision {
        case nil, .allowed: nil
        case .notAllowed: denied(call, .anonymous, isExplicit: false)
        case .explicitlyDenied: denied(call, .anonymous, isExplicit: true)
        }
    }

    /// AWS shows four digits of the account.
    private func denied(_ call: RESTCall, _ principal: Principal, isExplicit: Bool) -> RESTFailure {
        let account = call.api.scope.account
        let arn = call.methodARN.replacing(":\(account):", with: ":********\(account.suffix(4)):", maxReplacements: 1)
        return .denied(
            "User: \(principal.arn) is not authorized to perform: execute-api:Invoke on resource: \(arn)"
                + (isExplicit ? " with an explicit deny" : ""))
    }

    // MARK: AWS_IAM

    private func authorizeSigner(_ call: RESTCall, _ method: RESTMethod) {
        guard let door = call.door else { return proceed(call, method) }
        if let failure = door.signatureFailure {
            let type: GatewayResponseType = failure.code == "ExpiredTokenException" ? .expiredToken : .invalidSignature
            return finish(
                call,
                RESTFailure(
                    type, failure.message,
                    type == .expiredToken ? "ExpiredTokenException" : "InvalidSignatureException"))
        }
        let principal = call.request.principal
        guard door.isSigned, let account = principal.account else { return finish(call, .missingToken) }
        guard door.isScoped(to: call.api.scope.region) else {
            // AWS's text, with the space at its end.
            let text = "Credential should be scoped to a valid region, not '\(door.context.scope.region)'. "
            return finish(call, RESTFailure(.invalidSignature, text, "InvalidSignatureException"))
        }
        let resource = policy(call, principal) ?? .notAllowed
        // The account itself may everything: nothing to look up.
        if case .account(call.api.scope.account) = principal {
            return admit(call, method, door, principal, identity: .allowed, resource, account)
        }
        Task {
            do {
                let arn = call.methodARN
                let identity = try await database.read { transaction in
                    try authorizer.decide(
                        for: door.context, action: "execute-api:Invoke", resource: arn, in: transaction)
                }
                admit(call, method, door, principal, identity: identity, resource, account)
            } catch {
                finish(call, RESTFailure(.authorizerFailure, nil, "AuthorizerFailureException", detail: "\(error)"))
            }
        }
    }

    private func admit(
        _ call: RESTCall, _ method: RESTMethod, _ door: DoorRequest, _ principal: Principal, identity: PolicyDecision,
        _ resource: PolicyDecision, _ account: String
    ) {
        guard
            PolicyDecision.permits(
                principal, identity: identity, resource: resource, resourceAccount: call.api.scope.account)
        else {
            let isExplicit = identity == .explicitlyDenied || resource == .explicitlyDenied
            return finish(call, denied(call, principal, isExplicit: isExplicit))
        }
        var callerID = account
        if case .roleSession(let role, let session, _) = principal {
            callerID = "\(role.split(separator: "/").last.map(String.init) ?? role):\(session)"
        }
        var call = call
        call.record.event.identity = .iam(
            CallerIdentity.IAMCaller(
                accessKey: door.accessKeyID ?? "", accountID: account, callerID: callerID, userARN: principal.arn))
        proceed(call, method)
    }

    // MARK: Lambda authorizers

    typealias Asked = @Sendable (Result<(AuthorizerAnswer, latency: Int), RESTFailure>) -> Void

    /// The answer of the function, or one that is still good.
    func ask(_ authorizer: RESTAuthorizer, _ call: RESTCall, _ completion: @escaping Asked) {
        var identity: [String] = []
        let event: ByteBuffer
        switch authorizer.kind {
        case .token(let source, let expression):
            guard let token = value(source, call), !token.isEmpty, expression?.matches(token) ?? true else {
                return completion(.failure(.unauthorized))
            }
            identity = [token]
            event = RESTEvents.token(call, token)
        case .request(let sources):
            for source in sources {
                guard let value = value(source, call), !value.isEmpty else {
                    return completion(.failure(.unauthorized))
                }
                identity.append(value)
            }
            event = RESTEvents.request(call)
        }
        let key = AuthorizerCache.Key(
            api: call.api.id, stage: call.stage.name, authorizer: authorizer.id, identity: identity)
        let caches = authorizer.lifetime > .zero && call.transcript == nil
        if caches, let known = answers.find(key, now: call.request.receivedAt) {
            return completion(.success((known, 0)))
        }
        let source = call.arn("authorizers/\(authorizer.id)")
        guard let asker = call.asker(source, credentials: authorizer.credentials) else {
            return completion(.failure(.authorizer("The authorizer's credentials are no role of the account.")))
        }
        let (once, start) = (Once(), time.uptimeNanoseconds())
        let deadline = deadlines.add(after: Limits.authorizerTimeout) {
            guard once.take() else { return }
            completion(.failure(RESTFailure(.authorizerFailure, nil, "AuthorizerFailureException", detail: "Timeout")))
        }
        functions.call(
            function: authorizer.function, as: asker, payload: event, traceID: call.request.traceID
        ) { result in
            guard once.take() else { return }
            deadlines.cancel(deadline)
            switch Self.answer(of: result) {
            case .failure(let failure): completion(.failure(failure))
            case .success(let answer):
                let size = (try? result.get())?.payload.readableBytes ?? 0
                if caches, size <= Limits.cachedAuthorization {
                    answers.keep(answer, for: key, until: time.now() + authorizer.lifetime, asked: call.generation)
                }
                completion(.success((answer, Int((time.uptimeNanoseconds() &- start) / 1_000_000))))
            }
        }
    }

    private func value(_ source: IdentitySource, _ call: RESTCall) -> String? {
        switch source {
        case .parameter(let parameter): call.values(parameter).last
        case .stageVariable(let name): call.stage.variables.first { $0.name == name }?.value
        case .context(let name): call.value(name)
        }
    }

    private static func answer(of result: Result<InvocationResult, any Error>) -> Result<AuthorizerAnswer, RESTFailure>
    {
        switch result {
        case .failure(let error): return .failure(.authorizer("\(error)"))
        case .success(let result):
            if result.raisesUnauthorized { return .failure(.unauthorized) }
            guard result.functionError == nil else {
                return .failure(.authorizer("The authorizer failed: \(String(buffer: result.payload).prefix(1_000))"))
            }
            guard result.payload.readableBytes <= Limits.authorizerAnswer,
                let value = try? JSON.parse(result.payload.readableBytesView),
                let answer = AuthorizerAnswer(value, allowsSimple: false), answer.principalID != nil,
                answer.context?.entries.allSatisfy({ isPlain($0.value) }) ?? true
            else { return .failure(.authorizer("The authorizer's answer cannot be understood.")) }
            return .success(answer)
        }
    }

    /// "You can't set a JSON object or array as a valid value of any key in the context map."
    private static func isPlain(_ value: Value) -> Bool {
        switch value {
        case .string, .bool, .int, .double, .null: true
        default: false
        }
    }

    private func judge(
        _ given: RESTCall, _ method: RESTMethod, _ answer: AuthorizerAnswer, _ latency: Int, _ policy: PolicyDecision?
    ) {
        var call = given
        let own = answer.decision(call.methodARN)
        switch own.combined(with: policy ?? .notAllowed) {
        case .explicitlyDenied:
            return finish(call, .denied("User is not authorized to access this resource with an explicit deny"))
        case .notAllowed: return finish(call, .denied("User is not authorized to access this resource"))
        case .allowed: break
        }
        call.authorizerLatency = latency
        call.usageIdentifierKey = answer.usageIdentifierKey
        call.record.event.identity = .lambda(context: answer.context, principalID: answer.principalID)
        proceed(call, method)
    }
}
