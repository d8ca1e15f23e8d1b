import Platform
import Wire

/// What a caller wrote as a function's name: name, `name:qualifier`, partial ARN (`ACCOUNT:function:NAME`,
/// `function:NAME`) or full ARN, each with or without a qualifier (reference 1.1, A.1).
struct FunctionName: Sendable, Hashable {
    var region: String?
    var account: String?
    var name: String
    var qualifier: String?

    /// Nil when the text has none of the forms. The characters of the parts are the model's business.
    init?(_ text: String) {
        // Most calls name the function plainly.
        if !text.utf8.contains(UInt8(ascii: ":")) {
            guard !text.isEmpty else { return nil }
            name = text
            return
        }
        var parts = text.split(separator: ":", omittingEmptySubsequences: false)[...]
        if parts.first == "arn" {
            guard parts.count > 3, parts[parts.startIndex + 2] == "lambda" else { return nil }
            parts = parts.dropFirst(3)
        }
        if parts.count > 1, let first = parts.first, Region.isAWSName(first) {
            region = String(first)
            parts = parts.dropFirst()
        }
        if parts.count > 1, let first = parts.first, FunctionName.isAccount(first) {
            account = String(first)
            parts = parts.dropFirst()
        }
        if parts.count > 1, parts.first == "function" { parts = parts.dropFirst() }
        guard (1...2).contains(parts.count), let name = parts.first, !name.isEmpty else { return nil }
        self.name = String(name)
        if parts.count == 2, let last = parts.last {
            guard !last.isEmpty else { return nil }
            qualifier = String(last)
        }
    }

    static func isAccount(_ text: Substring) -> Bool {
        text.utf8.count == 12 && text.utf8.allSatisfy { (48...57).contains($0) }
    }
}

/// A function that a request names, in the request's account and Region.
struct FunctionTarget: Sendable, Hashable {
    var scope: AccountRegion
    var name: String
    /// As the caller named it: nil, `$LATEST`, a number, an alias.
    var qualifier: String?

    /// The name and the separate `Qualifier` parameter put together. Throws what AWS answers for another Region or
    /// account, and for two qualifiers that differ.
    init(_ text: String, qualifier: String? = nil, in scope: AccountRegion) throws(AWSError) {
        guard let parsed = FunctionName(text) else {
            throw .validation(
                "1 validation error detected: Value '\(text)' at 'functionName' failed to satisfy constraint: "
                    + "Member must satisfy regular expression pattern: \(FunctionTarget.pattern)")
        }
        if let region = parsed.region, region != scope.region {
            throw .notFound("Functions from '\(region)' are not reachable in this region ('\(scope.region)')")
        }
        if let given = parsed.qualifier, let qualifier, given != qualifier {
            throw .invalidParameter(
                "The derived qualifier from the function name does not match the specified qualifier.")
        }
        if let account = parsed.account, account != scope.account { throw .otherAccount }
        self.scope = scope
        self.name = parsed.name
        self.qualifier = parsed.qualifier ?? qualifier
    }

    init(scope: AccountRegion, name: String, qualifier: String?) {
        self.scope = scope
        self.name = name
        self.qualifier = qualifier
    }

    static let pattern =
        #"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"#
        + #"(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"#

    /// As the caller named it: unqualified stays unqualified, an alias stays an alias.
    var arn: String { scope.functionARN(name, qualifier: qualifier) }
    var unqualifiedARN: String { scope.functionARN(name) }

    /// The function alone was meant. Throws for versions and aliases.
    func requireUnqualified() throws(AWSError) {
        if qualifier != nil {
            throw .invalidParameter(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
                    + "operation. Please specify either a function name or an unqualified function ARN.")
        }
    }
}

/// What a qualifier is, by its form alone.
enum Qualifier: Sendable, Hashable {
    case latest
    case version(Int64)
    case alias(String)

    static let latestName = "$LATEST"

    init(_ text: String?) {
        guard let text, text != Qualifier.latestName else {
            self = .latest
            return
        }
        if text.utf8.allSatisfy({ (48...57).contains($0) }), !text.isEmpty {
            // A number too large for us is a version that nobody has.
            self = .version(Int64(text) ?? .max)
        } else {
            self = .alias(text)
        }
    }

    var isAlias: Bool { if case .alias = self { true } else { false } }
}

extension AccountRegion {
    var partition: String {
        if region.hasPrefix("cn-") { return "aws-cn" }
        if region.hasPrefix("us-gov-") { return "aws-us-gov" }
        if region.hasPrefix("eusc-") { return "aws-eusc" }
        return "aws"
    }

    func functionARN(_ name: String, qualifier: String? = nil) -> String {
        let arn = "arn:\(partition):lambda:\(region):\(account):function:\(name)"
        return qualifier.map { "\(arn):\($0)" } ?? arn
    }

    func layerARN(_ name: String, version: Int64? = nil) -> String {
        let arn = "arn:\(partition):lambda:\(region):\(account):layer:\(name)"
        return version.map { "\(arn):\($0)" } ?? arn
    }
}
