import Contracts
import Glibc
import Logging
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Wire

@testable import S3

/// The service over a real store in a temporary directory, called through its operation table as the front door does.
final class Harness: Sendable {
    let database: SQLiteDatabase
    let blobs: Blobs
    let outbox = RecordingOutbox()
    let time = ManualTime()
    let service: S3Service
    private let root: String

    /// - Parameter smallestPart: bytes of a part that is not the last, where S3's 5 MiB would be too much for a test.
    /// - Parameter wrap: what the service sees of the database.
    init(
        smallestPart: Int64? = nil, removalDelay: Duration = .seconds(2),
        wrap: (SQLiteDatabase) -> any Database = { $0 }
    ) throws {
        database = try SQLiteDatabase.temporary(migrations: [
            Blobs.migrations, S3Service.migrations, S3ControlService.migrations,
        ])
        root = database.directory
        blobs = try Blobs(
            directory: root + "/blobs", database: database, durability: .relaxed, removalDelay: removalDelay)
        service = try S3Service(
            database: wrap(database), blobs: blobs, outbox: outbox, time: time, logger: Logger(label: "test"),
            smallestPart: smallestPart)
    }

    deinit {
        blobs.close()
        database.close()
    }

    /// Calls an operation. `headers` are in lower case; header-bound members are not made from them.
    @discardableResult
    func call(
        _ operation: String, _ input: Value, body: [UInt8]? = nil, payload: String = "", length: Int64?? = .none,
        headers: [(name: String, value: String)] = [], trailers: [(name: String, value: String)] = [],
        account: String = "000000000000", region: String = "us-east-1"
    ) async throws -> Answer {
        guard case .asynchronous(let handler) = service.operations[operation] else {
            throw Failure(.bug, "no operation \(operation)")
        }
        let context = context(operation, headers: headers, account: account, region: region)
        let stream = body.map { bytes in
            Pieces(bytes, length: length ?? Int64(bytes.count), trailers: trailers)
        }
        let response = try await handler(
            OperationRequest(context: context, input: input, payload: ByteBuffer(string: payload), stream: stream))
        return try await Answer(response)
    }

    private func context(
        _ operation: String, service: String = "s3", headers: [(name: String, value: String)] = [],
        account: String = "000000000000", region: String = "us-east-1"
    ) -> OperationContext {
        let loop = NIOAsyncTestingEventLoop()
        return OperationContext(
            requestID: "REQUEST", service: service, operation: operation,
            scope: AccountRegion(account: account, region: region), principal: .account(account), now: time.now(),
            endpoint: "http://localhost:4566", sourceIP: "127.0.0.1", headers: headers, uri: "/", eventLoop: loop,
            closed: loop.makePromise(of: Void.self).neverCompleted())
    }

    /// The error that an operation answers.
    func error(
        _ operation: String, _ input: Value, body: [UInt8]? = nil, payload: String = "", length: Int64?? = .none,
        headers: [(name: String, value: String)] = [], trailers: [(name: String, value: String)] = [],
        account: String = "000000000000"
    ) async -> AWSError? {
        do {
            try await call(
                operation, input, body: body, payload: payload, length: length, headers: headers, trailers: trailers,
                account: account)
            return nil
        } catch { return error as? AWSError }
    }

    func makeBucket(_ name: String = "bucket") async throws {
        try await call("CreateBucket", ["Bucket": .string(name)])
    }

    @discardableResult
    func put(_ key: String, _ text: String, bucket: String = "bucket", _ more: Fields = [:]) async throws -> Answer {
        var input: Value = ["Bucket": .string(bucket), "Key": .string(key)]
        for entry in more.entries { input[entry.name] = entry.value }
        return try await call("PutObject", input, body: Array(text.utf8))
    }

    func get(_ key: String, bucket: String = "bucket", _ more: Fields = [:]) async throws -> Answer {
        var input: Value = ["Bucket": .string(bucket), "Key": .string(key)]
        for entry in more.entries { input[entry.name] = entry.value }
        return try await call("GetObject", input)
    }

    /// As another service asks for an object of the bucket `bucket`.
    func stage(_ key: String, limit: Int64) async throws -> (blob: BlobID, size: Int64) {
        try await service.stage(
            bucket: "bucket", key: key, version: nil, for: context("CreateFunction", service: "lambda"), limit: limit)
    }

    /// The names of all blobs' files.
    func storedBlobs() throws -> [String] {
        Directory.names(in: root + "/blobs/objects").flatMap { Directory.names(in: root + "/blobs/objects/" + $0) }
    }

    /// Changes the first byte of every blob.
    func damageBlobs() throws {
        for name in try storedBlobs() {
            let path = root + "/blobs/objects/" + name.prefix(2) + "/" + name
            chmod(path, 0o600)
            guard let file = fopen(path, "r+") else { throw Failure(.storage, "cannot open \(path)") }
            fputc(0x21, file)
            fclose(file)
        }
    }

    /// How many blobs have references.
    func referencedBlobs() async throws -> Int64 {
        try await database.read { try $0.first("SELECT COUNT(*) FROM blobs_blobs WHERE refs > 0") { $0.int(0) } ?? -1 }
    }

    func references() async throws -> Int64 {
        try await database.read { try $0.first("SELECT COALESCE(SUM(refs), 0) FROM blobs_blobs") { $0.int(0) } ?? -1 }
    }
}

extension EventLoopPromise where Value == Void {
    fileprivate func neverCompleted() -> EventLoopFuture<Void> {
        // A promise must not be dropped unfulfilled; nothing here waits for the client to go away.
        succeed()
        return futureResult
    }
}

/// An answer with its bytes read.
struct Answer: Sendable {
    let value: Value
    let status: Int?
    let bytes: [UInt8]

    init(_ response: OperationResponse) async throws {
        value = response.output
        status = response.status
        switch response.payload {
        case .files(let parts, let release):
            defer { release() }
            bytes = parts.flatMap { Answer.read($0) }
        case .stream(_, let write):
            let collector = Collector()
            try await write(collector)
            bytes = collector.bytes
        default: bytes = []
        }
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
    subscript(_ member: String) -> Value? { value[member] }

    private static func read(_ part: FilePart) -> [UInt8] {
        guard let file = fopen(part.path, "r") else { return [] }
        defer { fclose(file) }
        fseek(file, Int(part.offset), SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: Int(part.length))
        let got = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(got))
    }
}

/// Keeps what a streamed answer writes.
private final class Collector: BodyWriter {
    private let written = Mutex<[UInt8]>([])
    var bytes: [UInt8] { written.withLock { $0 } }
    func write(_ bytes: ByteBuffer) async throws { written.withLock { $0 += Array(bytes.readableBytesView) } }
}

/// A body in pieces of 7 bytes at first and larger ones later.
final class Pieces: BodyReader {
    let contentLength: Int64?
    private let rest: Mutex<ArraySlice<UInt8>>
    private let pieceLength = Mutex(7)
    let trailers: [(name: String, value: String)]

    init(_ bytes: [UInt8], length: Int64?, trailers: [(name: String, value: String)]) {
        contentLength = length
        rest = Mutex(bytes[...])
        self.trailers = trailers
    }

    func next() async throws -> ByteBuffer? {
        let length = pieceLength.withLock { length in
            defer { length = min(length * 2, 100_000) }
            return length
        }
        let piece = rest.withLock { rest in
            let piece = rest.prefix(length)
            rest = rest.dropFirst(length)
            return Array(piece)
        }
        return piece.isEmpty ? nil : ByteBuffer(bytes: piece)
    }
}

/// Keeps what was sent and committed; refuses targets as it is told.
final class RecordingOutbox: DeliveryOutbox {
    private let sent = Mutex<[Delivery]>([])
    private let refusals = Mutex<[String: DeliveryRefusal]>([:])

    var deliveries: [Delivery] { sent.withLock { $0 } }
    func refuse(_ target: String, code: String) {
        refusals.withLock { $0[target] = .permanent(code: code, message: "") }
    }

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {
        transaction.afterCommit { [self] in sent.withLock { $0.append(delivery) } }
    }

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        if let refusal = refusals.withLock({ $0[target] }) { throw refusal }
    }
}
