import Contracts
import Platform

struct PolicyStatement: Sendable {
    let allows: Bool
    /// Nil in identity policies.
    private let principal: (element: PrincipalElement, isNegated: Bool)?
    private let actions: [[Glob.Token]]
    private let actionsNegated: Bool
    /// Nil in trust policies.
    private let resources: [PolicyText]?
    private let resourcesNegated: Bool
    private let conditions: [Condition]

    private static let elements: Set<String> = [
        "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
    ]

    init(_ value: Value, kind: PolicyDocument.Kind, hasVariables: Bool) throws(PolicyError) {
        guard let fields = value.fields else {
            throw PolicyError(.invalid, "Statement", "Statement must be an object or a list of objects")
        }
        for name in fields.names where !Self.elements.contains(name) {
            throw PolicyError(.unexpected, name, "Unknown element: \(name)")
        }
        if let id = fields["Sid"], id.string == nil { throw PolicyError(.invalid, "Sid", "Sid must be a string") }
        switch fields["Effect"]?.string {
        case "Allow": allows = true
        case "Deny": allows = false
        case nil where fields["Effect"] == nil: throw PolicyError(.missing, "Effect", "Missing required field Effect")
        default: throw PolicyError(.invalid, "Effect", "Invalid effect: must be Allow or Deny")
        }
        principal = try Self.principal(fields, kind)
        guard let action = try Self.either("Action", fields) else {
            throw PolicyError(.missing, "Action", "Missing required field Action")
        }
        actions = try Strings.read(action.value, element: "Action").map { Glob.tokens($0.lowercased()) }
        actionsNegated = action.isNegated
        let resource = try Self.either("Resource", fields)
        switch (kind, resource) {
        case (.trust, .some): throw PolicyError(.unexpected, "Resource", "Has prohibited field Resource")
        case (.trust, .none): break
        case (_, .none): throw PolicyError(.missing, "Resource", "Missing required field Resource")
        case (_, .some): break
        }
        resources = try resource.map { (resource) throws(PolicyError) in
            try Strings.read(resource.value, element: "Resource").map { PolicyText($0, hasVariables: hasVariables) }
        }
        resourcesNegated = resource?.isNegated ?? false
        conditions = try Self.conditions(fields["Condition"], hasVariables: hasVariables)
    }

    /// An element or its negation, not both.
    private static func either(_ name: String, _ fields: Fields) throws(PolicyError) -> (value: Value, isNegated: Bool)?
    {
        switch (fields[name], fields["Not" + name]) {
        case (let value?, nil): return (value, false)
        case (nil, let value?): return (value, true)
        case (nil, nil): return nil
        case (.some, .some):
            throw PolicyError(.unexpected, "Not" + name, "\(name) and Not\(name) cannot be in one statement")
        }
    }

    private static func principal(
        _ fields: Fields, _ kind: PolicyDocument.Kind
    ) throws(PolicyError) -> (element: PrincipalElement, isNegated: Bool)? {
        let found = try either("Principal", fields)
        if kind == .identity {
            if found != nil { throw PolicyError(.unexpected, "Principal", "Has prohibited field Principal") }
            return nil
        }
        guard let found else { throw PolicyError(.missing, "Principal", "Missing required field Principal") }
        return (try PrincipalElement(found.value, element: "Principal"), found.isNegated)
    }

    private static func conditions(_ value: Value?, hasVariables: Bool) throws(PolicyError) -> [Condition] {
        guard let value else { return [] }
        guard let operators = value.fields else {
            throw PolicyError(.invalid, "Condition", "Condition must be an object")
        }
        var conditions: [Condition] = []
        for entry in operators.entries {
            guard let keys = entry.value.fields else {
                throw PolicyError(.invalid, "Condition", "Condition \(entry.name) must be an object")
            }
            for key in keys.entries {
                let values = try Strings.readScalars(key.value, element: "Condition")
                conditions.append(
                    Condition(operator: entry.name, key: key.name, values: values, hasVariables: hasVariables))
            }
        }
        return conditions
    }

    /// The condition keys, in lower case, that conditions and variables ask for.
    var keys: Set<String> {
        var keys = Set((resources ?? []).flatMap(\.variables))
        for condition in conditions { keys.formUnion(condition.keys) }
        return keys
    }

    var hasUnknownOperators: Bool { !conditions.allSatisfy(\.isKnown) }

    /// Whether the statement speaks of the request. A condition that we do not know is not fulfilled for an Allow and
    /// is for a Deny: it fails closed both ways.
    func matches(_ request: PolicyRequest, action: [UInt8]) -> Bool {
        let actionFits = actions.contains { Glob.matches($0[...], action[...]) }
        guard actionFits != actionsNegated else { return false }
        if let principal {
            // In its own account, an account that is named gives its roles nothing that their identity policies do not;
            // and what is denied to it is denied to them.
            let isOwner = !request.resourceAccount.isEmpty && request.principal.account == request.resourceAccount
            let delegates = allows && !principal.isNegated && isOwner
            guard principal.element.names(request.principal, delegates: delegates) != principal.isNegated else {
                return false
            }
        }
        if let resources {
            let resourceFits = resources.contains { $0.matches(request.resource, request.context) }
            guard resourceFits != resourcesNegated else { return false }
        }
        return conditions.allSatisfy { condition in
            switch condition.outcome(request.context) {
            case .fulfilled: true
            case .notFulfilled: false
            case .unknown: !allows
            }
        }
    }
}
