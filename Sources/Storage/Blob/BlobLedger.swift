/// Which blobs must not lose their file just now, and which may. A value: `Blobs` keeps it under its lock.
///
/// A file goes only when its row is gone from the database, nobody holds it, and no writer has finished the same bytes
/// since: the writer's `retain` would otherwise refer to a file that is just being removed.
struct BlobLedger {
    /// Finished and not yet retained: how many writers, and when the last one finished (monotonic nanoseconds).
    private var stagedBlobs: [BlobID: (writers: Int, at: UInt64)] = [:]
    private var holds: [BlobID: Int] = [:]
    /// Rows with no references, to be deleted, and since when (monotonic nanoseconds).
    private var unreferenced: [BlobID: UInt64] = [:]
    /// Unreferenced, but held when their turn came.
    private var waitingForRelease: Set<BlobID> = []
    /// Being removed: from before the database is asked until the file is gone. A reference that is committed meanwhile
    /// takes the blob out again.
    private var retiring: Set<BlobID> = []
    private var isRemoving = false
    /// A removal is going to be tried.
    private var isPlanned = false
    /// How long a blob stays after its last reference, in nanoseconds: a reader that has just found the reference in its
    /// snapshot still gets to `hold`.
    private let removalDelay: UInt64

    init(removalDelay: UInt64 = 0) { self.removalDelay = removalDelay }

    /// With so many entries the old ones are looked for: writers that never came back.
    static let stagedBeforeForgetting = 4096
    /// How long `finish` protects an unretained blob.
    static let stagedNanoseconds: UInt64 = 15 * 60 * 1_000_000_000

    mutating func staged(_ id: BlobID, now: UInt64) {
        if stagedBlobs.count >= Self.stagedBeforeForgetting { forgetStaged(before: now) }
        stagedBlobs[id] = ((stagedBlobs[id]?.writers ?? 0) + 1, now)
    }

    /// A writer will not retain it.
    mutating func abandoned(_ id: BlobID) { unstage(id) }

    private mutating func unstage(_ id: BlobID) {
        guard let entry = stagedBlobs[id] else { return }
        stagedBlobs[id] = entry.writers > 1 ? (entry.writers - 1, entry.at) : nil
    }

    func isStaged(_ id: BlobID) -> Bool { stagedBlobs[id] != nil }

    /// The transaction that refers to the blob is on disk.
    mutating func retained(_ id: BlobID) {
        unreferenced[id] = nil
        waitingForRelease.remove(id)
        retiring.remove(id)
        unstage(id)
    }

    /// Drops what was finished long ago and never retained.
    mutating func forgetStaged(before now: UInt64) {
        stagedBlobs = stagedBlobs.filter { now &- $0.value.at < Self.stagedNanoseconds }
    }

    mutating func hold(_ id: BlobID) { holds[id, default: 0] += 1 }

    /// True when a removal should be planned, after the delay.
    mutating func released(_ id: BlobID, now: UInt64) -> Bool {
        guard let count = holds[id] else { return false }
        holds[id] = count > 1 ? count - 1 : nil
        guard count == 1, waitingForRelease.remove(id) != nil else { return false }
        unreferenced[id] = now
        return plan()
    }

    /// True when a removal should be planned, after the delay.
    mutating func becameUnreferenced(_ id: BlobID, now: UInt64) -> Bool {
        if holds[id] != nil {
            waitingForRelease.insert(id)
            return false
        }
        unreferenced[id] = now
        return plan()
    }

    private mutating func plan() -> Bool {
        guard !isRemoving, !isPlanned, !unreferenced.isEmpty else { return false }
        isPlanned = true
        return true
    }

    /// The next blobs whose rows may be deleted, none of them younger than the delay; then `removalEnded` must follow.
    /// None while a removal is under way. `again`: others are too young, so another removal should be planned.
    mutating func takeUnreferenced(limit: Int, now: UInt64) -> (ids: [BlobID], again: Bool) {
        guard !isRemoving else { return ([], false) }
        isPlanned = false
        let delay = removalDelay
        let ids = Array(unreferenced.lazy.filter { now &- $0.value >= delay }.map(\.key).prefix(limit))
        if ids.isEmpty { return ([], plan()) }
        for id in ids { unreferenced[id] = nil }
        isRemoving = true
        retiring.formUnion(ids)
        return (ids, false)
    }

    /// To be called before the database is asked whether the blobs are referenced.
    mutating func retire(_ ids: [BlobID]) { retiring.formUnion(ids) }

    /// These are not removed after all.
    mutating func keep(_ ids: some Sequence<BlobID>) { retiring.subtract(ids) }

    /// True when more are waiting and a removal should be planned.
    mutating func removalEnded() -> Bool {
        isRemoving = false
        return plan()
    }

    /// Asked under the lock at the moment of removal, the row being gone. A held file comes back at its release.
    mutating func mayRemove(_ id: BlobID) -> Bool {
        guard retiring.remove(id) != nil else { return false }
        if holds[id] != nil {
            waitingForRelease.insert(id)
            return false
        }
        return stagedBlobs[id] == nil
    }
}
