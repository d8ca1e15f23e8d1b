import Contracts
import Crypto
import Glibc
import Logging
import NIOCore
import Platform
import Storage
import Synchronization
import Wire

/// Which blobs were found to have the bytes that their names say. A blob is believed for a day, as long as its file has not
/// changed since (its time of change is compared at every read, which any write moves).
final class Verifications: Sendable {
    fileprivate struct Entry {
        var changed: Int64
        var at: UInt64
    }

    /// Two generations: what was not asked for while one filled up is forgotten.
    fileprivate struct State {
        var young: [BlobID: Entry] = [:]
        var old: [BlobID: Entry] = [:]
        var underway: Set<BlobID> = []
        var damaged: [BlobID: Int64] = [:]
    }

    private let state = Mutex(State())

    enum Known: Sendable, Hashable {
        case good
        case damaged
        case unknown
    }

    /// `changed`: the file's time of change, nanoseconds; `now`: uptime, nanoseconds.
    func known(_ id: BlobID, changed: Int64, now: UInt64) -> Known {
        state.withLock { state in
            if state.damaged[id] == changed { return .damaged }
            guard let entry = state.young[id] ?? state.old[id], entry.changed == changed,
                now &- entry.at < UInt64(clamping: Limits.verificationLifetime.clampedNanoseconds)
            else { return .unknown }
            if state.young[id] == nil { state.keep(id, entry) }
            return .good
        }
    }

    func record(_ id: BlobID, isGood: Bool, changed: Int64, now: UInt64) {
        state.withLock { state in
            state.underway.remove(id)
            if isGood {
                state.damaged[id] = nil
                state.keep(id, Entry(changed: changed, at: now))
            } else {
                state.young[id] = nil
                state.old[id] = nil
                if state.damaged.count < Limits.rememberedVerifications { state.damaged[id] = changed }
            }
        }
    }

    /// True for the one who is to compare; false when somebody is at it, or too many are.
    func begin(_ id: BlobID) -> Bool {
        state.withLock { state in
            guard state.underway.count < Limits.copiesAtOnce else { return false }
            return state.underway.insert(id).inserted
        }
    }

    func abandon(_ id: BlobID) { state.withLock { _ = $0.underway.remove(id) } }
}

extension Verifications.State {
    fileprivate mutating func keep(_ id: BlobID, _ entry: Verifications.Entry) {
        if young.count >= Limits.rememberedVerifications / 2 {
            old = young
            young = [:]
        }
        young[id] = entry
    }
}

/// No wrong bytes: what a read sends was compared with the blob's name (its SHA-256) in this process, within a day.
///
/// The balance: a comparison costs about 0.5 ms for each MiB. Small blobs are compared before the first byte is sent. A
/// larger one that is read whole, and all that are read whole of a large object's parts, are hashed while they are
/// sent, through memory, each with its end held back: a damaged one breaks the connection and never ends well. A range
/// of a larger one starts the comparison in the background, and waits for it up to 64 MiB. Everything read again goes
/// straight from file to socket.
extension S3Service {
    func verified(_ opened: OpenObject, _ selection: Selection) async throws -> ResponsePayload {
        let plain = ResponsePayload.files(opened.files, release: opened.release)
        do {
            var streamed: [BlobID: Int64] = [:]
            let slices = opened.object.slices(first: selection.first, end: selection.end)
            for part in slices {
                guard let blob = part.blob, let changed = S3Service.timeOfChange(blobs, blob) else { continue }
                switch verifications.known(blob, changed: changed, now: time.uptimeNanoseconds()) {
                case .good: continue
                case .damaged: throw S3Service.damaged(opened.object)
                case .unknown: break
                }
                if part.isWholeBlob, selection.end - selection.first > Limits.verifiedAheadBytes {
                    streamed[blob] = changed
                } else if part.blobSize <= Limits.verifiedForRangeBytes {
                    try await verify(blob, changed: changed, of: opened.object)
                } else {
                    verifyInBackground(blob, changed: changed, of: opened.object)
                }
            }
            return streamed.isEmpty ? plain : stream(opened, slices, unverified: streamed)
        } catch {
            opened.release()
            throw error
        }
    }

    /// Compares the blobs of pieces with their names before the pieces become something else: a copy of damage would
    /// have a right name and right sums. The caller holds the blobs. Throws `Failure(.corrupt)`.
    func verify(_ slices: [StoredPart], of object: StoredObject) async throws {
        for slice in slices {
            guard let blob = slice.blob, let changed = S3Service.timeOfChange(blobs, blob) else { continue }
            switch verifications.known(blob, changed: changed, now: time.uptimeNanoseconds()) {
            case .good: continue
            case .damaged: throw S3Service.damaged(object)
            case .unknown: try await verify(blob, changed: changed, of: object)
            }
        }
    }

    private static func damaged(_ object: StoredObject) -> Failure {
        Failure(
            .corrupt,
            "the stored bytes of object \(object.key.text) are damaged; restore them from a backup, or put it anew")
    }

    private static func timeOfChange(_ blobs: Blobs, _ id: BlobID) -> Int64? {
        // The caller holds the blob; this only asks for its path.
        let hold = blobs.hold(id)
        defer { hold.release() }
        var status = stat()
        guard stat(hold.path, &status) == 0 else { return nil }
        return Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
    }

    private func verify(_ blob: BlobID, changed: Int64, of object: StoredObject) async throws {
        do {
            try await blobs.verify(blob)
            verifications.record(blob, isGood: true, changed: changed, now: time.uptimeNanoseconds())
        } catch let failure as Failure where failure.code == .corrupt {
            verifications.record(blob, isGood: false, changed: changed, now: time.uptimeNanoseconds())
            throw failure
        }
    }

    private func verifyInBackground(_ blob: BlobID, changed: Int64, of object: StoredObject) {
        guard verifications.begin(blob) else { return }
        let hold = blobs.hold(blob)
        Task {
            defer { hold.release() }
            do {
                try await verify(blob, changed: changed, of: object)
            } catch {
                verifications.abandon(blob)
                logger.error(
                    "a range of a damaged object may have been sent: \(error)",
                    metadata: ["key": "\(object.key.text)"])
            }
        }
    }

    /// Sends pieces of blobs one after the other. A whole blob of `unverified` is hashed meanwhile.
    private func stream(_ opened: OpenObject, _ slices: [StoredPart], unverified: [BlobID: Int64]) -> ResponsePayload {
        let release = ReleaseOnce(opened.release)
        let length = slices.reduce(Int64(0)) { $0 + $1.length }
        return .stream(length: length) { [self] writer in
            defer { release.run() }
            for slice in slices {
                guard let blob = slice.blob else { continue }
                let changed = slice.isWholeBlob ? unverified[blob] : nil
                guard try await send(slice, blob, changed: changed, to: writer) else {
                    let failure = S3Service.damaged(opened.object)
                    logger.error("\(failure)")
                    throw failure
                }
            }
        }
    }

    /// Sends one piece; with `changed`, a whole blob, whose last bytes are sent only when its hash is right. False when
    /// it is damaged.
    private func send(
        _ slice: StoredPart, _ blob: BlobID, changed: Int64?, to writer: any BodyWriter
    ) async throws -> Bool {
        var hash = SHA256()
        var done: Int64 = 0
        while done < slice.length {
            let wanted = Int(min(slice.length - done, Int64(Limits.verifiedPieceBytes)))
            let bytes = try await blobs.read(blob, offset: slice.offset + done, length: wanted)
            guard bytes.count == wanted else { return false }
            done += Int64(wanted)
            if let changed {
                hash.update(data: bytes)
                if done == slice.length {
                    let isGood = hexEncoded(hash.finalize()) == blob.hex
                    verifications.record(blob, isGood: isGood, changed: changed, now: time.uptimeNanoseconds())
                    guard isGood else { return false }
                }
            }
            try await writer.write(ByteBuffer(bytes: bytes))
        }
        return true
    }
}

/// Runs something once: when it is done, or when nobody will do it.
private final class ReleaseOnce: Sendable {
    private let body: Mutex<(@Sendable () -> Void)?>
    init(_ body: @escaping @Sendable () -> Void) { self.body = Mutex(body) }
    func run() {
        let body = body.withLock { $0.take() }
        body?()
    }
    deinit { run() }
}
