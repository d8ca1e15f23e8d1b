/// Quotas of S3 Control and Object Lambda, with unit and source ("S3 guide" is the Amazon S3 User Guide).
enum ControlLimits {
    /// Characters of an access point's name. S3 guide, "Rules for naming Amazon S3 access points".
    static let nameCharacters = 3...50
    /// Access points of one account and Region. S3 guide, "Access points restrictions and limitations".
    static let accessPoints: Int64 = 10_000
    /// Object Lambda access points of one account and Region. S3 guide, "Object Lambda access points".
    static let objectLambdaAccessPoints: Int64 = 1_000
    /// Bytes of an access point's policy. S3 guide, as above.
    static let policyBytes = 20 << 10
    /// Bytes of `FunctionPayload`. Ours: the event must have room for the rest.
    static let functionPayloadBytes = 128 << 10
    /// Entries of one page. API reference, `MaxResults`.
    static let listEntries = 1_000
    /// Tags of one access point. S3 guide, "Using tags".
    static let tags = 50
    /// Bytes of a request body. Ours.
    static let requestBodyBytes = 1 << 20

    /// Seconds that the function has for the whole response. S3 guide, "Writing Lambda functions".
    static let responseSeconds: Int64 = 60
    /// Seconds that `inputS3Url` is good for. As seen on AWS.
    static let inputURLSeconds = 61
    /// Requests that wait for their functions at a time; one more is answered SlowDown. Ours: each has a connection, a task
    /// and a few hundred bytes.
    static let waitingRequests = 4_096
    /// Bytes of an event's `userRequest.url` and each header. Ours: the gateway's own limits are above them.
    static let userRequestBytes = 16 << 10
    /// Bytes of a function's answer to HeadObject and ListObjects. Lambda's own limit of a response.
    static let answerBytes = 6 << 20
    /// Bytes of the error message and code that a function gives. Ours.
    static let errorTextBytes = 1_024
}
