import Contracts
import Platform
import Storage
import Wire

/// Who else may put events on a bus.
struct PermissionOperations: Sendable {
    let database: any Database
    let access: Access

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutPermissionRequest(request.input)
        if let policy = input.policy {
            guard input.action == nil, input.principal == nil, input.statementId == nil, input.condition == nil else {
                throw AWSError.validation(
                    "Policy cannot be given together with Action, Principal, StatementId or Condition.")
            }
            try BusPolicy.check(policy)
        } else {
            for (name, value) in [
                ("Action", input.action), ("Principal", input.principal), ("StatementId", input.statementId),
            ] where value == nil {
                throw AWSError.validation("Parameter(s) \(name) must be specified.")
            }
            guard input.action == "events:PutEvents" else {
                throw AWSError.validation("Provided value in parameter 'action' is not supported.")
            }
        }
        let (id, action, principal) = (input.statementId ?? "", input.action ?? "", input.principal ?? "")
        try await change(request, input.eventBusName, "PutPermission") { bus in
            bus.policy =
                try input.policy
                ?? BusPolicy.adding(
                    id, action: action, principal: principal, condition: input.condition, to: bus.policy, bus: bus.key)
        }
        return OperationResponse()
    }

    func remove(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.RemovePermissionRequest(request.input)
        try await change(request, input.eventBusName, "RemovePermission") { bus in
            if input.removeAllPermissions == true {
                bus.policy = nil
            } else {
                guard let id = input.statementId else {
                    throw AWSError.validation("Parameter StatementId is required.")
                }
                bus.policy = try BusPolicy.removing(id, from: bus.policy)
            }
        }
        return OperationResponse()
    }

    private func change(
        _ request: OperationRequest, _ name: String?, _ action: String,
        _ body: @escaping @Sendable (inout Bus) throws -> Void
    ) async throws {
        let context = request.context
        let key = BusKey(name, in: context.scope)
        try await database.write { [access] transaction in
            try access.check(context, action, key.arn, account: key.scope.account, in: transaction)
            var bus = try BusTable.require(key, in: transaction)
            try body(&bus)
            bus.document["Modified"] = .int(context.now.nanoseconds)
            try BusTable.put(bus, in: transaction)
        }
    }
}
