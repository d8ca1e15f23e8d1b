/// Which functions an event has come through and how often: the `Lineage` of a trace header, by which loops of functions and
/// queues, topics or buckets are found.
///
/// Written as AWS writes it, `Lineage=1:HASH:COUNT`, with `|` between functions. The first invocation of a function in a chain
/// counts 0. SDKs inside functions send the header on with every call (percent-encoded by boto3), services keep it beside the
/// message, and the next invocation adds to it.
extension TraceHeader {
    /// Invocations of one function in one chain, after which the chain is stopped (AWS: "approximately 16 times").
    public static let recursionLimit = 16
    /// Functions that are remembered of a chain; the one with the fewest invocations, then the oldest, is forgotten first. Ours.
    public static let lineageFunctions = 20
    /// Counts are held below this, whatever a header says.
    private static let largestCount = 1_000_000

    /// The header for an invocation of a function: that of its cause, with this invocation added to the lineage; and which
    /// invocation of this function in the chain it is, from 1. Over `recursionLimit` it must not take place, unless the
    /// function allows it.
    ///
    /// - Parameter function: the function's unqualified ARN: versions and aliases count together.
    public static func passing(_ function: String, _ header: String) -> (header: String, invocation: Int) {
        var fields: [Substring] = []
        var entries: [(hash: Substring, count: Int)] = []
        for field in header.split(separator: ";") {
            if field.hasPrefix("Lineage=") {
                entries = parse(field.dropFirst("Lineage=".count))
            } else {
                fields.append(field)
            }
        }
        let hash = fingerprint(function)
        var count = 0
        if let index = entries.firstIndex(where: { $0.hash == hash }) {
            count = min(entries[index].count + 1, largestCount)
            entries[index].count = count
        } else {
            if entries.count >= lineageFunctions,
                let fewest = entries.indices.min(by: { entries[$0].count < entries[$1].count })
            {
                entries.remove(at: fewest)
            }
            entries.append((Substring(hash), 0))
        }
        var text = fields.joined(separator: ";")
        text += text.isEmpty ? "Lineage=1:" : ";Lineage=1:"
        text += entries.map { "\($0.hash):\($0.count)" }.joined(separator: "|")
        return (text, count + 1)
    }

    /// `[VERSION:]HASH:COUNT`, more after `|` or its percent-encoded form; what is malformed is passed over.
    private static func parse(_ text: Substring) -> [(hash: Substring, count: Int)] {
        var entries: [(hash: Substring, count: Int)] = []
        var rest = text
        while !rest.isEmpty, entries.count < lineageFunctions {
            let end = rest.firstIndex { $0 == "|" || $0 == "%" } ?? rest.endIndex
            let parts = rest[..<end].split(separator: ":")
            if parts.count >= 2, let count = Int(parts[parts.count - 1]), count >= 0 {
                let hash = parts[parts.count - 2]
                if hash.utf8.count <= 16, !entries.contains(where: { $0.hash == hash }) {
                    entries.append((hash, min(count, largestCount)))
                }
            }
            rest = rest[end...]
            rest = rest.hasPrefix("%7C") || rest.hasPrefix("%7c") ? rest.dropFirst(3) : rest.dropFirst()
        }
        return entries
    }

    /// Eight hexadecimal digits of a function's name: FNV-1a.
    private static func fingerprint(_ text: String) -> String {
        var hash: UInt32 = 2_166_136_261
        for byte in text.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
