public import Contracts
import Platform
public import Wire

/// Who asks, and what the request brings for the conditions of policies. Inside of the house a `Principal` asks and brings
/// nothing; from outside an `OperationContext` does, or the whole request with its tags.
public protocol Caller: Sendable {
    var principal: Principal { get }
    /// Values of condition keys by their names in lower case. Made anew each time: ask only when a policy will.
    var conditions: [String: [String]] { get }
}

extension Principal: Caller {
    public var principal: Principal { self }
    /// What services do for each other does not leave the house.
    public var conditions: [String: [String]] { ["aws:securetransport": ["true"]] }

    /// Whether identity policies can say something of it.
    public var isRoleSession: Bool { if case .roleSession = self { true } else { false } }
}

extension OperationContext: Caller {
    public var conditions: [String: [String]] {
        var keys = globalConditions
        keys["aws:requestedregion"] = [scope.region]
        keys["aws:viaawsservice"] = ["false"]
        // What does not leave the machine nobody can read on its way: the usual Deny of plain HTTP (CDK's `enforceSSL`)
        // must not shut out who works on this machine; nor anybody, where no credentials are asked for either.
        let isLocal = IPAddress(sourceIP).map { address in Self.loopback.contains { $0.contains(address) } } ?? false
        if isLocal || isTransportTrusted { keys["aws:securetransport"] = ["true"] }
        return keys
    }

    private static let loopback = [
        IPAddressBlock(IPAddress(family: .v4, value: 127 << 24), bits: 8),
        IPAddressBlock(IPAddress(family: .v6, value: 1), bits: 128),
    ]
}

extension OperationRequest: Caller {
    public var principal: Principal { context.principal }

    /// With the tags that the request gives or takes away (IAM, "aws:RequestTag", "aws:TagKeys").
    public var conditions: [String: [String]] {
        context.conditions.merging(TagConditions.requested(input)) { own, _ in own }
    }
}

/// Condition keys of tags.
public enum TagConditions {
    /// `aws:ResourceTag/NAME` of what is asked for.
    public static func resource(_ tags: some Sequence<(key: String, value: String)>) -> [String: [String]] {
        var keys: [String: [String]] = [:]
        for tag in tags { keys["aws:resourcetag/" + tag.key.lowercased()] = [tag.value] }
        return keys
    }

    /// Of a request: all services name their tags alike, as lists of pairs or as maps.
    static func requested(_ input: Value) -> [String: [String]] {
        var (keys, names): ([String: [String]], [String]) = ([:], [])
        for member in ["Tags", "tags"] {
            for entry in input[member]?.fields?.entries ?? [] {
                names.append(entry.name)
                keys["aws:requesttag/" + entry.name.lowercased()] = [entry.value.string ?? ""]
            }
            for item in input[member]?.list ?? [] {
                guard let name = (item["Key"] ?? item["key"])?.string else { continue }
                names.append(name)
                keys["aws:requesttag/" + name.lowercased()] = [(item["Value"] ?? item["value"])?.string ?? ""]
            }
        }
        for member in ["TagKeys", "tagKeys"] { names += (input[member]?.list ?? []).compactMap(\.string) }
        if !names.isEmpty { keys["aws:tagkeys"] = names }
        return keys
    }
}
