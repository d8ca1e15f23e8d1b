/// Writes JSON bytes. Escapes as Jackson does: quote, backslash and control characters, everything else raw UTF-8.
package struct JSONWriter {
    package var bytes: [UInt8] = []

    package init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    @inline(__always)
    package mutating func raw(_ byte: UInt8) { bytes.append(byte) }

    package mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// A string with its quotes.
    package mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { escape($0) }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ buffer: UnsafeBufferPointer<UInt8>) {
        var start = 0
        for index in buffer.indices {
            let byte = buffer[index]
            guard byte < 0x20 || byte == 0x22 || byte == 0x5c else { continue }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[start..<index]))
            start = index + 1
            bytes.append(UInt8(ascii: "\\"))
            switch byte {
            case 0x22, 0x5c: bytes.append(byte)
            case 0x08: bytes.append(UInt8(ascii: "b"))
            case 0x09: bytes.append(UInt8(ascii: "t"))
            case 0x0a: bytes.append(UInt8(ascii: "n"))
            case 0x0c: bytes.append(UInt8(ascii: "f"))
            case 0x0d: bytes.append(UInt8(ascii: "r"))
            default:
                raw("u00")
                bytes.append(hexDigits[Int(byte >> 4)])
                bytes.append(hexDigits[Int(byte & 15)])
            }
        }
        bytes.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[start...]))
    }

    package mutating func int(_ value: Int64) {
        var rest = value.magnitude
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        if rest < 10 {
            bytes.append(0x30 + UInt8(rest))
            return
        }
        let start = bytes.count
        while rest > 0 {
            bytes.append(0x30 + UInt8(rest % 10))
            rest /= 10
        }
        bytes[start...].reverse()
    }

    package mutating func bool(_ value: Bool) { value ? raw("true") : raw("false") }

    /// Shortest text that reads back as the same number; NaN and the infinities as strings.
    package mutating func double(_ value: Double) {
        if value.isNaN {
            raw("\"NaN\"")
        } else if value.isInfinite {
            value < 0 ? raw("\"-Infinity\"") : raw("\"Infinity\"")
        } else {
            bytes.append(contentsOf: value.description.utf8)
        }
    }

    /// Epoch seconds with as many of three fraction digits as are needed.
    package mutating func epochSeconds(_ instant: Instant) { bytes.append(contentsOf: instant.epochSecondsText.utf8) }

    package mutating func base64(_ blob: [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: Base64.encode(blob).utf8)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Recursive: the depth is that of a tree of our own, or of one that was read within `JSON.depthLimit`.
    package mutating func write(_ value: Value) {
        switch value {
        case .null: raw("null")
        case .bool(let value): bool(value)
        case .int(let value): int(value)
        case .double(let value): double(value)
        case .string(let value): string(value)
        case .blob(let value): base64(value)
        case .timestamp(let value): epochSeconds(value)
        case .list(let elements):
            raw(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { raw(UInt8(ascii: ",")) }
                write(element)
            }
            raw(UInt8(ascii: "]"))
        case .map(let fields):
            raw(UInt8(ascii: "{"))
            for (index, entry) in fields.entries.enumerated() {
                if index > 0 { raw(UInt8(ascii: ",")) }
                string(entry.name)
                raw(UInt8(ascii: ":"))
                write(entry.value)
            }
            raw(UInt8(ascii: "}"))
        }
    }
}

private let hexDigits: [UInt8] = Array("0123456789ABCDEF".utf8)

extension Instant {
    /// `1732345678` or `1732345678.25`: epoch seconds to the millisecond, exactly.
    package var epochSecondsText: String {
        let milliseconds = self.milliseconds
        let whole = milliseconds / 1_000
        let fraction = Int((milliseconds % 1_000).magnitude)
        if fraction == 0 { return String(whole) }
        var digits = pad(fraction, 3)
        while digits.hasSuffix("0") { digits.removeLast() }
        return (milliseconds < 0 && whole == 0 ? "-0." : "\(whole).") + digits
    }
}
