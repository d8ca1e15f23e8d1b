import Platform

/// What a function's answer says of the records of its batch, where the mapping has ReportBatchItemFailures (reference 5.2,
/// recorded on AWS). For queues and streams alike.
enum BatchAnswer: Equatable {
    case allSucceeded
    case allFailed
    /// The identifiers that failed.
    case failed(Set<String>)

    /// `isKnown` says whether an identifier is one of the batch.
    init(_ payload: some Collection<UInt8>, isKnown: (String) -> Bool) {
        if payload.isEmpty {
            self = .allSucceeded
            return
        }
        guard let answer = try? JSON.parse(payload) else {
            self = .allFailed
            return
        }
        self.init(answer, isKnown: isKnown)
    }

    private init(_ answer: Value, isKnown: (String) -> Bool) {
        switch answer {
        case .null: self = .allSucceeded
        case .string(let text) where text.isEmpty: self = .allSucceeded
        case .map(let fields):
            guard let member = fields["batchItemFailures"], !member.isNull else {
                self = .allSucceeded
                return
            }
            guard let items = member.list else {
                self = member.string == "" ? .allSucceeded : .allFailed
                return
            }
            var failed: Set<String> = []
            for item in items {
                guard let id = item["itemIdentifier"]?.string, !id.isEmpty, isKnown(id) else {
                    self = .allFailed
                    return
                }
                failed.insert(id)
            }
            self = failed.isEmpty ? .allSucceeded : .failed(failed)
        default: self = .allFailed
        }
    }
}
