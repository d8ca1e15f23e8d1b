/// Who may do what in a repository at a time, as a value. Many may change it at once (git and the store settle that among
/// them), but repair and deletion happen alone; repair is due when somebody ended without cleaning up behind itself.
struct RepositoryTurns: Sendable {
    typealias Ticket = UInt64

    enum State: Sendable, Equatable {
        /// Can go to `alone`.
        case shared(users: Int)
        /// Can go to `shared`, `alone`.
        case alone
    }

    enum Wish: Sendable, Equatable { case share, alone }

    /// What somebody who waited may do now.
    enum Grant: Sendable, Equatable {
        case share
        /// Alone. With `repair`, the repository must be repaired before anything else.
        case alone(repair: Bool)
        /// The repository is being deleted, or too many wait.
        case refused
    }

    private(set) var state = State.shared(users: 0)
    private(set) var needsRepair = false
    private(set) var isDoomed = false
    private var waiting: [(ticket: Ticket, wish: Wish)] = []
    private var next: Ticket = 0

    static let mostWaiting = 256

    var isIdle: Bool { state == .shared(users: 0) && waiting.isEmpty && !needsRepair && !isDoomed }

    /// Somebody asks; answers at once or gives a ticket.
    mutating func enter(_ wish: Wish) -> (ticket: Ticket, grant: Grant?) {
        next &+= 1
        if isDoomed || waiting.count >= RepositoryTurns.mostWaiting { return (next, .refused) }
        if waiting.isEmpty, let grant = grant(wish) { return (next, grant) }
        waiting.append((next, wish))
        return (next, nil)
    }

    /// Somebody who shared is done; not `clean` when it was killed and may have left something behind. Answers who goes on.
    mutating func leave(clean: Bool) -> [(ticket: Ticket, grant: Grant)] {
        if !clean { needsRepair = true }
        if case .shared(let users) = state { state = .shared(users: max(users - 1, 0)) }
        return admit()
    }

    /// Who was alone is done. Answers who goes on.
    mutating func leaveAlone(repaired: Bool) -> [(ticket: Ticket, grant: Grant)] {
        if repaired { needsRepair = false }
        state = .shared(users: 0)
        return admit()
    }

    /// Repair is due before the next change.
    mutating func damage() { needsRepair = true }

    /// Nobody comes in any more but one who is alone. Answers who is turned away.
    mutating func doom() -> [(ticket: Ticket, grant: Grant)] {
        isDoomed = true
        defer { waiting = [] }
        return waiting.map { ($0.ticket, .refused) }
    }

    /// For the one who has doomed it: waits like the others, ahead of nobody.
    mutating func enterDoomed() -> (ticket: Ticket, grant: Grant?) {
        next &+= 1
        if let grant = grant(.alone) { return (next, grant) }
        waiting.append((next, .alone))
        return (next, nil)
    }

    private mutating func admit() -> [(ticket: Ticket, grant: Grant)] {
        var admitted: [(ticket: Ticket, grant: Grant)] = []
        while let first = waiting.first, let grant = grant(first.wish) {
            waiting.removeFirst()
            admitted.append((first.ticket, grant))
        }
        return admitted
    }

    private mutating func grant(_ wish: Wish) -> Grant? {
        guard case .shared(let users) = state else { return nil }
        // The first who comes to a damaged repository repairs it, and then asks again.
        if wish == .alone || (needsRepair && !isDoomed) {
            guard users == 0 else { return nil }
            state = .alone
            return .alone(repair: needsRepair && !isDoomed)
        }
        state = .shared(users: users + 1)
        return .share
    }
}
