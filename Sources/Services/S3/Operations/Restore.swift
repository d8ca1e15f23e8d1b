import Contracts
import Logging
import Platform
import Storage
import Wire

/// Restoring archived objects. Their bytes can be read at any time here, so that a restore is complete at once; its expiry is
/// kept and shown, and its end is told.
extension S3Service {
    func restoreObject(_ input: Model.RestoreObjectRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        let context = request.context
        let asked = input.restoreRequest ?? Model.RestoreRequest([:])
        let key = try ObjectKey(input.key)
        let choice = try VersionChoice(input.versionId)
        let isNew = try await database.write { transaction in
            let bucket = try self.bucket(
                input.bucket, AccessRequest(context, key: key, version: input.versionId),
                expectedOwner: input.expectedBucketOwner, in: transaction,
                existing: { try self.existing(key, choice, in: $0, transaction) })
            guard asked.type == nil, asked.selectParameters == nil, asked.outputLocation == nil else {
                throw S3Error.notImplemented("RestoreObject of the type SELECT")
            }
            guard let days = asked.days, days > 0 else { throw S3Error.malformedXML }
            let object = try self.object(key, choice, in: bucket, context, transaction)
            guard object.isArchived else { throw S3Error.notRestorable(object) }
            let now = self.time.now()
            let isRestored = try self.restoredUntil(object, in: bucket, transaction) != nil
            let expiry = LifecycleRules.due(now, days: days)
            try RestoreTable.put(object, until: expiry, bucket: bucket.name, in: transaction)
            let cause = EventCause(context)
            try cause.call?.record(in: transaction)
            guard !isRestored else { return false }
            var subject = EventSubject(created: object)
            subject.restore = EventSubject.Restore(storageClass: object.storageClass)
            try self.notify(EventName.restoring, of: subject, bucket: bucket, cause: cause, in: transaction)
            subject.restore?.expiry = expiry
            let own = EventCause(
                s3For: bucket, requestID: context.requestID, traceHeader: cause.traceHeader)
            try self.notify(EventName.restored, of: subject, bucket: bucket, cause: own, in: transaction)
            return true
        }
        return OperationResponse(Model.RestoreObjectOutput().value, status: isNew ? 202 : 200)
    }

    /// Nil for what is not restored, or no longer.
    func restoredUntil(_ object: StoredObject, in bucket: StoredBucket, _ transaction: any ReadTransaction) throws
        -> Instant?
    {
        guard object.isArchived else { return nil }
        let expiry = try RestoreTable.expiry(of: object, bucket: bucket.name, in: transaction)
        return expiry.flatMap { $0 > time.now() ? $0 : nil }
    }

    /// Ends the restores whose time is over, and tells of them. Answers whether all could be ended.
    func endRestores() async -> Bool {
        let now = time.now()
        do {
            while try await database.read({ try !RestoreTable.expired(by: now, limit: 1, in: $0).isEmpty }) {
                try await database.write { transaction in
                    let entries = try RestoreTable.expired(
                        by: now, limit: Limits.lifecycleChanges, in: transaction)
                    for entry in entries { try self.end(entry, transaction) }
                }
            }
            return true
        } catch {
            logger.warning("restored copies could not be ended", metadata: ["error": "\(error)"])
            return false
        }
    }

    private func end(_ entry: RestoreTable.Entry, _ transaction: any WriteTransaction) throws {
        try RestoreTable.delete(entry.key, id: entry.id, bucket: entry.bucket, in: transaction)
        guard let bucket = try BucketTable.find(entry.bucket, in: transaction),
            let choice = try? VersionChoice(entry.version ?? "null"),
            case .object(let object, _) = try readable(entry.key, choice, in: bucket, transaction),
            object.id == entry.id
        else { return }
        var subject = EventSubject(created: object)
        subject.restore = EventSubject.Restore(storageClass: object.storageClass)
        try notify(
            EventName.restoreEnded, of: subject, bucket: bucket, cause: EventCause(s3For: bucket), in: transaction)
    }
}

extension StoredObject {
    /// Of the classes whose objects AWS makes readable only for a time, by RestoreObject.
    var isArchived: Bool { storageClass == "GLACIER" || storageClass == "DEEP_ARCHIVE" }
}

extension S3Error {
    static func notRestorable(_ object: StoredObject) -> AWSError {
        AWSError(
            "InvalidObjectState", status: 403, "Restore is not allowed for the object's current storage class",
            fields: ["StorageClass": .string(object.storageClass)])
    }
}
