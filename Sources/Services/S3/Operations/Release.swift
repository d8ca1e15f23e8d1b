import Contracts
import Logging
import Platform
import Storage
import Synchronization

/// Letting go of blobs. A few references go in the transaction that removes what held them; many become rows of
/// `LeftoverTable`, which are worked off behind it.
extension S3Service {
    func retain(_ parts: [StoredPart], in transaction: any WriteTransaction) throws {
        for part in parts {
            if let blob = part.blob { try blobs.retain(blob, size: part.blobSize, in: transaction) }
        }
    }

    /// What a write of a key held: its bytes, and that it was restored.
    func release(_ object: StoredObject, bucket: String, in transaction: any WriteTransaction) throws {
        try release(object.parts, in: transaction)
        if object.isArchived { try RestoreTable.delete(object.key, id: object.id, bucket: bucket, in: transaction) }
    }

    func release(_ parts: [StoredPart], in transaction: any WriteTransaction) throws {
        guard parts.count > Limits.partsReleasedAtOnce else { return try releaseNow(parts, in: transaction) }
        for start in stride(from: 0, to: parts.count, by: Limits.partsPerLeftover) {
            let some = Array(parts[start..<min(start + Limits.partsPerLeftover, parts.count)])
            let id = try Sequencer.advance(now: time.now(), in: transaction)
            try LeftoverTable.add(some, id: id, in: transaction)
        }
        workOffLeftoversSoon(transaction)
    }

    /// Ends an upload. `holds`: the references of its parts go with it; otherwise an object has taken them over.
    func end(_ upload: StoredUpload, holds: Bool, bucket: String, in transaction: any WriteTransaction) throws {
        try UploadTable.delete(upload, bucket: bucket, in: transaction)
        // An upload has no more parts than it was changed.
        if upload.changes <= Limits.partsReleasedAtOnce {
            if holds { _ = try removeParts(of: upload.id, limit: Limits.parts, holds: true, in: transaction) }
            try PartTable.delete(upload: upload.id, through: Limits.parts, in: transaction)
        } else {
            let id = try Sequencer.advance(now: time.now(), in: transaction)
            try LeftoverTable.add(upload: upload.id, holds: holds, id: id, in: transaction)
            workOffLeftoversSoon(transaction)
        }
    }

    /// The first parts of an upload and their references; answers how many. A row that cannot be read must not keep the others:
    /// the bytes that it referred to stay.
    private func removeParts(
        of upload: String, limit: Int, holds: Bool, in transaction: any WriteTransaction
    ) throws -> Int {
        let some = try PartTable.contents(upload: upload, limit: limit, in: transaction)
        if holds {
            try releaseNow(some.compactMap(\.part), in: transaction)
            for (number, part) in some where part == nil {
                logger.error(
                    "a part of an upload cannot be read; what it held stays",
                    metadata: ["upload": "\(upload)", "part": "\(number)"])
            }
        }
        if let last = some.last { try PartTable.delete(upload: upload, through: last.number, in: transaction) }
        return some.count
    }

    private func releaseNow(_ parts: [StoredPart], in transaction: any WriteTransaction) throws {
        for part in parts {
            if let blob = part.blob { try blobs.release(blob, in: transaction) }
        }
    }

    // MARK: Leftovers

    private func workOffLeftoversSoon(_ transaction: any WriteTransaction) {
        transaction.afterCommit { [weak self] in
            guard let self, self.leftovers.withLock({ $0.begin() }) else { return }
            Task { await self.workOffLeftovers() }
        }
    }

    /// What a process before this one has left.
    func workOffOldLeftovers() async {
        let isEmpty = (try? await database.read { try LeftoverTable.isEmpty(in: $0) }) ?? true
        guard !isEmpty, leftovers.withLock({ $0.begin() }) else { return }
        await workOffLeftovers()
    }

    private func workOffLeftovers() async {
        do {
            repeat {
                while try await database.write({ try self.workOffOne(in: $0) }) {
                    if leftovers.withLock({ $0.isStopped }) { break }
                }
            } while leftovers.withLock { $0.end() }
        } catch {
            leftovers.withLock { $0.fail() }
            logger.warning(
                "references of removed objects are let go of later", metadata: ["error": "\(error)"])
        }
    }

    /// One step; false when nothing is left.
    private func workOffOne(in transaction: any WriteTransaction) throws -> Bool {
        guard let (id, leftover) = try LeftoverTable.first(in: transaction) else { return false }
        switch leftover {
        case .parts(let parts):
            try releaseNow(parts, in: transaction)
            try LeftoverTable.delete(id, in: transaction)
        case .upload(let upload, let holds):
            let count = try removeParts(of: upload, limit: Limits.partsPerLeftover, holds: holds, in: transaction)
            if count < Limits.partsPerLeftover { try LeftoverTable.delete(id, in: transaction) }
        case .unreadable:
            logger.error("parts of a removed object cannot be read; what they held stays", metadata: ["id": "\(id)"])
            try LeftoverTable.delete(id, in: transaction)
        }
        return true
    }
}

/// Who works off leftovers: one at a time; what comes meanwhile is seen by a last look.
struct LeftoverWork: Sendable {
    private var isRunning = false
    private var isAsked = false
    private(set) var isStopped = false

    /// True when the caller is to do it.
    mutating func begin() -> Bool {
        guard !isStopped else { return false }
        isAsked = isRunning
        defer { isRunning = true }
        return !isRunning
    }

    /// True when the caller is to look again.
    mutating func end() -> Bool {
        defer { isAsked = false }
        isRunning = isAsked && !isStopped
        return isRunning
    }

    /// What is left waits for the next leftovers or the next day.
    mutating func fail() {
        isRunning = false
        isAsked = false
    }

    mutating func stop() { isStopped = true }
}
