import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// As whom a function is called.
struct Asker: Sendable {
    var principal: Principal
    /// Of a role that API Gateway assumes: the resource for which it does (`aws:SourceArn`). Nil: it assumes none.
    var source: String?
    /// Of the caller who calls as itself: the tags of its session, and where it comes from.
    var context: OperationContext?

    init(caller: OperationContext) {
        principal = caller.principal
        context = caller
    }

    init(_ principal: Principal) { self.principal = principal }

    /// The role that an integration or an authorizer names as its credentials, as a session of API Gateway's. Nil for what is no
    /// role, and for one of another account: it would be that account's word for what this one wants.
    init?(role credentials: String, of account: String, source: String) {
        guard let role = ARN(credentials), role.service == "iam", role.resource.hasPrefix("role/"),
            role.account == account
        else { return nil }
        principal = .roleSession(roleARN: credentials, sessionName: "BackplaneAssumeRoleSession", account: account)
        self.source = source
    }
}

/// Functions as integrations and authorizers call them: a role that is named as credentials must trust API Gateway when it is
/// used, as on AWS, not only when it is configured.
struct IntegratedFunctions: Sendable {
    let functions: any FunctionCaller
    let database: any Database
    let authorizer: any Authorizer
    static let service = "apigateway.amazonaws.com"

    func call(
        function arn: String, as asker: Asker, payload: ByteBuffer, traceID: String?,
        completion: @escaping @Sendable (Result<InvocationResult, any Error>) -> Void
    ) {
        trusted(asker) { principal in
            switch principal {
            case .failure(let error): completion(.failure(error))
            case .success(let principal):
                functions.call(
                    function: arn, as: principal, by: asker.context, payload: payload, traceID: traceID,
                    completion: completion)
            }
        }
    }

    /// As `call`, with the response while it is made.
    func callStreaming(
        function arn: String, as asker: Asker, payload: ByteBuffer, traceID: String?,
        completion: @escaping ResponseStream.Begun
    ) {
        trusted(asker) { principal in
            switch principal {
            case .failure(let error): completion(.failure(error))
            case .success(let principal):
                functions.callStreaming(
                    function: arn, as: principal, by: asker.context, payload: payload, traceID: traceID,
                    completion: completion)
            }
        }
    }

    /// Fails with AccessDeniedException for a role that does not trust API Gateway. Without a role it answers at once.
    private func trusted(
        _ asker: Asker, _ done: @escaping @Sendable (Result<Principal, any Error>) -> Void
    ) {
        guard let source = asker.source, case .roleSession(let role, _, let account) = asker.principal else {
            return done(.success(asker.principal))
        }
        Task {
            do {
                let isTrusted = try await database.read { transaction in
                    try authorizer.isAssumable(
                        role, by: Self.service, account: account, source: source, in: transaction)
                }
                guard isTrusted else {
                    throw AWSError(
                        "AccessDeniedException", status: 403,
                        "API Gateway could not assume the role \(role): it must exist and trust \(Self.service).")
                }
                done(.success(asker.principal))
            } catch {
                done(.failure(error))
            }
        }
    }
}
