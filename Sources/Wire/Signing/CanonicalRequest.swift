import Platform

/// The query string as pairs, percent-decoded; hostile escapes stay as they are.
struct QueryString {
    struct Pair {
        var name: [UInt8]
        var value: [UInt8]
    }
    let pairs: [Pair]

    init(_ text: String) {
        pairs = text.utf8.split(separator: UInt8(ascii: "&")).map { part in
            let equal = part.firstIndex(of: UInt8(ascii: "="))
            let value = equal.map { part[part.index(after: $0)...] }
            return Pair(
                name: PercentEncoding.decode(part[..<(equal ?? part.endIndex)]),
                value: value.map { PercentEncoding.decode($0) } ?? [])
        }
    }

    /// The first parameter of exactly this name.
    func value(_ name: String) -> String? {
        pairs.first { $0.name.elementsEqual(name.utf8) }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    /// The first parameter of this name (in lower case), compared without regard to case.
    func first(_ name: String) -> String? {
        pairs.first { String(decoding: $0.name, as: UTF8.self).lowercased() == name }
            .map { String(decoding: $0.value, as: UTF8.self) }
    }
}

/// RFC 3986 escapes, as SigV4 wants them: everything but unreserved characters, digits in upper case.
enum SigningURI {
    static func encode(_ bytes: some Sequence<UInt8>, keepSlash: Bool = false, into out: inout [UInt8]) {
        for byte in bytes {
            if PercentEncoding.isUnreserved(byte) || keepSlash && byte == UInt8(ascii: "/") {
                out.append(byte)
            } else {
                PercentEncoding.escape(byte, into: &out)
            }
        }
    }
}

/// The canonical form of a request, which its signature covers (SigV4, "create a canonical request").
enum CanonicalRequest {
    enum Form {
        /// By the rules: parts decoded and encoded anew.
        case normal
        /// As the client has written path and query, only the parameters sorted: some clients sign what they send, even
        /// where its escapes are unusual.
        case asSent
    }

    static func make(
        _ head: RequestHead, signedHeaders: [String], isPresigned: Bool, payloadHash: String, forS3: Bool, form: Form
    ) -> [UInt8] {
        let newline = UInt8(ascii: "\n")
        var out: [UInt8] = []
        out.reserveCapacity(512)
        out.append(contentsOf: head.method.utf8)
        out.append(newline)
        appendPath(head.path, forS3: forS3, form: form, to: &out)
        out.append(newline)
        appendQuery(head.query, isPresigned: isPresigned, form: form, to: &out)
        out.append(newline)
        let names = signedHeaders.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for name in names {
            out.append(contentsOf: name.utf8)
            out.append(UInt8(ascii: ":"))
            appendHeader(name, head, to: &out)
            out.append(newline)
        }
        out.append(newline)
        out.append(contentsOf: names.joined(separator: ";").utf8)
        out.append(newline)
        out.append(contentsOf: payloadHash.utf8)
        return out
    }

    private static func appendPath(_ path: String, forS3: Bool, form: Form, to out: inout [UInt8]) {
        let slash = UInt8(ascii: "/")
        if path.isEmpty {
            out.append(slash)
        } else if forS3 {
            if form == .asSent {
                out.append(contentsOf: path.utf8)
            } else {
                SigningURI.encode(PercentEncoding.decode(path.utf8), keepSlash: true, into: &out)
            }
        } else {
            // Everybody else: dot segments and empty ones removed, then the escaped path escaped once more.
            var segments: [Substring.UTF8View.SubSequence] = []
            for segment in path[...].utf8.split(separator: slash) {
                if segment.elementsEqual("..".utf8) {
                    _ = segments.popLast()
                } else if !segment.elementsEqual(".".utf8) {
                    segments.append(segment)
                }
            }
            for segment in segments {
                out.append(slash)
                SigningURI.encode(segment, into: &out)
            }
            let endsOpen = path.hasSuffix("/") || path.hasSuffix("/.") || path.hasSuffix("/..")
            if segments.isEmpty || endsOpen { out.append(slash) }
        }
    }

    private static func appendQuery(_ query: String, isPresigned: Bool, form: Form, to out: inout [UInt8]) {
        guard !query.isEmpty else { return }
        var pairs: [(name: [UInt8], value: [UInt8])] = []
        for part in query.utf8.split(separator: UInt8(ascii: "&")) {
            let equal = part.firstIndex(of: UInt8(ascii: "="))
            let name = part[..<(equal ?? part.endIndex)]
            let value = equal.map { part[part.index(after: $0)...] }
            let decoded = PercentEncoding.decode(name)
            if isPresigned, String(decoding: decoded, as: UTF8.self).lowercased() == "x-amz-signature" { continue }
            if form == .asSent {
                pairs.append((Array(name), value.map(Array.init) ?? []))
            } else {
                var (encodedName, encodedValue): ([UInt8], [UInt8]) = ([], [])
                SigningURI.encode(decoded, into: &encodedName)
                if let value { SigningURI.encode(PercentEncoding.decode(value), into: &encodedValue) }
                pairs.append((encodedName, encodedValue))
            }
        }
        pairs.sort { a, b in
            a.name == b.name
                ? a.value.lexicographicallyPrecedes(b.value) : a.name.lexicographicallyPrecedes(b.name)
        }
        for (index, pair) in pairs.enumerated() {
            if index > 0 { out.append(UInt8(ascii: "&")) }
            out.append(contentsOf: pair.name)
            out.append(UInt8(ascii: "="))
            out.append(contentsOf: pair.value)
        }
    }

    /// All values of the name, in their order, with a comma between; blanks trimmed and runs of them made one.
    private static func appendHeader(_ name: String, _ head: RequestHead, to out: inout [UInt8]) {
        var isFirst = true
        for header in head.headers where header.name == name {
            if !isFirst { out.append(UInt8(ascii: ",")) }
            isFirst = false
            var isFirstWord = true
            for word in header.value.utf8.split(whereSeparator: { $0 == 32 || (9...13).contains($0) }) {
                if !isFirstWord { out.append(32) }
                isFirstWord = false
                out.append(contentsOf: word)
            }
        }
    }
}
