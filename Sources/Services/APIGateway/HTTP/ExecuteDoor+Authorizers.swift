import Contracts
import NIOCore
import Platform
import Policies
import Storage
import Wire

extension ExecuteDoor {
    typealias Authorized = @Sendable (Authorization) -> Void

    // MARK: JWT

    func authorize(
        _ call: Call, jwt settings: JWTSettings, scopes: [String], _ completion: @escaping Authorized
    ) {
        guard let source = call.record.select(settings.identitySource.dropFirst()), !source.isEmpty else {
            var answer = ProxyAnswer.unauthorized
            answer.headers.append(("www-authenticate", "Bearer"))
            return completion(.refused(answer))
        }
        // With or without the scheme in front (developer guide on JWT authorizers).
        let hasScheme = source.utf8.count > 7 && lowercased(String(source.prefix(7))) == "bearer "
        let token = ProxyRequest.trimmed(hasScheme ? String(source.dropFirst(7)) : source)
        Task {
            do {
                let verified = try await keys.verify(token, settings, now: call.request.receivedAt)
                guard scopes.isEmpty || scopes.contains(where: { verified.scopes?.contains($0) == true }) else {
                    throw JWTProblem.insufficientScope
                }
                completion(.allowed(.jwt(claims: verified.claims, scopes: verified.grantedScopes(of: scopes))))
            } catch let problem as JWTProblem {
                completion(.refused(problem.answer(scopes: scopes)))
            } catch {
                completion(.refused(JWTProblem.keysUnavailable("\(error)").answer(scopes: scopes)))
            }
        }
    }

    // MARK: Lambda

    func authorize(
        _ call: Call, _ route: CompiledRoute, lambda authorizer: LambdaAuthorizer,
        _ completion: @escaping Authorized
    ) {
        var identity: [String] = []
        for source in authorizer.identitySources {
            guard let value = call.record.select(source.dropFirst()), !value.isEmpty else {
                // Without all of them the function is not asked.
                return completion(.refused(.unauthorized))
            }
            identity.append(value)
        }
        let arn = call.arn(route.fullResource(call))
        let key = AuthorizerCache.Key(
            api: call.api.id, stage: call.stage.name, authorizer: authorizer.id, identity: identity)
        if authorizer.lifetime > .zero, let known = answers.find(key, now: call.request.receivedAt) {
            return completion(Self.judge(known, arn: arn))
        }
        let event =
            authorizer.version == .v2
            ? ProxyEvents.authorizer2(call.request, call.record.event, arn: arn, identitySource: identity)
            : ProxyEvents.authorizer1(call.request, call.record.event, arn: arn, identitySource: identity)
        guard let asker = call.asker("authorizers/\(authorizer.id)", credentials: authorizer.credentials) else {
            return completion(
                .refused(Self.authorizerFailure("The authorizer's credentials are no role of the account.")))
        }
        let once = Once()
        let deadline = deadlines.add(after: Limits.authorizerTimeout) {
            guard once.take() else { return }
            completion(.refused(Self.authorizerFailure("The authorizer timed out.")))
        }
        functions.call(function: authorizer.function, as: asker, payload: event, traceID: call.request.traceID) {
            result in
            guard once.take() else { return }
            deadlines.cancel(deadline)
            switch Self.answer(of: result, authorizer) {
            case .success(let answer):
                let size = (try? result.get())?.payload.readableBytes ?? 0
                if authorizer.lifetime > .zero, size <= Limits.cachedAuthorization {
                    answers.keep(answer, for: key, until: time.now() + authorizer.lifetime, asked: call.generation)
                }
                completion(Self.judge(answer, arn: arn))
            case .failure(let failure): completion(.refused(Self.authorizerFailure(failure.message)))
            }
        }
    }

    private static func judge(_ answer: AuthorizerAnswer, arn: String) -> Authorization {
        guard answer.allows(arn) else { return .refused(.forbidden) }
        return .allowed(.lambda(context: answer.context, principalID: answer.principalID))
    }

    private static func answer(
        of result: Result<InvocationResult, any Error>, _ authorizer: LambdaAuthorizer
    ) -> Result<AuthorizerAnswer, Failure> {
        switch result {
        case .failure(let error): return .failure(Failure(.unavailable, "\(error)"))
        case .success(let result):
            if result.functionError != nil {
                let text = String(buffer: result.payload).prefix(1_000)
                return .failure(Failure(.unavailable, "The authorizer failed: \(text)"))
            }
            guard result.payload.readableBytes <= Limits.authorizerAnswer,
                let value = try? JSON.parse(result.payload.readableBytesView),
                let answer = AuthorizerAnswer(
                    value, allowsSimple: authorizer.allowsSimple && authorizer.version == .v2)
            else { return .failure(Failure(.unavailable, "The authorizer's answer cannot be understood.")) }
            return .success(answer)
        }
    }

    private static func authorizerFailure(_ detail: String) -> ProxyAnswer {
        .error(500, "Internal Server Error", type: "AUTHORIZER_FAILURE", detail: detail)
    }
}

/// AWS_IAM: signed requests, and the policies of who signed them.
struct IAMAuthorizer: Sendable {
    let database: any Database
    let authorizer: any Authorizer

    func authorize(_ call: ExecuteDoor.Call, resource: String, _ completion: @escaping ExecuteDoor.Authorized) {
        guard call.door.isSigned, call.door.signatureFailure == nil, let account = call.request.principal.account else {
            return completion(.refused(.forbidden))
        }
        let (principal, door) = (call.request.principal, call.door)
        // Whoever is of another account needs a resource policy, which HTTP APIs do not have.
        guard account == call.api.scope.account, door.isScoped(to: call.api.scope.region) else {
            return completion(.refused(.forbidden))
        }
        Task {
            do {
                let decision = try await database.read { transaction in
                    try authorizer.decide(
                        for: door.context, action: "execute-api:Invoke", resource: resource, in: transaction)
                }
                guard decision == .allowed else { return completion(.refused(.forbidden)) }
                completion(.allowed(.iam(Self.caller(principal, account: account, door))))
            } catch {
                completion(
                    .refused(
                        .error(500, "Internal Server Error", type: "AUTHORIZER_FAILURE", detail: "\(error)")))
            }
        }
    }

    static func caller(_ principal: Principal, account: String, _ door: DoorRequest)
        -> CallerIdentity.IAMCaller
    {
        var callerID = account
        if case .roleSession(let role, let session, _) = principal {
            callerID = "\(role.split(separator: "/").last.map(String.init) ?? role):\(session)"
        }
        return CallerIdentity.IAMCaller(
            accessKey: door.accessKeyID ?? "", accountID: account, callerID: callerID, userARN: principal.arn)
    }
}
