import Platform

/// Decides, walking over all versions of a bucket in their order, what its lifecycle removes. Pages come one after the
/// other; what must be known of the versions before is in here.
struct LifecycleMachine: Sendable {
    enum Action: Sendable, Hashable {
        /// The current version, as a delete without a version does.
        case expire(key: [UInt8], id: String)
        /// A version that is not current, or a delete marker that is all that is left, for good.
        case remove(key: [UInt8], version: String)
    }

    private let rules: LifecycleRules
    private let now: Instant
    private var key: [UInt8] = []
    /// Versions of `key` so far that are not current, delete markers too.
    private var noncurrent = 0
    /// A delete marker that is current: it is alone if no other version of its key comes.
    private var marker: VersionEntry?

    init(_ rules: LifecycleRules, now: Instant) {
        self.rules = rules
        self.now = now
    }

    mutating func visit(_ page: [VersionEntry], isLast: Bool) -> [Action] {
        var actions: [Action] = []
        for entry in page {
            if entry.keyBytes != key {
                finishKey(&actions)
                key = entry.keyBytes
            } else {
                marker = nil
            }
            if let action = decide(entry) { actions.append(action) }
        }
        if isLast { finishKey(&actions) }
        return actions
    }

    private mutating func finishKey(_ actions: inout [Action]) {
        if let marker, rules.removesMarker(key: marker.keyBytes, modified: marker.modified, now: now) {
            actions.append(.remove(key: marker.keyBytes, version: marker.versionText))
        }
        marker = nil
        noncurrent = 0
    }

    private mutating func decide(_ entry: VersionEntry) -> Action? {
        if entry.isLatest, entry.isMarker {
            marker = entry
            return nil
        }
        let tags = rules.needsTags && !entry.metadata.isEmpty ? LifecycleMachine.tags(entry) : []
        if entry.isLatest {
            let expiry = rules.expiry(key: entry.keyBytes, size: entry.size, tags: tags, modified: entry.modified)
            guard let expiry, expiry.at <= now else { return nil }
            return .expire(key: entry.keyBytes, id: entry.id)
        }
        let newer = noncurrent
        noncurrent += 1
        let goes = rules.removes(
            key: entry.keyBytes, size: entry.size, tags: tags, superseded: entry.superseded ?? now,
            newerNoncurrent: newer, now: now)
        return goes ? .remove(key: entry.keyBytes, version: entry.versionText) : nil
    }

    /// What cannot be read has no tags: then a rule for tagged objects leaves it alone.
    private static func tags(_ entry: VersionEntry) -> [TagSet.Tag] {
        (try? ObjectMetadata(packed: entry.metadata))?.tags.tags ?? []
    }
}
