/// Tokens of paged lists: where the next page goes on, opaque to clients. A token proves nothing: what it names is looked
/// up like anything else that a client sends.
public enum PageToken {
    /// Bytes of the longest key that is put into one: S3's object keys are the longest, twice over for pairs.
    public static let maximumKeyBytes = 4096

    public static func encode(_ key: some Sequence<UInt8>) -> String { Base64.encode(Array(key)) }

    /// The key in a token; nil for what is none, or is longer than any of ours.
    public static func decode(_ token: String) -> [UInt8]? {
        guard token.utf8.count <= (maximumKeyBytes + 2) / 3 * 4 else { return nil }
        return Base64.decode(token)
    }

    public static func encode(_ key: String) -> String { encode(Array(key.utf8)) }

    /// As `decode`, of a key that is text.
    public static func decodeText(_ token: String) -> String? {
        decode(token).flatMap { String(validating: $0, as: UTF8.self) }
    }
}
