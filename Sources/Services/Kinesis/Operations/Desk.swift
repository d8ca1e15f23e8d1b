import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// What every operation of Kinesis is made of.
struct Desk: Sendable {
    let database: any Database
    let time: any TimeSource
    let directory: StreamDirectory
    let ledger: Ledger
    let arrivals: Observers<String?>
    let access: Access
    let tokens: Tokens
    /// Nil: no shard is ever too busy, and shards may be changed as often as one likes.
    let throughput: Throughput?

    /// The stream that a request names. Throws ResourceNotFoundException, AccessDeniedException.
    func stream(
        _ target: StreamTarget, _ request: OperationRequest, in transaction: any ReadTransaction
    ) throws -> Stream {
        let stream = try find(target, in: transaction)
        try access.check(request, request.context.operation, on: stream, in: transaction)
        return stream
    }

    private func find(_ target: StreamTarget, in transaction: any ReadTransaction) throws -> Stream {
        var name = target.name
        if let id = target.streamID {
            guard let found = try StreamTable.name(target.scope, streamID: id, in: transaction) else {
                throw AWSError.noResource(id)
            }
            name = found
        }
        guard let stream = try directory.find(target.scope, name, in: transaction) else {
            throw AWSError.noStream(name, target.scope.account)
        }
        return stream
    }

    func read<T: Sendable>(
        _ request: OperationRequest, _ target: StreamTarget,
        _ body: @escaping @Sendable (Stream, Instant, any ReadTransaction) throws -> T
    ) async throws -> T {
        try await database.read { transaction in
            let stream = try self.stream(target, request, in: transaction)
            return try body(stream, time.now(), transaction)
        }
    }

    /// Time is taken when the transaction runs, so that it grows from one to the next.
    func write<T: Sendable>(
        _ request: OperationRequest, _ target: StreamTarget,
        _ body: @escaping @Sendable (Stream, Instant, any WriteTransaction) throws -> T
    ) async throws -> T {
        try await database.write { transaction in
            let stream = try self.stream(target, request, in: transaction)
            return try body(stream, time.now(), transaction)
        }
    }

    /// Changes a stream's settings.
    func change(
        _ request: OperationRequest, _ target: StreamTarget,
        _ body: @escaping @Sendable (inout StreamSettings, Stream, Instant) throws -> Void
    ) async throws {
        try await write(request, target) { stream, now, transaction in
            var settings = stream.settings
            try body(&settings, stream, now)
            guard settings != stream.settings else { return }
            try StreamTable.update(stream.id, settings, in: transaction)
            directory.forget(stream, in: transaction)
        }
    }
}

/// Which stream a request names: by name, by ARN, or by AWS's `StreamId`.
struct StreamTarget: Sendable, Hashable {
    var scope: AccountRegion
    var name: String
    var streamID: String?

    /// Throws InvalidArgumentException when none is named, or two that are not the same.
    init(name: String?, arn: String?, id: String? = nil, _ context: OperationContext) throws(AWSError) {
        if let arn {
            guard let address = ResourceAddress(arn), address.consumer == nil else { throw .noResource(arn) }
            if let name, name != address.stream {
                throw .invalid("StreamARN \(arn) does not name the stream \(name).")
            }
            (scope, self.name) = (address.scope, address.stream)
            return
        }
        scope = context.scope
        if let name {
            self.name = name
        } else if let id {
            (self.name, streamID) = ("", id)
        } else {
            throw .invalid("Either StreamName or StreamARN must be provided.")
        }
    }
}
