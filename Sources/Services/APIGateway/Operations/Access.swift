import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may use the control plane: identity policies on `apigateway:GET`, `POST`, `PUT`, `PATCH`, `DELETE` and the paths of the
/// API ("Actions, resources, and condition keys for Amazon API Gateway Management").
struct Access: Sendable {
    let database: any Database
    let authorizer: any Authorizer

    /// The operation, refused with AccessDeniedException where no policy allows it.
    func guarding(
        _ method: String, _ body: @escaping @Sendable (OperationRequest) async throws -> OperationResponse
    ) -> OperationHandler {
        .asynchronous { request in
            try await check(method, request)
            return try await body(request)
        }
    }

    private func check(_ method: String, _ request: OperationRequest) async throws {
        let context = request.context
        // The account itself may everything: nothing to look up.
        if case .account(context.scope.account) = context.principal { return }
        let action = "apigateway:" + method
        let resource = Self.resource(context)
        let (principal, authorizer) = (context.principal, authorizer)
        let roles = PassedRoles.found(in: request)
        let decision = try await database.read { transaction in
            let decision = try authorizer.decide(for: request, action: action, resource: resource, in: transaction)
            guard decision == .allowed else { return decision }
            for role in roles { try Self.checkPassing(role, request, authorizer, in: transaction) }
            return decision
        }
        guard decision != .allowed else { return }
        let reason =
            decision == .explicitlyDenied
            ? "with an explicit deny in an identity-based policy"
            : "because no identity-based policy allows the \(action) action"
        throw AWSError(
            "AccessDeniedException", status: 403,
            "User: \(principal.arn) is not authorized to perform: \(action) on resource: \(resource) \(reason)")
    }

    private static func checkPassing(
        _ role: String, _ request: OperationRequest, _ authorizer: any Authorizer, in transaction: any ReadTransaction
    ) throws {
        do {
            // Whether the role trusts API Gateway is asked when it is used, as on AWS (`IntegratedFunctions`).
            try PassRole(to: IntegratedFunctions.service, authorizer)
                .checkPermission(role, of: request, in: transaction)
        } catch PassRole.Problem.notPermitted(let text) {
            throw AWSError("AccessDeniedException", status: 403, text)
        }
    }

    /// `arn:aws:apigateway:REGION::/apis/ID/routes`, after the path of the request.
    static func resource(_ context: OperationContext) -> String {
        let path = ProxyRequest.decoded(String(context.uri.prefix { $0 != "?" }))
        let known = path.hasPrefix("/v2/") ? String(path.dropFirst(3)) : path
        return "arn:aws:apigateway:\(context.scope.region)::\(known)"
    }
}
