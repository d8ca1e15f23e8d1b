import Contracts
import Crypto
import Platform

/// The MD5 sums that clients compare what they sent and received with.
enum MessageDigest {
    /// Lower-case hexadecimal, of the body's UTF-8.
    static func body(_ body: String) -> String {
        var sum = Insecure.MD5()
        var body = body
        body.withUTF8 { sum.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        return hexEncoded(sum.finalize())
    }

    /// Of attributes, as SQS documents it: sorted by name; each is length and bytes of name and type, one byte that says
    /// string (1) or binary (2), length and bytes of the value; lengths are four bytes, big-endian. Nil without any.
    static func attributes(_ attributes: [MessageAttribute]) -> String? {
        if attributes.isEmpty { return nil }
        var sum = Insecure.MD5()
        func add(_ bytes: some Collection<UInt8>) {
            let count = UInt32(truncatingIfNeeded: bytes.count)
            sum.update(data: withUnsafeBytes(of: count.bigEndian) { Array($0) })
            sum.update(data: Array(bytes))
        }
        for attribute in attributes.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
            add(attribute.name.utf8)
            add(attribute.dataType.utf8)
            switch attribute.content {
            case .string(let text):
                sum.update(data: [1] as [UInt8])
                add(text.utf8)
            case .binary(let bytes):
                sum.update(data: [2] as [UInt8])
                add(bytes)
            }
        }
        return hexEncoded(sum.finalize())
    }

    /// The deduplication id of content-based deduplication: SHA-256 of the body.
    static func content(_ body: String) -> String {
        var sum = SHA256()
        var body = body
        body.withUTF8 { sum.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        return hexEncoded(sum.finalize())
    }
}
