import Platform
import Synchronization

/// What one shard took and gave in the current second; a value that is told the time.
struct Meter: Sendable {
    private var second: Int64 = .min
    private var writtenBytes = 0
    private var writtenRecords = 0
    private var reads = 0
    /// Reads are refused until here: one read may take the bytes of several seconds, which are then paid for.
    private var readableAgain = Instant(nanoseconds: .min)

    init() {}

    /// Whether a record may be written; counts it if so.
    mutating func write(_ bytes: Int, now: Instant) -> Bool {
        enter(now)
        guard writtenRecords < Limits.writtenRecordsPerSecond,
            writtenBytes + bytes <= Limits.writtenBytesPerSecond
                // A record that is larger than a second's bytes is written when nothing else was.
                || writtenBytes == 0
        else { return false }
        writtenRecords += 1
        writtenBytes += bytes
        return true
    }

    /// Whether a read may begin; counts it if so.
    mutating func read(now: Instant) -> Bool {
        enter(now)
        guard now >= readableAgain, reads < Limits.readsPerSecond else { return false }
        reads += 1
        return true
    }

    /// What a read gave.
    mutating func gave(_ bytes: Int, now: Instant) {
        let cost = Duration.seconds(1) * bytes / Limits.readBytesPerSecond
        guard bytes > Limits.readBytesPerSecond / Limits.readsPerSecond else { return }
        readableAgain = max(readableAgain, now) + cost
    }

    private mutating func enter(_ now: Instant) {
        guard now.seconds != second else { return }
        second = now.seconds
        (writtenBytes, writtenRecords, reads) = (0, 0, 0)
    }
}

/// The throughput limits of all shards, in memory: a restart begins a new second.
final class Throughput: Sendable {
    private let meters = Mutex<[Int64: Meter]>([:])

    func write(_ bytes: Int, shard: Int64, now: Instant) -> Bool { with(shard) { $0.write(bytes, now: now) } }
    func read(shard: Int64, now: Instant) -> Bool { with(shard) { $0.read(now: now) } }
    func gave(_ bytes: Int, shard: Int64, now: Instant) { with(shard) { $0.gave(bytes, now: now) } }

    private func with<T: Sendable>(_ shard: Int64, _ body: (inout Meter) -> T) -> T {
        meters.withLock { meters in
            if meters.count >= Limits.meters { meters = [:] }
            return body(&meters[shard, default: Meter()])
        }
    }
}
