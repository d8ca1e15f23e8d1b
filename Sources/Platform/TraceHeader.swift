/// `X-Amzn-Trace-Id` (reference 2.1).
public enum TraceHeader {
    /// The caller's header if it names a root, else a new trace that is not sampled.
    public static func honoured(_ header: String?, now: Instant) -> String {
        if let header, header.utf8.count <= 1_024, header.split(separator: ";").contains(where: isRoot),
            header.utf8.allSatisfy({ (32...126).contains($0) })
        {
            return header
        }
        return generate(now: now)
    }

    /// `Root=1-SECONDS-24HEX;Parent=16HEX;Sampled=0`.
    public static func generate(now: Instant) -> String {
        // Three draws, not one for each digit, and out of a page of them: this is the hot path.
        var generator = KernelRandom()
        let (high, low, parent): (UInt64, UInt64, UInt64) = (generator.next(), generator.next(), generator.next())
        let seconds = hex(UInt64(UInt32(truncatingIfNeeded: now.seconds)), 8)
        return "Root=1-\(seconds)-\(hex(high, 16))\(hex(low, 8));Parent=\(hex(parent, 16));Sampled=0"
    }

    /// The lowest `digits` hexadecimal digits.
    private static func hex(_ value: UInt64, _ digits: Int) -> String {
        String(unsafeUninitializedCapacity: digits) { out in
            for index in 0..<digits {
                let nibble = UInt8(value >> UInt64(4 * (digits - 1 - index)) & 15)
                out[index] = nibble < 10 ? nibble + 48 : nibble + 87
            }
            return digits
        }
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
