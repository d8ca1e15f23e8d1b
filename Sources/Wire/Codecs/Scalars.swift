import Platform

/// Scalars as text: in headers, labels, query strings, forms and XML.
enum Scalars {
    /// Nil when the text is not of the shape's kind.
    static func parse(_ text: String, _ shape: ShapeSchema, _ format: TimestampFormat?) -> Value? {
        switch shape.kind {
        case .string, .document: return .string(text)
        case .boolean:
            switch text {
            case "true", "True", "TRUE", "1": return .bool(true)
            case "false", "False", "FALSE", "0": return .bool(false)
            default: return nil
            }
        case .integer: return Int32(trimmed(text)).map { .int(Int64($0)) }
        case .long: return Int64(trimmed(text)).map { .int($0) }
        case .float, .double: return double(trimmed(text)).map { .double($0) }
        case .blob: return Base64.decode(text).map { .blob($0) }
        case .timestamp: return timestamp(trimmed(text), format).map { .timestamp($0) }
        case .structure, .list, .map: return nil
        }
    }

    private static func trimmed(_ text: String) -> String {
        guard let first = text.utf8.first, let last = text.utf8.last, first <= 0x20 || last <= 0x20 else { return text }
        let body = text.utf8.drop { $0 <= 0x20 }
        var end = body.endIndex
        while end > body.startIndex, body[body.index(before: end)] <= 0x20 { end = body.index(before: end) }
        return String(Substring(body[..<end]))
    }

    static func double(_ text: String) -> Double? {
        switch text {
        case "NaN": return .nan
        case "Infinity": return .infinity
        case "-Infinity": return -.infinity
        default:
            // Only decimal digits: Swift would also read "nan", "inf" and hexadecimal.
            let allowed = text.utf8.allSatisfy { (0x2b...0x39).contains($0) || $0 | 0x20 == 0x65 }
            guard allowed, text.utf8.count <= JSON.numberLengthLimit else { return nil }
            return Double(text)
        }
    }

    /// Any of the three forms; the model's own first.
    static func timestamp(_ text: String, _ format: TimestampFormat?) -> Instant? {
        if format == .rfc822, let instant = httpDate(text) { return instant }
        if let instant = Instant(iso8601: text) { return instant }
        if let seconds = double(text), seconds.isFinite { return epoch(seconds) }
        return httpDate(text)
    }

    /// To the millisecond: a double does not hold more of today's times.
    static func epoch(_ seconds: Double) -> Instant {
        let milliseconds = (seconds * 1000).rounded()
        guard let exact = Int64(exactly: milliseconds) else { return Instant(seconds: seconds) }
        return Instant(milliseconds: exact)
    }

    /// An IMF-fixdate, also with a fraction of a second, which botocore's tests send.
    private static func httpDate(_ text: String) -> Instant? {
        if let instant = Instant(httpDate: text) { return instant }
        guard let dot = text.firstIndex(of: "."), let zone = text[dot...].firstIndex(of: " "),
            let whole = Instant(httpDate: String(text[..<dot] + text[zone...]))
        else { return nil }
        let digits = text[dot..<zone].dropFirst()
        guard (1...9).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let fraction = Int64(digits + String(repeating: "0", count: 9 - digits.utf8.count))
        else { return nil }
        return whole + .nanoseconds(fraction)
    }

    /// `fractionDigits`: how many a whole second gets too (S3: 3).
    static func text(_ instant: Instant, _ format: TimestampFormat, fractionDigits: Int = 0) -> String {
        switch format {
        case .iso8601:
            let hasFraction = instant.milliseconds != instant.seconds &* 1_000
            return instant.iso8601(fractionDigits: hasFraction ? 3 : fractionDigits)
        case .unixTimestamp: return instant.epochSecondsText
        case .rfc822: return instant.httpDate
        }
    }

    /// Nil for values that have no text (structures, null).
    static func text(_ value: Value, _ format: TimestampFormat, fractionDigits: Int = 0) -> String? {
        switch value {
        case .string(let value): return value
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return String(value)
        case .double(let value):
            if value.isNaN { return "NaN" }
            if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
            return value.description
        case .blob(let bytes): return Base64.encode(bytes)
        case .timestamp(let instant): return text(instant, format, fractionDigits: fractionDigits)
        case .null, .list, .map: return nil
        }
    }
}

extension MemberSchema {
    /// The member's format, its shape's, or the default of its place.
    func format(default fallback: TimestampFormat) -> TimestampFormat {
        timestampFormat ?? shape.traits.timestampFormat ?? fallback
    }
}

extension ShapeSchema {
    func format(default fallback: TimestampFormat) -> TimestampFormat { traits.timestampFormat ?? fallback }
}

extension AWSError {
    /// A request whose bytes do not fit the model.
    static func serialization(_ message: String) -> AWSError { AWSError("SerializationException", message) }

    static let malformedXML = AWSError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema")
}
