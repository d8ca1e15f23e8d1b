/// Percent encoding (RFC 3986, section 2.1), on bytes.
public enum PercentEncoding {
    private static let digits = Array("0123456789ABCDEF".utf8)
    private static let mark = UInt8(ascii: "%")

    /// Undoes `%xx`; a `%` without two hexadecimal digits stands for itself. With `plus`, `+` is a blank, as in forms.
    public static func decode(_ text: some Collection<UInt8>, plus: Bool = false) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var rest = Array(text)[...]
        while let byte = rest.popFirst() {
            if byte == mark, let value = escaped(rest) {
                out.append(value)
                rest = rest.dropFirst(2)
            } else {
                out.append(plus && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return out
    }

    /// Undoes `%xx`; nil when a `%` is not followed by two hexadecimal digits.
    public static func decodeStrictly(_ text: some Collection<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var rest = Array(text)[...]
        while let byte = rest.popFirst() {
            guard byte == mark else {
                out.append(byte)
                continue
            }
            guard let value = escaped(rest) else { return nil }
            out.append(value)
            rest = rest.dropFirst(2)
        }
        return out
    }

    /// Appends the byte as `%XX`.
    public static func escape(_ byte: UInt8, into out: inout [UInt8]) {
        out.append(mark)
        out.append(digits[Int(byte >> 4)])
        out.append(digits[Int(byte & 15)])
    }

    /// Letters, digits and `-._~` (RFC 3986, section 2.3): what no encoder may touch.
    public static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// The byte that the next two digits name.
    private static func escaped(_ rest: ArraySlice<UInt8>) -> UInt8? {
        guard rest.count >= 2, let high = rest[rest.startIndex].hexValue, let low = rest[rest.startIndex + 1].hexValue
        else { return nil }
        return high << 4 | low
    }
}
