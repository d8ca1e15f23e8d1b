import Contracts
import Logging
import Platform
import Storage
import Wire

extension S3Service {
    /// Starts what runs by itself: the lifecycle of buckets.
    public func start() {
        lifecycle.start { [weak self] in await self?.runLifecycle() }
    }

    public func stop() { lifecycle.stop() }

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

    /// Carries out the lifecycle of every bucket that has one. A failure is logged, and the rest waits for the next run.
    func runLifecycle() async {
        var last = ""
        do {
            while true {
                let after = last
                let names = try await database.read { transaction in
                    try SettingTable.buckets(
                        with: .lifecycle, after: after, limit: Limits.lifecyclePage, in: transaction)
                }
                for name in names { try await runLifecycle(of: name) }
                guard let end = names.last else { return }
                last = end
            }
        } catch {
            logger.warning("the lifecycle of buckets could not be carried out", metadata: ["error": "\(error)"])
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
            let actions = machine.visit(page, isLast: isLast)
            for start in stride(from: 0, to: actions.count, by: Limits.lifecycleChanges) {
                let some = Array(actions[start..<min(start + Limits.lifecycleChanges, actions.count)])
                try await database.write { transaction in try self.carryOut(some, bucket: name, transaction) }
            }
            guard !isLast, let last = page.last else { break }
            position = .after(last.keyBytes, tie: last.tie)
        }
        try await abortUploads(of: name, rules, now: now)
    }

    /// What was decided on a snapshot, if it still is so.
    private func carryOut(
        _ actions: [LifecycleMachine.Action], bucket name: String, _ transaction: any WriteTransaction
    )
        throws
    {
        guard let bucket = try BucketTable.find(name, in: transaction), bucket.settings.contains(.lifecycle) else {
            return
        }
        let cause = EventCause(
            requestID: Identifier.hex(16).uppercased(), sourceIP: "s3.amazonaws.com",
            principal: .service(
                name: "s3.amazonaws.com", sourceARN: bucket.arn, sourceAccount: bucket.account))
        for action in actions {
            switch action {
            case .expire(let bytes, let id):
                let key = ObjectKey(stored: bytes)
                guard let current = try ObjectTable.find(key, bucket: name, in: transaction), current.id == id else {
                    continue
                }
                _ = try delete(
                    key, .current, existing: current, in: bucket, by: cause,
                    events: (EventName.expired, EventName.expiredToMarker), transaction)
            case .remove(let bytes, let version):
                let key = ObjectKey(stored: bytes)
                let choice = try VersionChoice(version)
                // A null version may have become current again; then its rules are others.
                if case .object(_, isCurrent: true) = try find(key, choice, in: bucket, transaction) { continue }
                _ = try delete(
                    key, choice, existing: nil, in: bucket, by: cause,
                    events: (EventName.expired, EventName.expiredToMarker), transaction)
            }
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
                    guard
                        let there = try UploadTable.find(
                            upload.id, key: upload.key, bucket: name, in: transaction)
                    else { return }
                    try self.abort(there, bucket: name, in: transaction)
                }
            }
            guard page.count == Limits.lifecycleChanges, let last = page.last else { return }
            position = .after(last.key.bytes, tie: last.id)
        }
    }
}
