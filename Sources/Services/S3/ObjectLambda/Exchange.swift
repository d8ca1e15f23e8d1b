import Contracts
import NIOCore
import Platform
import Synchronization
import Wire

/// A GET that waits for its function to answer.
final class Exchange: Sendable {
    /// Whose credentials may answer.
    let account: String
    private typealias Machine = ExchangeMachine<
        CheckedContinuation<TransformedHead, any Error>, CheckedContinuation<ByteBuffer?, any Error>,
        CheckedContinuation<Void, any Error>
    >
    private let state = Mutex(Machine())

    init(account: String) { self.account = account }

    /// Waits for the answer. Throws what ended the exchange before it came.
    func head() async throws -> TransformedHead {
        try await withCheckedThrowingContinuation { continuation in
            if let result = state.withLock({ $0.callerWaits(continuation) }) { continuation.resume(with: result) }
        }
    }

    /// The next piece of the body; nil at its end. One reader at a time.
    func read() async throws -> ByteBuffer? {
        try await withCheckedThrowingContinuation { continuation in
            switch state.withLock({ $0.read(continuation) }) {
            case .piece(let piece, let writer):
                continuation.resume(returning: piece)
                writer.resume()
            case .failure(let error): continuation.resume(throwing: error)
            case .wait: break
            }
        }
    }

    /// False when there is an answer already, or nobody waits for one any more.
    func answer(_ head: TransformedHead) -> Bool {
        let (accepted, caller) = state.withLock { $0.answer(head) }
        caller?.resume(returning: head)
        return accepted
    }

    /// Hands over a piece of the body, or its end; returns when it was taken.
    func write(_ piece: ByteBuffer?) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            switch state.withLock({ $0.offer(piece, continuation) }) {
            case .taken(let reader):
                reader.resume(returning: piece)
                continuation.resume()
            case .failure(let error): continuation.resume(throwing: error)
            case .wait: break
            }
        }
    }

    func end(_ error: any Error) {
        let ended = state.withLock { $0.end(error) }
        ended.caller?.resume(throwing: error)
        ended.reader?.resume(throwing: error)
        ended.writer?.resume(throwing: error)
    }
}

/// The exchanges that nobody has answered yet, by their tokens, which are good once.
final class Exchanges: Sendable {
    private let waiting = Mutex<[String: Exchange]>([:])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var count: Int { waiting.withLock { $0.count } }

    /// Nil when too many wait.
    func open(account: String) -> (token: String, exchange: Exchange)? {
        // 256 bits: it cannot be guessed.
        let token = Identifier.hex(64)
        let exchange = Exchange(account: account)
        let fits = waiting.withLock { waiting in
            guard waiting.count < limit else { return false }
            waiting[token] = exchange
            return true
        }
        return fits ? (token, exchange) : nil
    }

    /// The exchange of a token, for whoever is of its account; the token is used up.
    func take(_ token: String, account: String?) -> Exchange? {
        waiting.withLock { waiting in
            guard let exchange = waiting[token], exchange.account == account else { return nil }
            waiting[token] = nil
            return exchange
        }
    }

    func remove(_ token: String) { waiting.withLock { _ = $0.removeValue(forKey: token) } }
}
