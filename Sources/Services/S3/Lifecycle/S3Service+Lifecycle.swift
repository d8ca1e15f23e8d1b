import Contracts
import Logging
import Platform
import Storage
import Synchronization
import Wire

extension S3Service {
    /// Starts what runs by itself: the lifecycle of buckets, and the end of restores.
    public func start() {
        lifecycle.start { [weak self] in
            guard let self else { return true }
            await workOffOldLeftovers()
            // Both at midnight, whatever becomes of the other.
            let restores = await endRestores()
            return await runLifecycle() && restores
        }
    }

    public func stop() {
        lifecycle.stop()
        leftovers.withLock { $0.stop() }
    }

    // MARK: Configuration

    func getBucketLifecycle(_ input: Model.GetBucketLifecycleConfigurationRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        try await setting(
            .lifecycle, of: input.bucket, expectedOwner: input.expectedBucketOwner, request,
            orElse: S3Error.noSuch(
                "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", input.bucket))
    }

    func putBucketLifecycle(_ input: Model.PutBucketLifecycleConfigurationRequest, _ request: OperationRequest)
        async throws -> OperationResponse
    {
        var rules = input.lifecycleConfiguration?.rules
        _ = try LifecycleRules(rules)
        for index in (rules ?? []).indices where (rules?[index].id ?? "").isEmpty {
            rules?[index].id = Identifier.uuid()
        }
        let size = input.transitionDefaultMinimumObjectSize ?? "all_storage_classes_128K"
        let value: Value = [
            "Rules": .list((rules ?? []).map(\.value)), "TransitionDefaultMinimumObjectSize": .string(size),
        ]
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, transaction in
            bucket.settings.insert(.lifecycle)
            try SettingTable.put(.lifecycle, value, bucket: bucket.name, in: transaction)
            transaction.afterCommit { [lifecycle = self.lifecycle] in lifecycle.changed() }
        }
        var output = Model.PutBucketLifecycleConfigurationOutput()
        output.transitionDefaultMinimumObjectSize = size
        return OperationResponse(output.value)
    }

    func deleteBucketLifecycle(_ input: Model.DeleteBucketLifecycleRequest, _ request: OperationRequest) async throws
        -> OperationResponse
    {
        try await change(input.bucket, expectedOwner: input.expectedBucketOwner, request) { bucket, transaction in
            bucket.settings.remove(.lifecycle)
            try SettingTable.delete(.lifecycle, bucket: bucket.name, in: transaction)
        }
        return OperationResponse()
    }

    private func rules(of bucket: StoredBucket, _ transaction: any ReadTransaction) throws -> LifecycleRules? {
        guard bucket.settings.contains(.lifecycle),
            let value = try SettingTable.find(.lifecycle, bucket: bucket.name, in: transaction)
        else { return nil }
        return try LifecycleRules(value["Rules"]?.list?.map { Model.LifecycleRule($0) })
    }

    /// `x-amz-expiration` of an object.
    func expiration(of object: StoredObject, in bucket: StoredBucket, _ transaction: any ReadTransaction) throws
        -> String?
    {
        guard bucket.settings.contains(.lifecycle), let rules = try rules(of: bucket, transaction),
            let expiry = rules.expiry(
                key: object.key.bytes, size: object.size, tags: object.metadata.tags.tags, modified: object.modified)
        else { return nil }
        let rule = FormEncoding.encodePath(expiry.rule.utf8)
        return "expiry-date=\"\(expiry.at.httpDate)\", rule-id=\"\(rule)\""
    }

    /// `x-amz-abort-date` and `x-amz-abort-rule-id` of an upload.
    func abortion(of upload: StoredUpload, in bucket: StoredBucket, _ transaction: any ReadTransaction) throws
        -> (date: Instant, rule: String)?
    {
        guard bucket.settings.contains(.lifecycle), let rules = try rules(of: bucket, transaction),
            let due = rules.abortion(key: upload.key.bytes, initiated: upload.initiated)
        else { return nil }
        return (due.at, due.rule)
    }

    // MARK: Carrying out

    /// Carries out the lifecycle of every bucket that has one. A failure is logged, and the rest of its bucket waits
    /// for the next run, but no other bucket does. Answers whether there was none.
    @discardableResult
    func runLifecycle() async -> Bool {
        var last = ""
        var isDone = true
        do {
            while true {
                let after = last
                let names = try await database.read { transaction in
                    try SettingTable.buckets(
                        with: .lifecycle, after: after, limit: Limits.lifecyclePage, in: transaction)
                }
                for name in names {
                    do {
                        try await runLifecycle(of: name)
                    } catch {
                        isDone = false
                        logger.warning(
                            "the lifecycle of a bucket could not be carried out",
                            metadata: ["bucket": "\(name)", "error": "\(error)"])
                    }
                }
                guard let end = names.last else { return isDone }
                last = end
            }
        } catch {
            logger.warning("the lifecycle of buckets could not be carried out", metadata: ["error": "\(error)"])
            return false
        }
    }

    private func runLifecycle(of name: String) async throws {
        let now = time.now()
        let found = try await database.read { transaction in
            try BucketTable.find(name, in: transaction).map { (try self.rules(of: $0, transaction)) }
        }
        guard let rules = found ?? nil else { return }
        var machine = LifecycleMachine(rules, now: now)
        var position = ListingMachine<VersionEntry>.Position.from([])
        while true {
            let start = position
            let page = try await database.read { transaction in
                try VersionTable.list(
                    bucket: name, at: start, end: [0xFF], limit: Limits.lifecyclePage, withMetadata: rules.needsTags,
                    in: transaction)
            }
            let isLast = page.count < Limits.lifecyclePage
            var actions = machine.visit(page, isLast: isLast)[...]
            while !actions.isEmpty {
                let some = Array(actions.prefix(Limits.lifecycleChanges))
                let done = try await database.write { transaction in
                    try self.carryOut(some, rules, now: now, bucket: name, transaction)
                }
                // The configuration is another one by now: its change has asked for a run of its own.
                guard let done else { return }
                actions = actions.dropFirst(done)
            }
            guard !isLast, let last = page.last else { break }
            position = .after(last.keyBytes, tie: last.tie)
        }
        try await abortUploads(of: name, rules, now: now)
    }

    /// What was decided on a snapshot, if it still is so. Answers how many actions are behind it, at least one: not all
    /// when they let go of many parts. Nil, with nothing done, when `rules` are no longer the bucket's.
    private func carryOut(
        _ actions: [LifecycleMachine.Action], _ rules: LifecycleRules, now: Instant, bucket name: String,
        _ transaction: any WriteTransaction
    ) throws -> Int? {
        guard let bucket = try BucketTable.find(name, in: transaction), try self.rules(of: bucket, transaction) == rules
        else { return nil }
        let cause = EventCause(s3For: bucket)
        var parts = 0
        for (index, action) in actions.enumerated() {
            if parts >= Limits.partsPerTransaction { return index }
            switch action {
            case .expire(let bytes, let id):
                let key = ObjectKey(stored: bytes)
                // Its tags may have changed since: then its rules are others.
                guard
                    case .object(let current, isCurrent: true) = try readable(key, .current, in: bucket, transaction),
                    current.id == id,
                    let expiry = rules.expiry(
                        key: bytes, size: current.size, tags: current.metadata.tags.tags, modified: current.modified),
                    expiry.at <= now
                else { continue }
                parts += try delete(
                    key, .current, existing: current, in: bucket, by: cause,
                    events: (EventName.expired, EventName.expiredToMarker), transaction
                ).parts
            case .remove(let bytes, let version):
                let key = ObjectKey(stored: bytes)
                let choice = try VersionChoice(version)
                switch try readable(key, choice, in: bucket, transaction) {
                case nil: continue
                // A null version may have become current again; then its rules are others.
                case .object(_, isCurrent: true): continue
                case .object(let object, _):
                    // When it was superseded, and by how many, was seen on the snapshot; neither comes to be less.
                    let goes = rules.removes(
                        key: bytes, size: object.size, tags: object.metadata.tags.tags,
                        superseded: Instant(nanoseconds: 0), newerNoncurrent: .max, now: now)
                    guard goes else { continue }
                case .marker: break
                }
                parts += try delete(
                    key, choice, existing: nil, in: bucket, by: cause,
                    events: (EventName.expired, EventName.expiredToMarker), transaction
                ).parts
            }
        }
        return actions.count
    }

    /// `find`, but what is damaged is logged and left alone: it must not keep the rest of the bucket.
    func readable(
        _ key: ObjectKey, _ choice: VersionChoice, in bucket: StoredBucket, _ transaction: any ReadTransaction
    ) throws -> KeyVersion? {
        do {
            return try find(key, choice, in: bucket, transaction)
        } catch let failure as Failure where failure.code == .corrupt {
            logger.warning(
                "the lifecycle leaves out an object that cannot be read",
                metadata: ["bucket": "\(bucket.name)", "key": "\(key.text)", "error": "\(failure)"])
            return nil
        }
    }

    private func abortUploads(of name: String, _ rules: LifecycleRules, now: Instant) async throws {
        guard rules.rules.contains(where: { $0.abortDays != nil }) else { return }
        var position = ListingMachine<StoredUpload>.Position.from([])
        while true {
            let start = position
            let page = try await database.read { transaction in
                try UploadTable.list(
                    bucket: name, at: start, end: [0xFF], limit: Limits.lifecycleChanges, in: transaction)
            }
            for upload in page {
                guard let due = rules.abortion(key: upload.key.bytes, initiated: upload.initiated), due.at <= now else {
                    continue
                }
                try await database.write { transaction in
                    guard let bucket = try BucketTable.find(name, in: transaction),
                        try self.rules(of: bucket, transaction) == rules,
                        let there = try UploadTable.find(
                            upload.id, key: upload.key, bucket: name, in: transaction)
                    else { return }
                    try self.end(there, holds: true, bucket: name, in: transaction)
                }
            }
            guard page.count == Limits.lifecycleChanges, let last = page.last else { return }
            position = .after(last.key.bytes, tie: last.id)
        }
    }
}
