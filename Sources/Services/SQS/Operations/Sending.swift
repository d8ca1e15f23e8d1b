import Contracts
import Platform
import Wire

/// SendMessage and SendMessageBatch.
struct Sending: Sendable {
    let desk: Desk

    func send(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.SendMessageRequest(request.input)
        let draft: MessageDraft
        do throws(AWSError) {
            draft = try MessageDraft(input, sender: request.context.sender).tracing(request.context)
        } catch {
            return completion(.failure(error))
        }
        desk.write(request, queue: input.queueUrl, action: "SendMessage", completion) { queue, now, transaction in
            try desk.mailbox.send(draft, to: queue, now: now, in: transaction)
        } answer: { sent in
            var output = Model.SendMessageResult()
            output.md5OfMessageBody = draft.envelope.md5OfBody
            output.md5OfMessageAttributes = draft.md5OfAttributes
            output.md5OfMessageSystemAttributes = draft.md5OfSystemAttributes
            output.messageId = sent.messageID
            output.sequenceNumber = sent.sequenceNumber
            return output.value
        }
    }

    func sendBatch(_ request: OperationRequest, _ completion: @escaping OperationCompletion) {
        let input = Model.SendMessageBatchRequest(request.input)
        let drafts: [(id: String, draft: Result<MessageDraft, AWSError>)]
        do throws(AWSError) {
            drafts = try self.drafts(input.entries ?? [], request.context)
        } catch {
            return completion(.failure(error))
        }
        desk.write(request, queue: input.queueUrl, action: "SendMessage", completion) { queue, now, transaction in
            try drafts.map { (id, draft) -> Result<(MessageDraft, Mailbox.Sent), AWSError> in
                do {
                    let draft = try draft.get()
                    return .success((draft, try desk.mailbox.send(draft, to: queue, now: now, in: transaction)))
                } catch let error as AWSError {
                    // Refused before it changed anything: the others are sent all the same.
                    return .failure(error)
                }
            }
        } answer: { results in
            var output = Model.SendMessageBatchResult()
            var successful: [Model.SendMessageBatchResultEntry] = []
            var failed: [Model.BatchResultErrorEntry] = []
            for (entry, result) in zip(drafts, results) {
                switch result {
                case .failure(let error): failed.append(Batch.failure(entry.id, error))
                case .success(let (draft, sent)):
                    var one = Model.SendMessageBatchResultEntry()
                    one.id = entry.id
                    one.messageId = sent.messageID
                    one.md5OfMessageBody = draft.envelope.md5OfBody
                    one.md5OfMessageAttributes = draft.md5OfAttributes
                    one.md5OfMessageSystemAttributes = draft.md5OfSystemAttributes
                    one.sequenceNumber = sent.sequenceNumber
                    successful.append(one)
                }
            }
            output.successful = successful
            if !failed.isEmpty { output.failed = failed }
            return output.value
        }
    }

    private func drafts(
        _ entries: [Model.SendMessageBatchRequestEntry], _ context: OperationContext
    ) throws(AWSError) -> [(id: String, draft: Result<MessageDraft, AWSError>)] {
        try Batch.check(ids: entries.map(\.id), "SendMessageBatchRequestEntry")
        var drafts: [(id: String, draft: Result<MessageDraft, AWSError>)] = []
        var bytes = 0
        for entry in entries {
            let draft: Result<MessageDraft, AWSError>
            do throws(AWSError) {
                let made = try MessageDraft(entry, sender: context.sender).tracing(context)
                bytes += made.size
                draft = .success(made)
            } catch {
                bytes += entry.messageBody?.utf8.count ?? 0
                draft = .failure(error)
            }
            drafts.append((entry.id ?? "", draft))
        }
        guard bytes <= Limits.messageBytes else { throw .batchTooLong(bytes) }
        return drafts
    }
}

extension MessageDraft {
    /// With the trace that the request is part of, unless the message names one: the header counts as `AWSTraceHeader` [D].
    /// Loops of functions and queues are found by it.
    func tracing(_ context: OperationContext) -> MessageDraft {
        guard envelope.traceHeader == nil, let header = context.header("x-amzn-trace-id"),
            header.utf8.count <= Limits.traceHeaderBytes, !header.isEmpty, MessageText.isValid(header)
        else { return self }
        var draft = self
        draft.envelope.traceHeader = header
        return draft
    }
}

/// What all batches have in common.
enum Batch {
    /// Throws for an empty or too long batch, and for ids that are malformed or repeated.
    static func check(ids: [String?], _ parameter: String) throws(AWSError) {
        if ids.isEmpty { throw .emptyBatch }
        guard ids.count <= Limits.batchEntries else { throw .tooManyEntries(ids.count) }
        var seen = Set<String>()
        for (index, id) in ids.enumerated() {
            guard let id else { throw .missing("\(parameter).\(index + 1).Id") }
            guard (1...Limits.entryIDCharacters).contains(id.utf8.count), id.utf8.allSatisfy(isPlain) else {
                throw .invalidEntryID
            }
            guard seen.insert(id).inserted else { throw .repeatedEntryID(id) }
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
            || byte == 0x5F
    }

    static func failure(_ id: String, _ error: AWSError) -> Model.BatchResultErrorEntry {
        var entry = Model.BatchResultErrorEntry()
        entry.id = id
        entry.senderFault = error.isSenderFault
        entry.code = error.code
        entry.message = error.message
        return entry
    }
}
