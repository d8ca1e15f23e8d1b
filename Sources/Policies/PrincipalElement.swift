import Contracts
import Platform

/// `Principal` or `NotPrincipal` of a statement.
struct PrincipalElement: Sendable {
    private var everybody = false
    private var aws: [String] = []
    private var services: [String] = []
    // Federated users and canonical users are nobody who could ask here.

    init(_ value: Value, element: String) throws(PolicyError) {
        if value.string == "*" {
            everybody = true
            return
        }
        guard let fields = value.fields, !fields.isEmpty else {
            throw PolicyError(.invalid, element, "\(element) must be \"*\" or an object")
        }
        for entry in fields.entries {
            let values = try Strings.read(entry.value, element: element)
            switch entry.name {
            case "AWS":
                // `{"AWS": "*"}` is everybody, services too, as `"*"` is (IAM, "JSON policy elements: Principal").
                if values.contains("*") { everybody = true }
                aws += values.filter { $0 != "*" }
            case "Service": services += values.map(ServicePrincipal.canonical)
            case "Federated", "CanonicalUser": continue
            default: throw PolicyError(.invalid, element, "Invalid principal type: \(entry.name)")
            }
        }
    }

    /// `delegates`: an account that is named means only its identity policies decide, so that a role of it is not
    /// meant.
    func names(_ principal: Principal, delegates: Bool) -> Bool {
        if everybody { return true }
        switch principal {
        case .service(let name, _, _): return services.contains(ServicePrincipal.canonical(name))
        case .account(let account): return aws.contains { Self.isAccount($0, account) }
        case .roleSession(let role, _, let account):
            return aws.contains { $0 == role || $0 == principal.arn || (!delegates && Self.isAccount($0, account)) }
        case .anonymous: return false
        }
    }

    private static func isAccount(_ text: String, _ account: String) -> Bool {
        if text == account { return true }
        guard let arn = ARN(text) else { return false }
        return arn.service == "iam" && arn.account == account && arn.resource == "root"
    }
}

/// Names of service principals.
public enum ServicePrincipal {
    /// `logs.us-east-1.amazonaws.com` and `logs.amazonaws.com` are one principal (reference 6, Overview).
    public static func canonical(_ name: String) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 || parts.count == 5, parts[2] == "amazonaws", Region.isAWSName(parts[1]) else {
            return name
        }
        return ([parts[0]] + parts[2...]).joined(separator: ".")
    }
}

/// Elements that are one string or a list of them.
enum Strings {
    static func read(_ value: Value, element: String) throws(PolicyError) -> [String] {
        let list = value.list ?? [value]
        guard list.count <= Limits.values else {
            throw PolicyError(.tooLarge, element, "Too many values in \(element)")
        }
        var strings: [String] = []
        for item in list {
            guard let text = item.string else {
                throw PolicyError(.invalid, element, "\(element) must be a string or a list of strings")
            }
            strings.append(text)
        }
        return strings
    }

    /// Values of conditions may also be numbers and booleans.
    static func readScalars(_ value: Value, element: String) throws(PolicyError) -> [String] {
        let list = value.list ?? [value]
        guard list.count <= Limits.values else {
            throw PolicyError(.tooLarge, element, "Too many values in \(element)")
        }
        var strings: [String] = []
        for item in list {
            switch item {
            case .string(let text): strings.append(text)
            case .bool, .int, .double: strings.append(JSON.encodeString(item))
            default: throw PolicyError(.invalid, element, "Invalid value in \(element)")
            }
        }
        return strings
    }
}
