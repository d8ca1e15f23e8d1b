public import Contracts
public import Platform
import Policies
public import Storage
import Wire

/// Push sources reach functions here: the resource policy decides, then the event goes into the function's queue in the
/// transaction that takes it from the Outbox.
extension LambdaService: DeliveryTarget {
    public var arnService: String { "lambda" }

    public func accept(_ delivery: Delivery, in transaction: any WriteTransaction, now: Instant) throws {
        let target = try permitted(delivery.target, for: delivery.principal, in: transaction)
        let resolved = try refusal(of: delivery.target) {
            try FunctionResolution.resolve(target, in: transaction)
        }
        if resolved.record.configuration.state != "Active" {
            throw DeliveryRefusal.temporary(
                code: "ResourceConflictException", message: "The function is not ready: \(delivery.target)")
        }
        if delivery.payload.count > Limits.eventPayloadBytes {
            let error = AWSError.requestTooLarge(Limits.eventPayloadBytes, operation: "InvokeFunction")
            throw DeliveryRefusal.permanent(code: error.code, message: error.message)
        }
        try connections().invoker.enqueue(
            AsynchronousEvent(
                requestID: Identifier.uuid(), scope: target.scope, function: target.name,
                qualifier: target.qualifier ?? Qualifier.latestName, payload: delivery.payload, acceptedAt: now,
                invokedFunctionARN: target.arn,
                traceID: TraceHeader.honoured(delivery.attributes.traceHeader, now: now)),
            in: transaction)
    }

    public func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        let target = try permitted(target, for: principal, in: transaction)
        _ = try refusal(of: target.arn) { try FunctionResolution.resolve(target, in: transaction) }
    }

    /// The target, if it is a function's ARN and the principal may invoke it.
    private func permitted(
        _ text: String, for principal: Principal, in transaction: any ReadTransaction
    ) throws -> FunctionTarget {
        guard let arn = ARN(text), arn.service == "lambda", let name = FunctionName(text) else {
            throw DeliveryRefusal.permanent(
                code: "InvalidParameterValueException", message: "Not the ARN of a function: \(text)")
        }
        let target = FunctionTarget(
            scope: AccountRegion(account: arn.account, region: arn.region), name: name.name, qualifier: name.qualifier)
        guard try FunctionTable.get(target.scope, target.name, in: transaction) != nil else {
            throw DeliveryRefusal.permanent(
                code: "ResourceNotFoundException", message: "Function not found: \(text)")
        }
        if let denial = try denial(of: target, to: principal, in: transaction) {
            throw DeliveryRefusal.permanent(
                code: "AccessDeniedException",
                message: "User: \(principal.arn) is not authorized to perform: lambda:InvokeFunction on resource: "
                    + "\(text) \(denial)")
        }
        return target
    }

    /// Why the principal may not invoke the target, in AWS's words; nil when it may.
    private func denial(
        of target: FunctionTarget, to principal: Principal, in transaction: any ReadTransaction
    ) throws -> String? {
        let isOwn = principal.account == target.scope.account
        switch principal {
        case .service, .anonymous: break
        case .account: if isOwn { return nil }
        case .roleSession:
            let decision =
                try connections().authorizer?.decide(
                    for: principal, action: "lambda:InvokeFunction", resource: target.arn,
                    more: {
                        try $0.resourceTags { try FunctionTable.get(target.scope, target.name, in: transaction)?.tags }
                    }, in: transaction) ?? .allowed
            switch decision {
            case .allowed: if isOwn { return nil }
            case .explicitlyDenied: return "with an explicit deny in an identity-based policy"
            case .notAllowed:
                // In one account the resource's policy suffices.
                let text = "because no identity-based policy allows the lambda:InvokeFunction action"
                if !isOwn { return text }
                return try isAllowed(principal, target, in: transaction) ? nil : text
            }
        }
        return try isAllowed(principal, target, in: transaction)
            ? nil : "because no resource-based policy allows the lambda:InvokeFunction action"
    }

    /// Whether the function's own policy lets the principal in.
    private func isAllowed(
        _ principal: Principal, _ target: FunctionTarget, in transaction: any ReadTransaction
    ) throws -> Bool {
        // `$LATEST` and the unqualified function are one for a policy.
        let latest = Qualifier(target.qualifier) == .latest
        let text = try PolicyTable.text(
            target.scope, target.name, qualifier: latest ? "" : target.qualifier ?? "", in: transaction)
        let request = PolicyRequest(
            principal: principal, action: "lambda:InvokeFunction",
            resource: latest ? target.unqualifiedARN : target.arn)
        let policy = text.flatMap { text in
            policies.document(text) {
                try PolicyDocument(ResourcePolicy(statements: try Document.value($0).list ?? []).document)
            }
        }
        return policy?.decision(for: request) == .allowed
    }

    private func refusal<T>(of target: String, _ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as AWSError {
            throw DeliveryRefusal.permanent(code: error.code, message: error.message)
        }
    }
}
