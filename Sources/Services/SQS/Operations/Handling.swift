import Contracts
import Platform
import Storage
import Wire

/// What is done to received messages: DeleteMessage, ChangeMessageVisibility and their batches.
struct Handling: Sendable {
    let desk: Desk

    func delete(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.DeleteMessageRequest(request.input)
        let handle = input.receiptHandle
        desk.write(request, queue: input.queueUrl, action: "DeleteMessage", completion) { queue, now, transaction in
            try delete(handle, of: queue, now: now, in: transaction)
        } answer: { _ in
            [:]
        }
    }

    func changeVisibility(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.ChangeMessageVisibilityRequest(request.input)
        let (handle, timeout) = (input.receiptHandle, input.visibilityTimeout)
        desk.write(request, queue: input.queueUrl, action: "ChangeMessageVisibility", completion) {
            queue, now, transaction in
            try change(handle, timeout, of: queue, now: now, in: transaction)
        } answer: { _ in
            [:]
        }
    }

    func deleteBatch(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.DeleteMessageBatchRequest(request.input)
        let entries = (input.entries ?? []).map { (id: $0.id, handle: $0.receiptHandle) }
        do throws(AWSError) {
            try Batch.check(ids: entries.map(\.id), "DeleteMessageBatchRequestEntry")
        } catch {
            return completion(.failure(error))
        }
        desk.write(request, queue: input.queueUrl, action: "DeleteMessage", completion) { queue, now, transaction in
            try Self.each(entries.map { $0.id ?? "" }) { index in
                try delete(entries[index].handle, of: queue, now: now, in: transaction)
            }
        } answer: { results in
            var output = Model.DeleteMessageBatchResult()
            output.successful = results.filter { $0.error == nil }.map { result in
                var entry = Model.DeleteMessageBatchResultEntry()
                entry.id = result.id
                return entry
            }
            let failed = results.compactMap { result in result.error.map { Batch.failure(result.id, $0) } }
            if !failed.isEmpty { output.failed = failed }
            return output.value
        }
    }

    func changeVisibilityBatch(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.ChangeMessageVisibilityBatchRequest(request.input)
        let entries = (input.entries ?? []).map {
            (id: $0.id, handle: $0.receiptHandle, timeout: $0.visibilityTimeout)
        }
        do throws(AWSError) {
            try Batch.check(ids: entries.map(\.id), "ChangeMessageVisibilityBatchRequestEntry")
        } catch {
            return completion(.failure(error))
        }
        desk.write(request, queue: input.queueUrl, action: "ChangeMessageVisibility", completion) {
            queue, now, transaction in
            try Self.each(entries.map { $0.id ?? "" }) { index in
                let entry = entries[index]
                try change(entry.handle, entry.timeout, of: queue, now: now, in: transaction)
            }
        } answer: { results in
            var output = Model.ChangeMessageVisibilityBatchResult()
            output.successful = results.filter { $0.error == nil }.map { result in
                var entry = Model.ChangeMessageVisibilityBatchResultEntry()
                entry.id = result.id
                return entry
            }
            let failed = results.compactMap { result in result.error.map { Batch.failure(result.id, $0) } }
            if !failed.isEmpty { output.failed = failed }
            return output.value
        }
    }

    private struct EntryResult: Sendable {
        var id: String
        var error: AWSError?
    }

    /// Does each entry; AWS's errors fail that entry alone (they come before it changes anything).
    private static func each(_ ids: [String], _ body: (Int) throws -> Void) throws -> [EntryResult] {
        try ids.enumerated().map { index, id in
            do {
                try body(index)
                return EntryResult(id: id, error: nil)
            } catch let error as AWSError {
                return EntryResult(id: id, error: error)
            }
        }
    }

    private func delete(
        _ text: String?, of queue: Queue, now: Instant, in transaction: any WriteTransaction
    ) throws {
        let handle = try desk.handle(text, of: queue)
        if case .expired = try desk.mailbox.delete(handle, of: queue, now: now, in: transaction) {
            throw AWSError.expiredHandle(text ?? "")
        }
    }

    private func change(
        _ text: String?, _ timeout: Int?, of queue: Queue, now: Instant, in transaction: any WriteTransaction
    ) throws {
        guard let timeout else { throw AWSError.missing("VisibilityTimeout") }
        guard Limits.visibilitySeconds.contains(timeout) else {
            throw AWSError.invalid(
                String(timeout), for: "VisibilityTimeout", "VisibilityTimeout must be an integer between 0 and 43200")
        }
        let handle = try desk.handle(text, of: queue)
        switch try desk.mailbox.changeVisibility(
            handle, of: queue, timeout: .seconds(timeout), now: now, in: transaction)
        {
        case .change: break
        case .notInFlight: throw AWSError.notInFlight(text ?? "")
        case .beyondLimit:
            throw AWSError.invalid(
                String(timeout), for: "VisibilityTimeout",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
        }
    }
}
