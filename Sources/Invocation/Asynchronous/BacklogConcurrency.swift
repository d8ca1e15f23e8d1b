import Platform

/// How many asynchronous events of one function run at the same time. A value.
///
/// AWS grows to the account's limit within seconds. One machine would start as many cold environments at once and make
/// each of them slow, so the number begins small and grows while there is a backlog: with every round of completions when
/// events are quick (the environments that exist then do the work), once a second when they are slow (they wait for
/// something, and more of them cost little).
struct BacklogConcurrency: Equatable {
    private(set) var limit: Int
    private var completions = 0
    private var grownAt: Instant?
    private let longest: Int

    init(start: Int, longest: Int) {
        limit = max(min(start, longest), 1)
        self.longest = longest
    }

    /// An attempt ended while others may be waiting.
    mutating func completed() { completions += 1 }

    /// As many events were waiting as could be taken: grows when it is time. Answers when to ask again, if more would help.
    mutating func backlog(now: Instant) -> Instant? {
        guard limit < longest else { return nil }
        guard let last = grownAt else {
            grownAt = now
            return now + Limits.backlogGrowthInterval
        }
        if completions >= limit || now >= last + Limits.backlogGrowthInterval {
            limit += 1
            completions = 0
            grownAt = now
            return now + Limits.backlogGrowthInterval
        }
        return last + Limits.backlogGrowthInterval
    }
}
