/// Bounds of the codecs. The size of a body is the front door's business.
enum CodecLimits {
    /// Parameters of a query string or form: 1 MB of the shortest ones would be 500,000; AWS's widest calls need a few
    /// thousand (ours).
    static let parameters = 20_000
    /// Nesting of XML elements, of form parameter names and of CBOR items (ours; AWS's deepest shapes have about 15).
    static let depth = 128
    /// Parts of all parameter names of one form together (ours).
    static let formNodes = 100_000
    /// Highest `member.N` index of a form list, and with it the longest list that a form can carry (ours).
    static let formListIndex = 100_000
    /// Elements of one XML document: the largest that AWS takes, CompleteMultipartUpload with 10,000 parts and checksums,
    /// has 80,000 (ours).
    static let xmlElements = 200_000
    /// Attributes of one XML element (ours).
    static let xmlAttributes = 64
    /// Violations that one answer reports (ours).
    static let violations = 100
    /// Characters of a value that a validation text repeats (ours).
    static let shownValue = 4_096
    /// Steps of one pattern match before it counts as failed (ours): 20 ms at worst.
    static let patternSteps = 4_000_000
    /// States of one compiled pattern (ours; the models' largest needs about 1,200).
    static let patternStates = 20_000
    /// One event-stream message (Amazon's SDKs: 16 MiB payload and 128 KiB headers).
    static let eventPayloadBytes = 16 << 20
    static let eventHeaderBytes = 128 << 10
}
