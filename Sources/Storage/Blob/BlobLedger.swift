/// Which blobs must not lose their file just now, and which may. A value: `Blobs` keeps it under its lock.
///
/// A file goes only when its row is gone from the database, nobody holds it, and no writer has finished the same bytes
/// since: the writer's `retain` would otherwise refer to a file that is just being removed.
struct BlobLedger {
    /// Finished and not yet retained: how many writers, and when the last one finished (monotonic nanoseconds).
    private var stagedBlobs: [BlobID: (writers: Int, at: UInt64)] = [:]
    private var holds: [BlobID: Int] = [:]
    /// Rows with no references, to be deleted.
    private var unreferenced: Set<BlobID> = []
    /// Unreferenced, but held when their turn came.
    private var waitingForRelease: Set<BlobID> = []
    /// Being removed: from before the database is asked until the file is gone. A reference that is committed meanwhile
    /// takes the blob out again.
    private var retiring: Set<BlobID> = []
    private var isRemoving = false

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
        unreferenced.remove(id)
        waitingForRelease.remove(id)
        retiring.remove(id)
        unstage(id)
    }

    /// Drops what was finished long ago and never retained.
    mutating func forgetStaged(before now: UInt64) {
        stagedBlobs = stagedBlobs.filter { now &- $0.value.at < Self.stagedNanoseconds }
    }

    mutating func hold(_ id: BlobID) { holds[id, default: 0] += 1 }

    /// True when removal should start.
    mutating func released(_ id: BlobID) -> Bool {
        guard let count = holds[id] else { return false }
        holds[id] = count > 1 ? count - 1 : nil
        guard count == 1, waitingForRelease.remove(id) != nil else { return false }
        unreferenced.insert(id)
        return !isRemoving
    }

    /// True when removal should start.
    mutating func becameUnreferenced(_ id: BlobID) -> Bool {
        if holds[id] != nil {
            waitingForRelease.insert(id)
            return false
        }
        unreferenced.insert(id)
        return !isRemoving
    }

    /// The next blobs whose rows may be deleted; then `removalEnded` must follow. Empty while a removal is under way.
    mutating func takeUnreferenced(limit: Int) -> [BlobID] {
        guard !isRemoving else { return [] }
        let ids = Array(unreferenced.prefix(limit))
        unreferenced.subtract(ids)
        isRemoving = !ids.isEmpty
        retiring.formUnion(ids)
        return ids
    }

    /// To be called before the database is asked whether the blobs are referenced.
    mutating func retire(_ ids: [BlobID]) { retiring.formUnion(ids) }

    /// These are not removed after all.
    mutating func keep(_ ids: some Sequence<BlobID>) { retiring.subtract(ids) }

    /// True when more are waiting.
    @discardableResult
    mutating func removalEnded() -> Bool {
        isRemoving = false
        return !unreferenced.isEmpty
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
