import Platform

/// `X-Amzn-Trace-Id` (reference 2.1).
enum TraceHeader {
    /// The caller's header if it names a root, else a new trace that is not sampled.
    static func honoured(_ header: String?, now: Instant) -> String {
        if let header, header.utf8.count <= 1_024, header.split(separator: ";").contains(where: isRoot),
            header.utf8.allSatisfy({ (32...126).contains($0) })
        {
            return header
        }
        return generate(now: now)
    }

    /// `Root=1-SECONDS-24HEX;Parent=16HEX;Sampled=0`.
    static func generate(now: Instant) -> String {
        let seconds = String(UInt32(truncatingIfNeeded: now.seconds), radix: 16)
        let padded = String(repeating: "0", count: max(0, 8 - seconds.utf8.count)) + seconds
        return "Root=1-\(padded)-\(Identifier.hex(24));Parent=\(Identifier.hex(16));Sampled=0"
    }

    private static func isRoot(_ part: Substring) -> Bool {
        let pieces = part.split(separator: "-", omittingEmptySubsequences: false)
        return pieces.count == 3 && pieces[0] == "Root=1" && isHex(pieces[1], 8) && isHex(pieces[2], 24)
    }

    private static func isHex(_ text: Substring, _ count: Int) -> Bool {
        text.utf8.count == count
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) || (65...70).contains($0) }
    }
}
