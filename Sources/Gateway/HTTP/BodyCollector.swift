import NIOCore
import Synchronization

/// Memory that request bodies may take: of the whole server, of all cells, or of one.
final class BodyBudget: Sendable {
    private let used = Atomic<Int>(0)
    private let limit: Int
    private let parent: BodyBudget?
    /// Several take from this one, and none of them may take more than it leaves for the others.
    private let isShared: Bool

    init(limit: Int, isShared: Bool = false, within parent: BodyBudget? = nil) {
        self.limit = limit
        self.parent = parent
        self.isShared = isShared
    }

    /// False, and nothing is taken, when there is not as much here or above.
    func take(_ bytes: Int) -> Bool { take(bytes, holding: bytes) }

    private func take(_ bytes: Int, holding: Int) -> Bool {
        let (_, now) = used.add(bytes, ordering: .relaxed)
        if now <= limit, !isShared || holding <= limit - now, parent?.take(bytes, holding: now) ?? true { return true }
        used.subtract(bytes, ordering: .relaxed)
        return false
    }

    func give(_ bytes: Int) {
        used.subtract(bytes, ordering: .relaxed)
        parent?.give(bytes)
    }

    /// For tests and metrics.
    var bytes: Int { used.load(ordering: .relaxed) }
}

/// Puts the pieces of a buffered body together. Belongs to its connection's loop.
final class BodyCollector {
    private let limit: Int
    private let announced: Int64?
    private let exchange: HTTPExchange
    private var completion: (@Sendable (Result<ByteBuffer, BodyFailure>) -> Void)?
    private var bytes = ByteBuffer()

    init(
        limit: Int, announced: Int64?, exchange: HTTPExchange,
        completion: @escaping @Sendable (Result<ByteBuffer, BodyFailure>) -> Void
    ) {
        self.limit = limit
        self.announced = announced
        self.exchange = exchange
        self.completion = completion
    }

    /// Answers why the body is refused, or nil.
    func append(_ piece: ByteBuffer) -> BodyFailure? {
        guard bytes.readableBytes + piece.readableBytes <= limit else { return .tooLarge }
        guard exchange.charge(piece.readableBytes) else { return .overBudget }
        if bytes.readableBytes == 0 {
            bytes = piece
        } else {
            // Only as much as has arrived is reserved, doubling: a client's claim costs nothing.
            let wanted = bytes.readableBytes + piece.readableBytes
            if let announced, Int64(wanted) * 2 >= announced, announced <= Int64(limit) {
                bytes.reserveCapacity(Int(announced))
            }
            var piece = piece
            bytes.writeBuffer(&piece)
        }
        return nil
    }

    func finish() { complete(.success(bytes)) }
    func fail(_ failure: BodyFailure) { complete(.failure(failure)) }

    private func complete(_ result: Result<ByteBuffer, BodyFailure>) {
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}
