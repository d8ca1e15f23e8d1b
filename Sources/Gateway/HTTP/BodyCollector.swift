import NIOCore
import Synchronization

/// Bytes of buffered bodies in the whole server.
final class BodyBudget: Sendable {
    private let used = Atomic<Int>(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    private func take(_ bytes: Int) -> Bool {
        let (_, now) = used.add(bytes, ordering: .relaxed)
        if now <= limit { return true }
        used.subtract(bytes, ordering: .relaxed)
        return false
    }

    private func give(_ bytes: Int) { used.subtract(bytes, ordering: .relaxed) }

    /// What one body has taken; given back when it is dropped.
    final class Charge {
        private let budget: BodyBudget
        private var bytes = 0

        init(_ budget: BodyBudget) { self.budget = budget }
        deinit { budget.give(bytes) }

        func take(_ more: Int) -> Bool {
            guard budget.take(more) else { return false }
            bytes += more
            return true
        }
    }
}

/// Puts the pieces of a buffered body together. Belongs to its connection's loop.
final class BodyCollector {
    private let limit: Int
    private let announced: Int64?
    private let charge: BodyBudget.Charge
    private var completion: (@Sendable (Result<ByteBuffer, BodyFailure>) -> Void)?
    private var bytes = ByteBuffer()

    init(
        limit: Int, announced: Int64?, charge: BodyBudget.Charge,
        completion: @escaping @Sendable (Result<ByteBuffer, BodyFailure>) -> Void
    ) {
        self.limit = limit
        self.announced = announced
        self.charge = charge
        self.completion = completion
    }

    /// Answers why the body is refused, or nil.
    func append(_ piece: ByteBuffer) -> BodyFailure? {
        guard bytes.readableBytes + piece.readableBytes <= limit else { return .tooLarge }
        guard charge.take(piece.readableBytes) else { return .overBudget }
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
