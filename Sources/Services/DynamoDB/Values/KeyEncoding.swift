import Wire

/// Keys as bytes whose order (memcmp) is the order of the values: text by UTF-8 bytes, numbers by value, bytes.
///
/// `bytes(of:)` is for a column of its own; `append(_:to:)` ends itself, so that several values make one key.
enum KeyEncoding {
    /// For a value of type string, number or binary; throws for others.
    static func bytes(of value: AttributeValue) throws(AWSError) -> [UInt8] { throw .internalFailure() }

    /// The value again; nil for bytes that `bytes(of:)` does not make.
    static func value(of bytes: [UInt8], type: AttributeType) -> AttributeValue? { nil }

    /// Appends the self-delimiting form: no such form is the beginning of another one of the same type.
    static func append(_ value: AttributeValue, to bytes: inout [UInt8]) throws(AWSError) {}

    /// Reads the self-delimiting form from `position` on, which it moves behind it.
    static func read(_ type: AttributeType, from bytes: [UInt8], at position: inout Int) -> AttributeValue? { nil }

    /// The least bytes that are above everything that begins with these; nil when nothing is.
    static func end(ofPrefix bytes: [UInt8]) -> [UInt8]? { nil }
}
