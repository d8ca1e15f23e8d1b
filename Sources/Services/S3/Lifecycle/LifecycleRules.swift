import Platform
import Wire

/// What a bucket's lifecycle configuration asks for, as far as it is carried out: expiry. Transitions are kept and shown.
struct LifecycleRules: Sendable, Hashable {
    struct Rule: Sendable, Hashable {
        var id: String
        var isEnabled: Bool
        var prefix: [UInt8] = []
        var tags: [TagSet.Tag] = []
        var sizeAbove: Int64?
        var sizeBelow: Int64?
        var expiration: Expiration?
        var noncurrentDays: Int?
        var newerVersions = 0
        var abortDays: Int?
    }

    enum Expiration: Sendable, Hashable {
        case days(Int)
        case date(Instant)
        /// Delete markers behind which nothing is left.
        case markers
    }

    var rules: [Rule]

    /// Whether tags must be known to decide.
    var needsTags: Bool { rules.contains { !$0.tags.isEmpty } }

    /// Reads and validates. Throws MalformedXML, InvalidRequest, InvalidArgument with S3's texts where they are known.
    init(_ given: [Model.LifecycleRule]?) throws(AWSError) {
        guard let given, !given.isEmpty else { throw S3Error.malformedXML }
        guard given.count <= Limits.lifecycleRules else {
            throw S3Error.invalidRequest(
                "The number of lifecycle rules must not exceed the allowed limit of 1000 rules")
        }
        rules = []
        for item in given { rules.append(try Rule(item)) }
        let ids = rules.map(\.id).filter { !$0.isEmpty }
        guard Set(ids).count == ids.count else {
            throw AWSError(
                "InvalidArgument", status: 400, "Rule ID must be unique. Found same ID for more than one rule")
        }
    }

    /// Midnight (UTC) after so many days, as AWS rounds.
    static func due(_ from: Instant, days: Int) -> Instant {
        // Beyond what an instant can hold (the year 2262): never.
        let end = from.seconds / 86_400 + Int64(min(max(days, 0), 1_000_000)) + 1
        guard end < 100_000 else { return Instant(nanoseconds: .max) }
        let day: Int64 = from.seconds % 86_400 == 0 && from.nanoseconds % 1_000_000_000 == 0 ? end - 1 : end
        return Instant(milliseconds: day * 86_400_000)
    }

    /// When a current version expires, and by which rule: the earliest.
    func expiry(key: [UInt8], size: Int64, tags: [TagSet.Tag], modified: Instant) -> (at: Instant, rule: String)? {
        var first: (at: Instant, rule: String)?
        for rule in rules where rule.isEnabled && rule.matches(key: key, size: size, tags: tags) {
            let at: Instant
            switch rule.expiration {
            case .days(let days): at = LifecycleRules.due(modified, days: days)
            case .date(let date): at = date
            case .markers, nil: continue
            }
            if first.map({ at < $0.at }) ?? true { first = (at, rule.id) }
        }
        return first
    }

    /// Whether a version that was superseded then, with so many newer ones that are not current either, is to go.
    func removes(
        key: [UInt8], size: Int64, tags: [TagSet.Tag], superseded: Instant, newerNoncurrent: Int, now: Instant
    ) -> Bool {
        rules.contains { rule in
            guard rule.isEnabled, let days = rule.noncurrentDays, rule.matches(key: key, size: size, tags: tags) else {
                return false
            }
            return newerNoncurrent >= rule.newerVersions && LifecycleRules.due(superseded, days: days) <= now
        }
    }

    /// Whether a delete marker that is all that is left of its key is to go.
    func removesMarker(key: [UInt8], modified: Instant, now: Instant) -> Bool {
        rules.contains { rule in
            // Markers have neither tags nor size: rules that ask for them do not mean markers.
            guard rule.isEnabled, rule.tags.isEmpty, rule.sizeAbove == nil, rule.sizeBelow == nil,
                key.starts(with: rule.prefix)
            else { return false }
            switch rule.expiration {
            case .markers: return true
            case .days(let days): return LifecycleRules.due(modified, days: days) <= now
            case .date(let date): return date <= now
            case nil: return false
            }
        }
    }

    /// When an unfinished upload is aborted, and by which rule.
    func abortion(key: [UInt8], initiated: Instant) -> (at: Instant, rule: String)? {
        var first: (at: Instant, rule: String)?
        for rule in rules where rule.isEnabled && key.starts(with: rule.prefix) {
            guard let days = rule.abortDays else { continue }
            let at = LifecycleRules.due(initiated, days: days)
            if first.map({ at < $0.at }) ?? true { first = (at, rule.id) }
        }
        return first
    }
}

extension LifecycleRules.Rule {
    fileprivate init(_ item: Model.LifecycleRule) throws(AWSError) {
        id = item.id ?? ""
        guard id.utf8.count <= Limits.lifecycleIdBytes else {
            throw S3Error.invalidArgument("ID length should not exceed allowed limit of 255", name: "ID", value: id)
        }
        guard let status = item.status, ["Enabled", "Disabled"].contains(status) else { throw S3Error.malformedXML }
        isEnabled = status == "Enabled"
        guard (item.filter == nil) != (item.prefix == nil) else { throw S3Error.malformedXML }
        try setFilter(item)
        try setActions(item)
    }

    private mutating func setFilter(_ item: Model.LifecycleRule) throws(AWSError) {
        prefix = Array((item.prefix ?? item.filter?.prefix ?? item.filter?.and?.prefix ?? "").utf8)
        guard let filter = item.filter else { return }
        let given = [
            filter.prefix != nil, filter.tag != nil, filter.objectSizeGreaterThan != nil,
            filter.objectSizeLessThan != nil, filter.and != nil,
        ]
        guard given.filter({ $0 }).count <= 1 else { throw S3Error.malformedXML }
        let wanted = (filter.tag.map { [$0] } ?? []) + (filter.and?.tags ?? [])
        // An object has no more: such a rule could match nothing.
        guard wanted.count <= Limits.objectTags else { throw S3Error.malformedXML }
        for tag in wanted {
            guard let key = tag.key, let value = tag.value_ else { throw S3Error.malformedXML }
            guard !tags.contains(where: { $0.key == key }) else {
                throw S3Error.invalidRequest("Duplicate Tag Keys are not allowed.")
            }
            tags.append(.init(key: key, value: value))
        }
        sizeAbove = (filter.objectSizeGreaterThan ?? filter.and?.objectSizeGreaterThan).map { Int64($0) }
        sizeBelow = (filter.objectSizeLessThan ?? filter.and?.objectSizeLessThan).map { Int64($0) }
    }

    private mutating func setActions(_ item: Model.LifecycleRule) throws(AWSError) {
        if let given = item.expiration { expiration = try Self.expiration(given, hasTags: !tags.isEmpty) }
        if let noncurrent = item.noncurrentVersionExpiration {
            noncurrentDays = try Self.days(
                noncurrent.noncurrentDays, of: "NoncurrentVersionExpiration", "NoncurrentDays")
            newerVersions = noncurrent.newerNoncurrentVersions ?? 0
            guard (0...100).contains(newerVersions) else {
                throw S3Error.invalidArgument(
                    "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer",
                    name: "NewerNoncurrentVersions", value: String(newerVersions))
            }
        }
        if let abort = item.abortIncompleteMultipartUpload {
            abortDays = try Self.days(
                abort.daysAfterInitiation, of: "AbortIncompleteMultipartUpload", "DaysAfterInitiation")
            guard tags.isEmpty else {
                throw S3Error.invalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags.")
            }
        }
        let transitions = (item.transitions ?? []).count + (item.noncurrentVersionTransitions ?? []).count
        guard expiration != nil || noncurrentDays != nil || abortDays != nil || transitions > 0 else {
            throw S3Error.invalidRequest("At least one action needs to be specified in a rule")
        }
    }

    private static func expiration(_ given: Model.LifecycleExpiration, hasTags: Bool) throws(AWSError)
        -> LifecycleRules.Expiration
    {
        switch (given.days, given.date, given.expiredObjectDeleteMarker) {
        case (let days?, nil, nil): return .days(try Self.days(days, of: "Expiration", "Days"))
        case (nil, let date?, nil):
            guard date.nanoseconds % 86_400_000_000_000 == 0 else {
                throw S3Error.invalidArgument(
                    "'Date' must be at midnight GMT", name: "Date", value: date.iso8601(fractionDigits: 3))
            }
            return .date(date)
        case (nil, nil, _?):
            guard !hasTags else {
                throw S3Error.invalidRequest("ExpiredObjectDeleteMarker cannot be specified with tag filter")
            }
            // False is no action; the rule is stored all the same, as S3 does.
            return given.expiredObjectDeleteMarker == true ? .markers : .date(Instant(nanoseconds: .max))
        default: throw S3Error.malformedXML
        }
    }

    private static func days(_ given: Int?, of action: String, _ name: String) throws(AWSError) -> Int {
        guard let given else { throw S3Error.malformedXML }
        guard given > 0, given <= Int(Int32.max) else {
            throw S3Error.invalidArgument(
                "'\(name)' for \(action) action must be a positive integer", name: name, value: String(given))
        }
        return given
    }

    func matches(key: [UInt8], size: Int64, tags: [TagSet.Tag]) -> Bool {
        key.starts(with: prefix) && self.tags.allSatisfy { tags.contains($0) }
            && (sizeAbove.map { size > $0 } ?? true) && (sizeBelow.map { size < $0 } ?? true)
    }
}
