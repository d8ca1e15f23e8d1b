import Contracts
import Platform
import Storage
import Wire

/// What a delete did, as its answer tells it.
struct Deletion: Sendable {
    /// The version that was deleted, or the marker that was made.
    var version: String?
    /// A delete marker was made, or deleted for good.
    var isMarker = false
    /// The marker is new.
    var isNewMarker = false
    /// Parts of objects that were let go of or moved: how much work it was.
    var parts = 0
}

/// How keys change in buckets with versions. Everything happens inside the caller's transaction.
extension S3Service {
    /// The version of a key that a request means; nil when there is none.
    func find(
        _ key: ObjectKey, _ choice: VersionChoice = .current, in bucket: StoredBucket,
        _ transaction: any ReadTransaction
    ) throws -> KeyVersion? {
        let current = try ObjectTable.find(key, bucket: bucket.name, in: transaction)
        switch choice {
        case .current:
            if let current { return .object(current, isCurrent: true) }
            guard bucket.versioning != .never else { return nil }
            return try VersionTable.newest(key, bucket: bucket.name, in: transaction)
        case .null:
            if let current, current.version == nil { return .object(current, isCurrent: true) }
        case .id(let id, _):
            if let current, current.version == id { return .object(current, isCurrent: true) }
        }
        guard bucket.versioning != .never else { return nil }
        return try VersionTable.find(key, choice, bucket: bucket.name, in: transaction)
    }

    /// The object that a read means. Throws NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker, named), AccessDenied.
    func object(
        _ key: ObjectKey, _ choice: VersionChoice, in bucket: StoredBucket, _ context: OperationContext,
        _ transaction: any ReadTransaction
    ) throws -> StoredObject {
        switch try find(key, choice, in: bucket, transaction) {
        case .object(let object, _): return object
        case .marker(let marker):
            guard choice == .current else { throw S3Error.isDeleteMarker(marker) }
            var error = try missing(key, context, bucket, in: transaction)
            error.headers = [("x-amz-delete-marker", "true"), ("x-amz-version-id", marker.versionText)]
            throw error
        case nil:
            guard let version = choice.text else { throw try missing(key, context, bucket, in: transaction) }
            throw S3Error.noSuchVersion(key: key, version: version)
        }
    }

    /// Stores an object as its key's current version; its blobs are referenced already. Lets go of what it replaces for good.
    func place(
        _ new: StoredObject, over existing: StoredObject?, in bucket: StoredBucket, _ transaction: any WriteTransaction
    ) throws -> StoredObject {
        var object = new
        if bucket.versioning == .never {
            try ObjectTable.put(object, bucket: bucket.name, in: transaction)
            if let existing { try release(existing, bucket: bucket.name, in: transaction) }
            return object
        }
        try makeRoom(for: object.key, over: existing, in: bucket, transaction)
        object.rank = Int64.max - (try Sequencer.advance(now: time.now(), in: transaction))
        object.version = bucket.versioning == .enabled ? VersionID.make(rank: object.rank) : nil
        try ObjectTable.put(object, bucket: bucket.name, in: transaction)
        return object
    }

    /// Makes what is current a thing of the past, in a bucket that has or had versions: archives an object, marks a delete
    /// marker. Where versioning is suspended, the null version goes, wherever it is.
    private func makeRoom(
        for key: ObjectKey, over existing: StoredObject?, in bucket: StoredBucket, _ transaction: any WriteTransaction
    ) throws {
        let now = time.now()
        let isNullReplaced = bucket.versioning == .suspended
        if let existing {
            if isNullReplaced, existing.version == nil {
                try release(existing, bucket: bucket.name, in: transaction)
                return
            }
            try VersionTable.archive(existing, at: now, bucket: bucket.name, in: transaction)
        } else if case .marker(let marker) = try VersionTable.newest(key, bucket: bucket.name, in: transaction) {
            try VersionTable.setSuperseded(
                now, key: key, rank: marker.rank, bucket: bucket.name, in: transaction)
        }
        guard isNullReplaced,
            let null = try VersionTable.find(key, .null, bucket: bucket.name, in: transaction)
        else { return }
        switch null {
        case .object(let object, _):
            try VersionTable.delete(key, rank: object.rank, bucket: bucket.name, in: transaction)
            try release(object, bucket: bucket.name, in: transaction)
        case .marker(let marker):
            try VersionTable.delete(key, rank: marker.rank, bucket: bucket.name, in: transaction)
        }
    }

    /// Deletes as DeleteObject does, with its events. A key or version that is not there counts as deleted.
    func delete(
        _ key: ObjectKey, _ choice: VersionChoice, existing: StoredObject?, in bucket: StoredBucket,
        by cause: EventCause,
        events: (deleted: String, marked: String) = (EventName.delete, EventName.deleteMarker),
        _ transaction: any WriteTransaction
    ) throws -> Deletion {
        if choice != .current { return try deleteVersion(key, choice, in: bucket, cause, events.deleted, transaction) }
        guard bucket.versioning != .never else {
            guard let existing else { return Deletion() }
            try ObjectTable.delete(key, bucket: bucket.name, in: transaction)
            try release(existing, bucket: bucket.name, in: transaction)
            try notify(events.deleted, of: EventSubject(key: key), bucket: bucket, cause: cause, in: transaction)
            return Deletion(parts: existing.parts.count)
        }
        try makeRoom(for: key, over: existing, in: bucket, transaction)
        if existing != nil { try ObjectTable.delete(key, bucket: bucket.name, in: transaction) }
        let rank = Int64.max - (try Sequencer.advance(now: time.now(), in: transaction))
        let marker = DeleteMarker(
            key: key, version: bucket.versioning == .enabled ? VersionID.make(rank: rank) : nil, rank: rank,
            modified: wholeSeconds(time.now()), superseded: nil)
        try VersionTable.insert(marker, bucket: bucket.name, in: transaction)
        try notify(
            events.marked,
            of: EventSubject(key: key, etag: EventSubject.etagOfNothing, version: marker.version), bucket: bucket,
            cause: cause, in: transaction)
        return Deletion(
            version: marker.versionText, isMarker: true, isNewMarker: true, parts: existing?.parts.count ?? 0)
    }

    private func deleteVersion(
        _ key: ObjectKey, _ choice: VersionChoice, in bucket: StoredBucket, _ cause: EventCause, _ event: String,
        _ transaction: any WriteTransaction
    ) throws -> Deletion {
        var deletion = Deletion(version: bucket.versioning == .never ? nil : choice.text)
        guard let found = try find(key, choice, in: bucket, transaction) else { return deletion }
        switch found {
        case .object(let object, let isCurrent):
            if isCurrent {
                try ObjectTable.delete(key, bucket: bucket.name, in: transaction)
            } else {
                try VersionTable.delete(key, rank: object.rank, bucket: bucket.name, in: transaction)
            }
            deletion.parts = object.parts.count
            try release(object, bucket: bucket.name, in: transaction)
            if isCurrent { try promote(key, in: bucket, transaction) }
        case .marker(let marker):
            deletion.isMarker = true
            try VersionTable.delete(key, rank: marker.rank, bucket: bucket.name, in: transaction)
            if marker.superseded == nil { try promote(key, in: bucket, transaction) }
        }
        let version = bucket.versioning == .never ? nil : choice.text
        try notify(
            event, of: EventSubject(key: key, version: version == "null" ? nil : version), bucket: bucket,
            cause: cause, in: transaction)
        return deletion
    }

    /// After the current version of a key was deleted for good, the newest of the others is current.
    private func promote(_ key: ObjectKey, in bucket: StoredBucket, _ transaction: any WriteTransaction) throws {
        guard bucket.versioning != .never else { return }
        switch try VersionTable.newest(key, bucket: bucket.name, in: transaction) {
        case .object(let object, _):
            try VersionTable.delete(key, rank: object.rank, bucket: bucket.name, in: transaction)
            try ObjectTable.put(object, bucket: bucket.name, in: transaction)
        case .marker(let marker):
            try VersionTable.setSuperseded(
                nil, key: key, rank: marker.rank, bucket: bucket.name, in: transaction)
        case nil: return
        }
    }

    /// Stores changed tags or access control list of a version.
    func setMetadata(
        _ object: StoredObject, isCurrent: Bool, in bucket: StoredBucket, _ transaction: any WriteTransaction
    ) throws {
        if isCurrent {
            try ObjectTable.setMetadata(object, bucket: bucket.name, in: transaction)
        } else {
            try VersionTable.setMetadata(object, bucket: bucket.name, in: transaction)
        }
    }
}

extension StoredBucket {
    /// What answers show of a version: nothing before the bucket had any.
    func shownVersion(_ object: StoredObject) -> String? { versioning == .never ? nil : object.versionText }
}

extension S3Error {
    static func noSuchVersion(key: ObjectKey, version: String) -> AWSError {
        AWSError(
            "NoSuchVersion", status: 404, "The specified version does not exist.",
            fields: ["Key": .string(key.text), "VersionId": .string(version)])
    }

    /// A read names a delete marker by its id.
    static func isDeleteMarker(_ marker: DeleteMarker) -> AWSError {
        AWSError(
            "MethodNotAllowed", status: 405, "The specified method is not allowed against this resource.",
            fields: ["Method": "GET", "ResourceType": "DeleteMarker"],
            headers: [
                ("x-amz-delete-marker", "true"), ("x-amz-version-id", marker.versionText), ("Allow", "DELETE"),
                ("Last-Modified", marker.modified.httpDate),
            ])
    }
}
