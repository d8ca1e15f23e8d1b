import Platform
import Wire

/// Which bytes of an object a request asks for.
enum ByteRange: Sendable, Hashable {
    case whole
    /// First and last byte, both included.
    case part(first: Int64, last: Int64)
    case unsatisfiable

    /// Reads a `Range` header: `bytes=first-last`, `bytes=first-`, `bytes=-suffix`. Several ranges and anything
    /// malformed mean the whole object, as in S3.
    init(header: String, size: Int64) {
        self = ByteRange.parse(header, size: size) ?? .whole
    }

    private static func parse(_ header: String, size: Int64) -> ByteRange? {
        let text = header.trimmed
        guard text.hasPrefix("bytes=") else { return nil }
        let bounds = text.dropFirst("bytes=".count).split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count == 2 else { return nil }
        let first = String(bounds[0]).trimmed
        let last = String(bounds[1]).trimmed
        if first.isEmpty {
            guard let suffix = number(last) else { return nil }
            return suffix == 0 || size == 0 ? .unsatisfiable : .part(first: max(size - suffix, 0), last: size - 1)
        }
        guard let start = number(first) else { return nil }
        guard !last.isEmpty else { return start >= size ? .unsatisfiable : .part(first: start, last: size - 1) }
        guard let end = number(last), end >= start else { return nil }
        return start >= size ? .unsatisfiable : .part(first: start, last: min(end, size - 1))
    }

    /// A decimal number without sign; one beyond Int64 counts as the largest.
    private static func number(_ text: String) -> Int64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int64(text) ?? .max
    }

    /// Reads `x-amz-copy-source-range`, which must be exactly `bytes=first-last` within the source.
    static func copySource(_ header: String, size: Int64) throws(AWSError) -> (first: Int64, last: Int64) {
        let name = "x-amz-copy-source-range"
        let bounds = header.hasPrefix("bytes=") ? header.dropFirst("bytes=".count).split(separator: "-") : []
        guard bounds.count == 2, let first = number(String(bounds[0])), let last = number(String(bounds[1])) else {
            throw S3Error.invalidArgument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                    + "zero-based offsets of the first and last bytes to copy", name: name, value: header)
        }
        guard first <= last, last < size else {
            throw S3Error.invalidArgument(
                "Range specified is not valid for source object of size: \(size)", name: name, value: header)
        }
        return (first, last)
    }
}
