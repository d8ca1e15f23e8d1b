import Contracts
import Platform
import Storage
import Wire

struct TargetOperations: Sendable {
    let database: any Database
    let access: Access
    let interest: CallInterest

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.PutTargetsRequest(request.input)
        let context = request.context
        let key = RuleKey(bus: BusKey(input.eventBusName, in: context.scope), name: input.rule ?? "")
        let targets = input.targets ?? []
        try await database.write { [access, interest] transaction in
            // Asked of each; one that is refused refuses all.
            for arn in targets.isEmpty ? [nil] : targets.map(\.arn) {
                try access.check(
                    context, "PutTargets", key.arn, account: key.bus.scope.account,
                    keys: arn.map { ["events:targetarn": [$0]] } ?? [:], in: transaction)
            }
            _ = try BusTable.require(key.bus, in: transaction)
            _ = try RuleTable.require(key, in: transaction)
            var ids = Set(
                try TargetTable.list(key, limit: Limits.targetsPerRule, in: transaction).compactMap(\.id))
            for target in targets {
                let checked = try RuleTarget(target, account: key.bus.scope.account)
                guard BusKey(arn: checked.arn) != key.bus else {
                    throw AWSError.validation(
                        "Parameter \(checked.arn) is not valid. Reason: A rule cannot send events to its own bus.")
                }
                try access.checkPassing(checked.roleARN, request, rule: key, in: transaction)
                ids.insert(checked.id)
                try TargetTable.put(target, of: key, in: transaction)
            }
            guard ids.count <= Limits.targetsPerRule else { throw AWSError.limitExceeded }
            interest.changed(key.bus, in: transaction)
        }
        var output = Model.PutTargetsResponse()
        output.failedEntryCount = 0
        output.failedEntries = []
        return OperationResponse(output.value)
    }

    func remove(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.RemoveTargetsRequest(request.input)
        let context = request.context
        let key = RuleKey(bus: BusKey(input.eventBusName, in: context.scope), name: input.rule ?? "")
        let ids = input.ids ?? []
        let missing = try await database.write { [access, interest] transaction in
            try access.check(
                context, "RemoveTargets", key.arn, account: key.bus.scope.account, in: transaction)
            _ = try BusTable.require(key.bus, in: transaction)
            _ = try RuleTable.require(key, in: transaction)
            interest.changed(key.bus, in: transaction)
            return try ids.filter { try !TargetTable.delete($0, of: key, in: transaction) }
        }
        var output = Model.RemoveTargetsResponse()
        output.failedEntryCount = missing.count
        output.failedEntries = missing.map { id in
            var entry = Model.RemoveTargetsResultEntry()
            entry.targetId = id
            entry.errorCode = "ResourceNotFoundException"
            entry.errorMessage = "Rule \(key.name) does not have a target with the Id \(id)."
            return entry
        }
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListTargetsByRuleRequest(request.input)
        let context = request.context
        let key = RuleKey(bus: BusKey(input.eventBusName, in: context.scope), name: input.rule ?? "")
        let after = try Paging.place(input.nextToken)
        let limit = input.limit ?? Limits.page
        let targets = try await database.read { [access] transaction in
            try access.check(
                context, "ListTargetsByRule", key.arn, account: key.bus.scope.account, in: transaction)
            _ = try BusTable.require(key.bus, in: transaction)
            _ = try RuleTable.require(key, in: transaction)
            return try TargetTable.list(key, after: after, limit: limit + 1, in: transaction)
        }
        var output = Model.ListTargetsByRuleResponse()
        output.targets = Array(targets.prefix(limit))
        if targets.count > limit { output.nextToken = PageToken.encode(targets[limit - 1].id ?? "") }
        return OperationResponse(output.value)
    }
}
