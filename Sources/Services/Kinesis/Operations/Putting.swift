import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// PutRecord and PutRecords: without a task, records packed on the connection's loop, one transaction that others share.
struct Putting: Sendable {
    let desk: Desk

    func putRecord(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.PutRecordInput(request.input)
        do throws(AWSError) {
            let target = try StreamTarget(
                name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
            let draft = try Self.draft(input.partitionKey, input.explicitHashKey, input.data)
            if let order = input.sequenceNumberForOrdering, SequenceNumber(order) == nil {
                throw .invalid(
                    "ExclusiveMinimumSequenceNumber \(order) used in PutRecord on stream \(target.name) under account "
                        + "\(target.scope.account) is invalid.")
            }
            put([draft], isBatch: false, to: target, request, isDryRun: input.dryRun == true) { result in
                completion(
                    result.flatMap { answer in
                        guard case .written(let shard, let position)? = answer.places.first else {
                            guard case .refused(let error)? = answer.places.first else {
                                return .failure(AWSError.internalFailure())
                            }
                            return .failure(error)
                        }
                        var output = Model.PutRecordOutput()
                        output.shardId = shard.name
                        output.sequenceNumber = shard.sequenceNumber(position)
                        output.encryptionType = answer.encryptionType
                        return .success(OperationResponse(output.value))
                    })
            }
        } catch {
            completion(.failure(error))
        }
    }

    func putRecords(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.PutRecordsInput(request.input)
        do throws(AWSError) {
            let target = try StreamTarget(
                name: input.streamName, arn: input.streamARN, id: input.streamId, request.context)
            var drafts: [RecordDraft] = []
            drafts.reserveCapacity(Limits.recordsPerPut)
            var bytes = 0
            for entry in input.value["Records"]?.list ?? [] {
                let entry = Model.PutRecordsRequestEntry(entry)
                let draft = try Self.draft(entry.partitionKey, entry.explicitHashKey, entry.data)
                bytes += draft.size
                drafts.append(draft)
            }
            guard bytes <= Limits.putBytes else {
                throw .invalid("Records size exceeds \(Limits.putBytes >> 20) MB limit")
            }
            put(
                drafts, isBatch: true, to: target, request, isDryRun: input.dryRun == true
            ) { result in
                completion(result.map { OperationResponse(Self.output($0)) })
            }
        } catch {
            completion(.failure(error))
        }
    }

    private static func output(_ answer: Answer) -> Value {
        var failed = 0
        let entries = answer.places.map { place -> Value in
            switch place {
            case .written(let shard, let position):
                return [
                    "SequenceNumber": .string(shard.sequenceNumber(position)), "ShardId": .string(shard.name),
                ]
            case .refused(let error):
                failed += 1
                return ["ErrorCode": .string(error.code), "ErrorMessage": .string(error.message)]
            }
        }
        var output = Model.PutRecordsOutput()
        output.failedRecordCount = failed
        output.value["Records"] = .list(entries)
        output.encryptionType = answer.encryptionType
        return output.value
    }

    static func draft(_ key: String?, _ explicit: String?, _ data: [UInt8]?) throws(AWSError) -> RecordDraft {
        let key = key ?? ""
        let hash: UInt128
        if let explicit {
            guard let parsed = HashKey.parse(explicit) else {
                throw .invalid(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was "
                        + explicit)
            }
            hash = parsed
        } else {
            hash = HashKey.of(key)
        }
        return RecordDraft(partitionKey: key, hash: hash, data: data ?? [])
    }

    // MARK: One transaction

    private enum Place: Sendable {
        case written(Shard, Position)
        case refused(AWSError)
    }

    private struct Answer: Sendable {
        var places: [Place]
        var encryptionType: String?
    }

    /// Answers on the connection's loop.
    private func put(
        _ drafts: [RecordDraft], isBatch: Bool, to target: StreamTarget, _ request: OperationRequest, isDryRun: Bool,
        _ completion: @escaping @Sendable (Result<Answer, any Error>) -> Void
    ) {
        let context = request.context
        // Packed for the shards as they are known now; again in the transaction, should they have changed.
        let known = target.streamID == nil ? desk.directory.cached(target.scope, target.name) : nil
        let packed = known.flatMap { desk.throughput == nil ? PackedPut(drafts, to: $0) : nil }
        desk.database.write { [desk] transaction -> Answer in
            let stream = try desk.stream(target, request, in: transaction)
            let now = desk.time.now()
            for (index, draft) in drafts.enumerated() where draft.size > stream.settings.recordKiB << 10 {
                throw AWSError.constraint(
                    isBatch ? "records.\(index + 1).member.data" : "data",
                    "Member must have length less than or equal to \(stream.settings.recordKiB << 10)")
            }
            if isDryRun { throw AWSError.dryRun }
            let admitted = Self.admitted(drafts, to: stream, desk.throughput, now: now)
            let put: PackedPut
            if let packed, let known, known.isRoutedAs(stream) {
                put = packed
            } else {
                put = PackedPut(drafts, to: stream, only: admitted)
            }
            let written = try desk.ledger.append(put, count: drafts.count, to: stream, now: now, in: transaction)
            let places = written.enumerated().map { index, written -> Place in
                if let written { return .written(written.shard, written.position) }
                guard let shard = stream.shards.route(drafts[index].hash) else {
                    return .refused(.internalFailure("InternalFailure"))
                }
                return .refused(.rateExceeded(shard, stream))
            }
            return Answer(places: places, encryptionType: stream.settings.encryptionType)
        } completion: { result in
            context.eventLoop.execute { completion(result) }
        }
    }

    /// The records that the throughput limits let pass; nil: all.
    static func admitted(
        _ drafts: [RecordDraft], to stream: Stream, _ throughput: Throughput?, now: Instant
    ) -> Set<Int>? {
        guard let throughput else { return nil }
        return Set(
            drafts.indices.filter { index in
                guard let shard = stream.shards.route(drafts[index].hash) else { return false }
                return throughput.write(drafts[index].size, shard: shard.id, now: now)
            })
    }
}

extension Stream {
    /// Whether records go to the same shards, and in the same form, as with another state of the stream.
    func isRoutedAs(_ other: Stream) -> Bool {
        id == other.id && shards.nextNumber == other.shards.nextNumber
            && settings.isEncrypted == other.settings.isEncrypted
    }
}
