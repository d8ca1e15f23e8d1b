import Platform

/// Whether a bucket policy lets the public in (S3 guide, "The meaning of 'public'"): it does unless every Allow is for fixed
/// principals, or for everybody under a condition that only fixed values can meet.
enum PolicyStatus {
    /// Condition keys (in lower case) that narrow a statement when their values are fixed.
    private static let narrowing: Set<String> = [
        "aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
        "aws:userid", "aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn",
        "aws:sourceorgid", "aws:sourceorgpaths", "aws:vpcsourceip", "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:dataaccesspointarn", "s3:dataaccesspointaccount",
    ]

    static func isPublic(_ text: String) -> Bool {
        guard let document = try? JSON.parse(text), let statement = document["Statement"] else { return false }
        return (statement.list ?? [statement]).contains { isPublic($0) }
    }

    private static func isPublic(_ statement: Value) -> Bool {
        guard statement["Effect"]?.string == "Allow" else { return false }
        // Everybody but some is the public.
        guard statement["NotPrincipal"] == nil else { return true }
        guard namesEverybody(statement["Principal"]) else { return false }
        guard let condition = statement["Condition"]?.fields else { return true }
        return !condition.entries.contains { operation in
            guard compares(operation.name) else { return false }
            return (operation.value.fields?.entries ?? []).contains { key in
                narrowing.contains(key.name.lowercased()) && isFixed(key.value, key: key.name.lowercased())
            }
        }
    }

    private static func namesEverybody(_ principal: Value?) -> Bool {
        guard let principal else { return false }
        if let text = principal.string { return text == "*" }
        guard let aws = principal["AWS"] else { return false }
        return (aws.list ?? [aws]).contains { $0.string?.contains("*") == true }
    }

    /// Operators that demand a value; negated ones and `…IfExists` let others through.
    private static func compares(_ name: String) -> Bool {
        let name = name.lowercased()
        guard !name.hasSuffix("ifexists"), !name.hasPrefix("forallvalues:") else { return false }
        let plain = name.hasPrefix("foranyvalue:") ? String(name.dropFirst("foranyvalue:".count)) : name
        return [
            "stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress",
        ].contains(plain)
    }

    /// Without wildcards and variables; an address block must be narrower than a 256th of all addresses.
    private static func isFixed(_ value: Value, key: String) -> Bool {
        let values = value.list ?? [value]
        guard !values.isEmpty else { return false }
        return values.allSatisfy { item in
            guard let text = item.string else { return false }
            if key == "aws:sourceip" || key == "aws:vpcsourceip" {
                let parts = text.split(separator: "/")
                guard parts.count == 2, let bits = Int(parts[1]) else { return IPAddress(text) != nil }
                return bits >= (text.contains(":") ? 32 : 8)
            }
            // An ARN may have wildcards behind its account.
            if key.hasSuffix("arn"), let arn = ARN(text) {
                return !arn.account.isEmpty && !arn.account.contains("*") && !arn.account.contains("$")
                    || arn.service == "s3" && !arn.resource.hasPrefix("*")
            }
            return !text.contains("*") && !text.contains("?") && !text.contains("$")
        }
    }
}
