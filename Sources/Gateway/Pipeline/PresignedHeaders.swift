import Platform
import Wire

/// What SDKs move from headers into a presigned URL's query (`x-amz-meta-…`, `x-amz-storage-class`, `x-amz-acl`), put back
/// where the model has it: S3 takes these parameters as headers.
///
/// Checksums are left out: S3 ignores them in a query. SDKs that sign one for a body that they do not have yet (the CRC of
/// nothing) would otherwise make every upload fail.
enum PresignedHeaders {
    private static let ignored: Set<String> = [
        "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
        "x-amz-security-token", "x-amz-content-sha256", "x-amz-user-agent", "x-amz-sdk-checksum-algorithm",
    ]

    /// The headers that the query holds and the request does not.
    static func hoisted(from head: RequestHead) -> [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        for item in head.query.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = item.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = parts.first, let decoded = decode(first) else { continue }
            let name = lowercasedASCII(decoded)
            guard name.hasPrefix("x-amz-"), !name.hasPrefix("x-amz-checksum-"), !ignored.contains(name),
                name.utf8.allSatisfy(isNameByte), head.header(name) == nil,
                let value = parts.count == 2 ? decode(parts[1]) : ""
            else { continue }
            found.append((name, value))
        }
        return found
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// Nil for what no header could have carried: control characters, malformed escapes, other than UTF-8.
    private static func decode(_ text: Substring.UTF8View) -> String? {
        guard let bytes = PercentEncoding.decodeStrictly(text), bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            return nil
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
