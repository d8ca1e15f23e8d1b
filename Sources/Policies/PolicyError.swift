/// Why a document is not a policy. Services have their own texts for it (SQS `InvalidAttributeValue`, SNS `Invalid
/// parameter: Policy Error`, S3 `MalformedPolicy`); `reason` is for those, and for logs.
public struct PolicyError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// No JSON object.
        case notAnObject
        /// An element that must be there is not.
        case missing
        /// An element that is not known, or stands where it must not.
        case unexpected
        /// An element that is of the wrong type or has an impossible value.
        case invalid
        case tooLarge
    }

    public var kind: Kind
    /// The element's name, e.g. `Statement`, `Effect`.
    public var element: String
    public var reason: String

    init(_ kind: Kind, _ element: String, _ reason: String) {
        self.kind = kind
        self.element = element
        self.reason = reason
    }

    public var description: String { reason }
}
