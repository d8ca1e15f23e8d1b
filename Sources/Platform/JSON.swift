/// JSON by RFC 8259: read into a `Value`, checked without being read, written.
///
/// Own code, because JSONSerialization costs Foundation and five times the time (blueprint, section 3).
public enum JSON {
    /// Deepest nesting of objects and arrays that is read. Jackson, which AWS uses, stops at 1,000; 512 keeps every
    /// recursive walk over a tree well inside a thread's stack.
    public static let depthLimit = 512
    /// Longest number in characters (Jackson's StreamReadConstraints.DEFAULT_MAX_NUM_LEN).
    public static let numberLengthLimit = 1_000

    /// Reads one document; nothing but blanks may follow it. Of repeated names in an object the last one counts.
    ///
    /// Whole numbers become `.int` while they fit, all others `.double`. A lone surrogate escape becomes U+FFFD.
    public static func parse(_ bytes: some Collection<UInt8>) throws(JSONError) -> Value {
        try withReader(bytes) { (reader) throws(JSONError) in
            let value = try reader.readValue()
            try reader.expectEnd()
            return value
        }
    }

    public static func parse(_ text: String) throws(JSONError) -> Value { try parse(text.utf8) }

    /// Checks that the bytes are one JSON document, without building it: for payloads that are passed through.
    public static func validate(_ bytes: some Collection<UInt8>) throws(JSONError) {
        try withReader(bytes) { (reader) throws(JSONError) in
            try reader.skipValue()
            try reader.expectEnd()
        }
    }

    /// The document in UTF-8, without blanks, members in their order. Blobs are written in base64, timestamps as epoch
    /// seconds, numbers that JSON does not have as the strings "NaN", "Infinity" and "-Infinity", as AWS does.
    public static func encode(_ value: Value) -> [UInt8] {
        var writer = JSONWriter()
        writer.write(value)
        return writer.bytes
    }

    public static func encodeString(_ value: Value) -> String { String(decoding: encode(value), as: UTF8.self) }

    /// Runs `body` with a reader over contiguous bytes.
    package static func withReader<T>(
        _ bytes: some Collection<UInt8>, _ body: (inout JSONReader) throws(JSONError) -> T
    ) throws(JSONError) -> T {
        let result = bytes.withContiguousStorageIfAvailable { buffer in
            run(buffer, body)
        }
        if let result { return try result.get() }
        return try Array(bytes).withUnsafeBufferPointer { run($0, body) }.get()
    }

    private static func run<T>(
        _ buffer: UnsafeBufferPointer<UInt8>, _ body: (inout JSONReader) throws(JSONError) -> T
    ) -> Result<T, JSONError> {
        var reader = JSONReader(buffer)
        do throws(JSONError) {
            return .success(try body(&reader))
        } catch {
            return .failure(error)
        }
    }
}

/// Why bytes are not JSON, and where.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Reason: Sendable, Hashable {
        /// Nothing but blanks.
        case empty
        case unexpectedEnd(String)
        /// A character that cannot stand here, and what could.
        case unexpectedCharacter(Unicode.Scalar, expecting: String)
        /// Something like `tru` or `foo`; cut after 64 characters.
        case unrecognizedToken(String)
        /// A control character inside a string.
        case controlCharacter(UInt8)
        case badEscape(Unicode.Scalar)
        case badNumber(String)
        case invalidUTF8Start(UInt8)
        case invalidUTF8Middle(UInt8)
        case tooDeep
        /// A second value after the document.
        case trailing
        /// A blob that is not base64 (only schema-driven readers).
        case notBase64
        /// A value of another type than the schema says (only schema-driven readers).
        case mismatch(String)
    }

    public var reason: Reason
    /// Byte offset from 0.
    public var offset: Int
    /// From 1, as Jackson counts them; the column counts bytes.
    public var line: Int
    public var column: Int

    public init(_ reason: Reason, offset: Int, line: Int, column: Int) {
        self.reason = reason
        self.offset = offset
        self.line = line
        self.column = column
    }

    /// What was found, in the words of Jackson, whose texts AWS passes on (recorded for Lambda's Invoke).
    public var message: String {
        switch reason {
        case .empty: "No content to map due to end-of-input"
        case .unexpectedEnd(let place): "Unexpected end-of-input\(place)"
        case .unexpectedCharacter(let scalar, let expecting):
            "Unexpected character (\(Self.describe(scalar))): \(expecting)"
        case .unrecognizedToken(let token):
            "Unrecognized token '\(token)': was expecting (JSON String, Number, Array, Object or token 'null', "
                + "'true' or 'false')"
        case .controlCharacter(let byte):
            "Illegal unquoted character (\(Self.describe(Unicode.Scalar(byte)))): has to be escaped using backslash "
                + "to be included in string value"
        case .badEscape(let scalar): "Unrecognized character escape \(Self.describe(scalar))"
        case .badNumber(let text): text
        case .invalidUTF8Start(let byte): "Invalid UTF-8 start byte 0x\(String(byte, radix: 16))"
        case .invalidUTF8Middle(let byte): "Invalid UTF-8 middle byte 0x\(String(byte, radix: 16))"
        case .tooDeep:
            "Document nesting depth (\(JSON.depthLimit + 1)) exceeds the maximum allowed (\(JSON.depthLimit))"
        case .trailing: "Trailing token found after the document"
        case .notBase64: "Failed to decode VALUE_STRING as base64"
        case .mismatch(let text): text
        }
    }

    /// Message and place as Jackson writes them, e.g. `Invalid UTF-8 start byte 0x87`, a line break, ` at [Source: …]`.
    public var jacksonText: String {
        message
            + "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: \(line), "
            + "column: \(column)]"
    }

    public var description: String { "\(message) (byte \(offset), line \(line), column \(column))" }

    private static func describe(_ scalar: Unicode.Scalar) -> String {
        let code = scalar.value
        if code < 0x20 || (0x7f..<0xa0).contains(code) { return "(CTRL-CHAR, code \(code))" }
        if code > 255 { return "'\(scalar)' (code \(code) / 0x\(String(code, radix: 16)))" }
        return "'\(scalar)' (code \(code))"
    }
}
