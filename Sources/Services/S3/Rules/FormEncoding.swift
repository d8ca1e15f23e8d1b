import Platform

/// Form encoding as S3 writes it in event records and in listings with `encoding-type=url`: a blank is `+`, the slash
/// stays, everything but letters, digits and `-._*` is `%XX`.
enum FormEncoding {
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "*"), UInt8(ascii: "/"):
                out.append(byte)
            case UInt8(ascii: " "): out.append(UInt8(ascii: "+"))
            default: PercentEncoding.escape(byte, into: &out)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// A path of a URL: as above, but a blank is `%20`.
    static func encodePath(_ bytes: some Sequence<UInt8>) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                out.append(byte)
            default: PercentEncoding.escape(byte, into: &out)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Undoes `%XX`; nil when an escape is malformed or the result is not UTF-8.
    static func decodePercent(_ text: some StringProtocol) -> String? {
        PercentEncoding.decodeStrictly(text.utf8).flatMap { String(validating: $0, as: UTF8.self) }
    }
}

/// The source of a copy: `bucket/key`, with or without a leading slash, percent-encoded, with `?versionId=` perhaps.
struct CopySource: Sendable, Hashable {
    var bucket: String
    var key: String
    var versionID: String?

    /// Nil when no bucket and key can be read from it.
    init?(_ header: String) {
        var text = header[...]
        if let mark = text.range(of: "?versionId=") {
            versionID = String(text[mark.upperBound...])
            text = text[..<mark.lowerBound]
        }
        guard let decoded = FormEncoding.decodePercent(text) else { return nil }
        let path = decoded.hasPrefix("/") ? decoded.dropFirst() : decoded[...]
        guard let slash = path.firstIndex(of: "/") else { return nil }
        bucket = String(path[..<slash])
        key = String(path[path.index(after: slash)...])
        if bucket.isEmpty || key.isEmpty { return nil }
    }
}

extension Substring {
    /// The first place of `needle`.
    fileprivate func range(of needle: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { return start..<index(start, offsetBy: needle.count) }
            start = index(after: start)
        }
        return nil
    }
}
