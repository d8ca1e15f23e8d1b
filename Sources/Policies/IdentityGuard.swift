public import Contracts
import NIOCore
public import Storage
public import Wire

/// An action on a resource that a caller's identity policies must allow.
public struct PermissionNeed: Sendable, Hashable {
    /// E.g. `lambda:CreateFunction`.
    public var action: String
    /// An ARN, or `*` for actions that know no resource.
    public var resource: String
    /// Condition keys of the service, in lower case.
    public var conditions: ConditionValues

    public init(_ action: String, _ resource: String, conditions: ConditionValues = [:]) {
        self.action = action
        self.resource = resource
        self.conditions = conditions
    }
}

/// Asks the identity policies of role sessions before each operation of a service: functions, and whoever assumed a role. The
/// account itself may everything, and costs nothing. For services whose resources have no policies of their own; the others
/// weigh both.
public struct IdentityGuard: Sendable {
    public typealias MoreConditions =
        @Sendable (PermissionNeed, AskedKeys, any ReadTransaction) throws -> ConditionValues

    private let authorizer: any Authorizer
    private let database: any Database

    public init(authorizer: any Authorizer, database: any Database) {
        self.authorizer = authorizer
        self.database = database
    }

    /// The definition with a question before every operation. `needs` may be empty: the operation asks by itself. `code` is
    /// the service's error code for a refusal. `resolve` completes a need by what only the store knows; `more` are condition keys
    /// that cost something to find out.
    public func guarding(
        _ definition: ServiceDefinition, code: String = "AccessDeniedException",
        needs: @escaping @Sendable (_ operation: String, _ request: OperationRequest) -> [PermissionNeed],
        resolve: @escaping @Sendable (inout PermissionNeed, any ReadTransaction) throws -> Void = { _, _ in },
        more: @escaping MoreConditions = { _, _, _ in [:] }
    ) -> ServiceDefinition {
        var guarded = definition
        guarded.operations = definition.operations.reduce(into: [:]) { operations, entry in
            let (name, handler) = entry
            let check: @Sendable (OperationRequest) async throws -> Void = { request in
                try await self.check(request, needs(name, request), resolve, more, code: code)
            }
            switch handler {
            case .asynchronous(let body):
                operations[name] = .asynchronous { request in
                    if request.context.principal.isRoleSession { try await check(request) }
                    return try await body(request)
                }
            case .callback(let body):
                operations[name] = .callback { request, completion in
                    guard request.context.principal.isRoleSession else { return body(request, completion) }
                    Task {
                        do {
                            try await check(request)
                            // Where the front door calls it.
                            request.context.eventLoop.execute { body(request, completion) }
                        } catch {
                            completion(.failure(error))
                        }
                    }
                }
            }
        }
        return guarded
    }

    private func check(
        _ request: OperationRequest, _ needs: [PermissionNeed],
        _ resolve: @escaping @Sendable (inout PermissionNeed, any ReadTransaction) throws -> Void,
        _ more: @escaping MoreConditions, code: String
    ) async throws {
        guard !needs.isEmpty else { return }
        let refused = try await database.read { [authorizer] transaction -> (PermissionNeed, PolicyDecision)? in
            for var need in needs {
                try resolve(&need, transaction)
                let asked = need
                let decision = try authorizer.decide(
                    for: request, action: asked.action, resource: asked.resource,
                    more: { try asked.conditions.merging(more(asked, $0, transaction)) { own, _ in own } },
                    in: transaction)
                if decision != .allowed { return (need, decision) }
            }
            return nil
        }
        guard let (need, decision) = refused else { return }
        let refusal = decision == .explicitlyDenied ? PolicyRefusal.deniedByIdentity : .notAllowedByIdentity
        throw AWSError(
            code, status: 403,
            "User: \(request.context.principal.arn) is not authorized to perform: \(need.action) on resource: "
                + "\(need.resource) \(refusal.reason(need.action))")
    }
}
