import Platform
import Wire

/// An entity-tag condition's value: `*`, or a list of tags, quoted or (as S3 takes them) bare.
struct EntityTags: Sendable, Hashable {
    var any: Bool
    var tags: [String]

    init(_ text: String) {
        any = text.trimmed == "*"
        tags = any ? [] : text.split(separator: ",").prefix(Limits.entityTagsInCondition).map { EntityTags.bare($0) }
    }

    func contains(_ etag: String) -> Bool { any || tags.contains(etag) }

    /// Without quotes and the weak prefix.
    static func bare(_ text: some StringProtocol) -> String {
        var tag = String(text).trimmed[...]
        if tag.hasPrefix("W/") { tag = tag.dropFirst(2) }
        if tag.count >= 2, tag.hasPrefix("\""), tag.hasSuffix("\"") { tag = tag.dropFirst().dropLast() }
        return String(tag)
    }
}

extension String {
    /// Without blanks at both ends.
    var trimmed: String {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return String(self[first...last])
    }
}

/// The conditions of a read, or of the source of a copy.
struct ReadConditions: Sendable, Hashable {
    var ifMatch: String?
    var ifNoneMatch: String?
    var ifModifiedSince: Instant?
    var ifUnmodifiedSince: Instant?

    enum Outcome: Sendable, Hashable {
        case proceed
        /// The caller's copy is still good; `condition` names the header that says so.
        case notModified(condition: String)
        case failed(condition: String)
    }

    /// RFC 9110, section 13.2.2, as S3 follows it: a tag condition that is present overrules the date condition of the
    /// same direction, and the failing conditions (412) come before the "not modified" ones (304). Dates compare in
    /// whole seconds; a modified-since date in the future is ignored.
    func evaluate(etag: String, modified: Instant, now: Instant) -> Outcome {
        if let ifMatch {
            if !EntityTags(ifMatch).contains(etag) { return .failed(condition: "If-Match") }
        } else if let ifUnmodifiedSince, modified.seconds > ifUnmodifiedSince.seconds {
            return .failed(condition: "If-Unmodified-Since")
        }
        if let ifNoneMatch {
            if EntityTags(ifNoneMatch).contains(etag) { return .notModified(condition: "If-None-Match") }
        } else if let ifModifiedSince, ifModifiedSince <= now, modified.seconds <= ifModifiedSince.seconds {
            return .notModified(condition: "If-Modified-Since")
        }
        return .proceed
    }

    /// The same for a copy's source, where "not modified" is a failure too.
    func checkCopySource(etag: String, modified: Instant, now: Instant) throws(AWSError) {
        switch evaluate(etag: etag, modified: modified, now: now) {
        case .proceed: return
        case .notModified(let condition), .failed(let condition):
            throw S3Error.preconditionFailed("x-amz-copy-source-" + condition)
        }
    }
}

/// The conditions of a write: put if absent, put if unchanged.
struct WriteConditions: Sendable, Hashable {
    enum Rule: Sendable, Hashable {
        case none
        case ifAbsent
        case ifMatch(String)
    }
    var rule: Rule

    /// Throws NotImplemented for `If-None-Match` with a tag, as S3 does, and for both at once.
    init(ifMatch: String?, ifNoneMatch: String?) throws(AWSError) {
        if let ifNoneMatch {
            guard ifNoneMatch.trimmed == "*" else {
                throw WriteConditions.refused(
                    "If-None-Match", "We don't accept the provided value of If-None-Match header for this API")
            }
            guard ifMatch == nil else {
                throw WriteConditions.refused(
                    "If-Match,If-None-Match", "Multiple conditional request headers present in the request")
            }
            rule = .ifAbsent
        } else if let ifMatch {
            guard ifMatch.trimmed != "*" else {
                throw WriteConditions.refused(
                    "If-Match", "We don't accept the provided value of If-Match header for this API")
            }
            rule = .ifMatch(ifMatch)
        } else {
            rule = .none
        }
    }

    private static func refused(_ header: String, _ reason: String) -> AWSError {
        AWSError(
            "NotImplemented", status: 501,
            "A header you provided implies functionality that is not implemented",
            fields: ["Header": .string(header), "additionalMessage": .string(reason)])
    }

    /// Checks against the object that is there now; `etag` is nil when there is none.
    func check(currentETag etag: String?, key: String) throws(AWSError) {
        switch rule {
        case .none: return
        case .ifAbsent:
            if etag != nil { throw S3Error.preconditionFailed("If-None-Match") }
        case .ifMatch(let wanted):
            guard let etag else { throw S3Error.noSuchKey(key) }
            if !EntityTags(wanted).contains(etag) { throw S3Error.preconditionFailed("If-Match") }
        }
    }
}
