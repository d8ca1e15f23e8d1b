import Contracts
import NIOCore
import Platform

/// What a function's answer to a batch of a stream means (reference 5.3).
struct StreamAnswer: Equatable {
    var outcome: ShardPoller.Outcome
    /// For the record of a batch that is given up; nil when the function did not run.
    var response: ShardPoller.Response?
    /// The window's new state.
    var state: [UInt8]?

    init(
        _ result: Result<InvocationResult, any Error>, to batch: ShardPoller.Batch, requestID: String,
        reportsBatchItemFailures: Bool
    ) {
        guard case .success(let result) = result else {
            outcome = .notRun
            return
        }
        response = ShardPoller.Response(
            requestID: requestID, executedVersion: result.executedVersion, functionError: result.functionError)
        guard result.functionError == nil else {
            outcome = .functionError
            return
        }
        outcome = .success()
        if batch.window != nil {
            // A window's function must return the state, or it has failed.
            guard let state = Self.state(result.payload) else {
                outcome = .functionError
                return
            }
            self.state = state
        }
        guard reportsBatchItemFailures, !batch.records.isEmpty else { return }
        var indexes: [String: Int] = [:]
        for (index, record) in batch.records.enumerated() { indexes[record.sequence] = index }
        switch BatchAnswer(result.payload.readableBytesView, isKnown: { indexes[$0] != nil }) {
        case .allSucceeded: break
        case .allFailed: outcome = .success(failedFrom: 0)
        case .failed(let failed): outcome = .success(failedFrom: failed.compactMap { indexes[$0] }.min())
        }
    }

    /// The member `state` as the function wrote it: read and written again, its numbers could lose digits.
    private static func state(_ payload: ByteBuffer) -> [UInt8]? {
        let view = payload.readableBytesView
        guard (try? JSON.validate(view)) != nil else { return nil }
        let place = try? JSON.withReader(view) { (reader) throws(JSONError) -> Range<Int>? in
            guard try reader.peek() == .object else { return nil }
            try reader.enterObject()
            var first = true
            var place: Range<Int>?
            while let name = try reader.nextName(first: &first) {
                let isState = reader.string(name) == "state"
                let kind = try reader.peek()
                let start = reader.position
                try reader.skipValue()
                // Of several members of a name the last one counts.
                if isState { place = kind == .null ? nil : start..<reader.position }
            }
            return place
        }
        guard let place = place ?? nil, place.count <= Limits.largestWindowStateBytes else { return nil }
        return Array(view.dropFirst(place.lowerBound).prefix(place.count))
    }
}
