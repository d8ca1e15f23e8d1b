public import Contracts
public import Platform
public import Storage

/// Who asks, and what the request brings for the conditions of policies. Inside of the house a `Principal` asks and brings
/// nothing; from outside an `OperationContext` does, or the whole request with its tags.
public protocol Caller: Sendable {
    var principal: Principal { get }
    /// Ask only when a policy will.
    var conditions: ConditionValues { get }
}

extension Principal: Caller {
    public var principal: Principal { self }
    /// What services do for each other does not leave the house.
    public var conditions: ConditionValues { ["aws:securetransport": ["true"]] }

    /// Whether identity policies can say something of it.
    public var isRoleSession: Bool { if case .roleSession = self { true } else { false } }
}

extension OperationContext: Caller {
    public var conditions: ConditionValues { globalConditions }
}

extension OperationRequest: Caller {
    public var principal: Principal { context.principal }

    /// With the tags that the request gives or takes away (IAM, "aws:RequestTag", "aws:TagKeys").
    public var conditions: ConditionValues {
        context.conditions.merging(TagConditions.requested(input)) { own, _ in own }
    }
}

/// Condition keys of tags. Of tags whose names differ in case only a key has all the values: then no Allow holds that asks for it,
/// and each Deny does (`Condition`).
public enum TagConditions {
    public static let resource = "aws:resourcetag/"
    public static let principal = "aws:principaltag/"
    private static let request = "aws:requesttag/"

    /// `prefix` is in lower case and ends with a slash.
    public static func keys(
        _ prefix: String, _ tags: some Sequence<(key: String, value: String)>
    ) -> ConditionValues {
        var keys: ConditionValues = [:]
        for tag in tags { add(tag.value, prefix + tag.key.lowercased(), to: &keys) }
        return keys
    }

    /// `aws:ResourceTag/NAME` of what is asked for.
    public static func resource(_ tags: some Sequence<(key: String, value: String)>) -> ConditionValues {
        keys(resource, tags)
    }

    /// The same of tags as a map.
    public static func resource(_ tags: Fields) -> ConditionValues {
        resource(tags.entries.lazy.map { (key: $0.name, value: $0.value.string ?? "") })
    }

    /// `aws:RequestTag/NAME` and `aws:TagKeys` of tags that a request gives in its own way.
    public static func requested(_ tags: [(key: String, value: String)]) -> ConditionValues {
        guard !tags.isEmpty else { return [:] }
        return keys(request, tags).merging(["aws:tagkeys": tags.map(\.key)]) { $1 }
    }

    /// Of a request: all services name their tags alike, as lists of pairs or as maps.
    static func requested(_ input: Value) -> ConditionValues {
        var (keys, names): (ConditionValues, [String]) = ([:], [])
        func take(_ name: String, _ value: String?) {
            names.append(name)
            add(value ?? "", request + name.lowercased(), to: &keys)
        }
        for member in ["Tags", "tags"] {
            for entry in input[member]?.fields?.entries ?? [] { take(entry.name, entry.value.string) }
            for item in input[member]?.list ?? [] {
                // Names alone: what UntagLogGroup takes away.
                if let name = item.string {
                    names.append(name)
                    continue
                }
                guard let name = (item["Key"] ?? item["key"])?.string else { continue }
                take(name, (item["Value"] ?? item["value"])?.string)
            }
        }
        for member in ["TagKeys", "tagKeys"] { names += (input[member]?.list ?? []).compactMap(\.string) }
        if !names.isEmpty { keys["aws:tagkeys"] = names }
        return keys
    }

    private static func add(_ value: String, _ key: String, to keys: inout ConditionValues) {
        // A value that is there twice changes no answer. To look for it would cost the square of what a request may bring.
        if keys[key]?.last != value { keys[key, default: []].append(value) }
    }
}

extension AskedKeys {
    /// `aws:ResourceTag/NAME`; `tags` are looked up only when a policy asks for such a key.
    public func resourceTags(_ tags: () throws -> Fields?) rethrows -> ConditionValues {
        guard contains(below: TagConditions.resource), let tags = try tags() else { return [:] }
        return TagConditions.resource(tags)
    }
}

extension Authorizer {
    /// What the caller's own policies say, with the conditions of its request and those of the service, which are made only
    /// when a policy asks.
    public func decide(
        for caller: some Caller, action: String, resource: String,
        more: (AskedKeys) throws -> ConditionValues = { _ in [:] }, in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        try decide(
            caller.principal, action: action, resource: resource,
            conditions: { try caller.conditions.merging(more($0)) { _, own in own } }, in: transaction)
    }
}

extension Caller {
    /// The values that the policy of a resource may ask for; none when it asks for none. `more` are those of the service.
    public func conditions(
        for policy: PolicyDocument, _ authorizer: (any Authorizer)?,
        more: (AskedKeys) throws -> ConditionValues = { _ in [:] }, in transaction: any ReadTransaction
    ) throws -> ConditionValues {
        let asked = policy.keys
        if asked.isEmpty { return [:] }
        var keys = try conditions.merging(more(asked)) { _, own in own }
        if case .roleSession(let role, _, _) = principal, asked.contains(below: TagConditions.principal),
            let tags = try authorizer?.role(role, in: transaction)?.tags
        {
            // The session's own tags win (STS, "Passing session tags").
            keys.merge(TagConditions.keys(TagConditions.principal, tags)) { session, _ in session }
        }
        return keys
    }
}
