import Platform
import Wire

/// The naming rules of general purpose buckets (S3 guide, "General purpose bucket naming rules").
enum BucketName {
    /// Throws InvalidBucketName for a name that no new bucket may have.
    static func check(_ name: String) throws(AWSError) {
        guard isValid(name) else {
            throw AWSError(
                "InvalidBucketName", status: 400, "The specified bucket is not valid.",
                fields: ["BucketName": .string(name)])
        }
    }

    static func isValid(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (3...63).contains(bytes.count), let first = bytes.first, let last = bytes.last,
            isLetterOrDigit(first), isLetterOrDigit(last),
            bytes.allSatisfy({ isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") })
        else { return false }
        for (a, b) in zip(bytes, bytes.dropFirst()) where a == UInt8(ascii: ".") && b == a { return false }
        if looksLikeAddress(name) { return false }
        let prefixes = ["xn--", "sthree-", "amzn-s3-demo-"]
        let suffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
        return !prefixes.contains { name.hasPrefix($0) } && !suffixes.contains { name.hasSuffix($0) }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    /// Four groups of digits, as an IPv4 address is written.
    private static func looksLikeAddress(_ name: String) -> Bool {
        let groups = name.split(separator: ".", omittingEmptySubsequences: false)
        return groups.count == 4 && groups.allSatisfy { !$0.isEmpty && $0.count <= 3 && $0.allSatisfy(\.isNumber) }
    }
}

/// Where a new bucket lives, from the request's Region and `LocationConstraint`.
enum BucketLocation {
    static let unconstrained = "us-east-1"

    static func region(requestRegion: String, constraint: String?) throws(AWSError) -> String {
        guard let constraint, !constraint.isEmpty else {
            guard requestRegion == unconstrained else {
                throw AWSError(
                    "IllegalLocationConstraintException", status: 400,
                    "The unspecified location constraint is incompatible for the region specific endpoint this request "
                        + "was sent to.")
            }
            return unconstrained
        }
        guard constraint != unconstrained, constraint == "EU" || looksLikeRegion(constraint) else {
            throw AWSError(
                "InvalidLocationConstraint", status: 400, "The specified location-constraint is not valid",
                fields: ["LocationConstraint": .string(constraint)])
        }
        let region = constraint == "EU" ? "eu-west-1" : constraint
        guard requestRegion == unconstrained || requestRegion == region else {
            throw AWSError(
                "IllegalLocationConstraintException", status: 400,
                "The \(constraint) location constraint is incompatible for the region specific endpoint this request "
                    + "was sent to.")
        }
        return region
    }

    /// `xx-word-1` or `xx-word-word-1`: Regions come and go, so their form is checked and not a list of them.
    static func looksLikeRegion(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (3...5).contains(parts.count), text.utf8.count <= 32, let number = parts.last, let area = parts.first,
            area.utf8.count == 2, number.utf8.count <= 2, !number.isEmpty, number.allSatisfy(\.isASCIIDigit)
        else { return false }
        return parts.dropLast().allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isASCIILowercase) }
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
    fileprivate var isASCIILowercase: Bool { ("a"..."z").contains(self) }
}
