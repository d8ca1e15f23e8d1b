import Platform

/// The receives that wait for messages (long polls): which are to be tried again, and which have waited long enough. Pure;
/// `WaitingReceives` is its shell.
struct WaitingMachine {
    typealias Number = UInt64

    private struct Waiter {
        var queue: String
        var deadline: Instant
    }

    private struct Line {
        /// In the order in which they came: the longest waiting one is tried first.
        var waiters: [Number] = []
        /// When something may be receivable next, as far as is known.
        var next: Instant?
        /// Nobody is tried before.
        var pause: Instant?
    }

    private var waiters: [Number: Waiter] = [:]
    private var lines: [String: Line] = [:]
    private var last: Number = 0
    /// Not later than the next tick that is needed; exact after a tick. Looking at all waiters for each would not do.
    private(set) var nextTick: Instant?

    var count: Int { waiters.count }
    var isFull: Bool { waiters.count >= Limits.waitingReceives }
    func isAwaited(_ queue: String) -> Bool { lines[queue] != nil }

    /// A receive found nothing and waits. `next` is what it learned: when there may be something; `pause`: until when there
    /// is nothing for anybody, whatever arrives. Nil when too many wait.
    mutating func add(queue: String, deadline: Instant, next: Instant?, pause: Instant? = nil) -> Number? {
        guard !isFull else { return nil }
        last += 1
        waiters[last] = Waiter(queue: queue, deadline: deadline)
        var line = lines[queue] ?? Line()
        line.waiters.append(last)
        if let pause {
            line.pause = pause
            line.next = line.next.map { max($0, pause) }
        }
        lines[queue] = line
        noteTick(deadline)
        if let next { note(queue, next) }
        return last
    }

    /// The client went away, or the receive is being tried again.
    mutating func remove(_ number: Number) -> Bool {
        guard let waiter = waiters.removeValue(forKey: number) else { return false }
        lines[waiter.queue]?.waiters.removeAll { $0 == number }
        if lines[waiter.queue]?.waiters.isEmpty == true { lines[waiter.queue] = nil }
        return true
    }

    /// The queue is gone.
    mutating func removeAll(queue: String) -> [Number] {
        let numbers = lines[queue]?.waiters ?? []
        for number in numbers { _ = remove(number) }
        return numbers
    }

    /// A message is receivable at `at`: the first waiter is tried when that is now. It goes out of line; if it finds
    /// nothing, it comes again.
    mutating func arrived(queue: String, at: Instant, now: Instant) -> Number? {
        guard let line = lines[queue], let first = line.waiters.first else { return nil }
        let at = line.pause.map { max($0, at) } ?? at
        guard at <= now else {
            note(queue, at)
            return nil
        }
        _ = remove(first)
        return first
    }

    struct Due: Equatable {
        /// Waited long enough: answered empty.
        var expired: [Number] = []
        /// Something may be receivable for them now: one of each queue. It tells the next if it leaves something
        /// (`arrived`), because with all of them each time that passes would cost as many attempts as there are waiters.
        var tried: [Number] = []
    }

    mutating func tick(now: Instant) -> Due {
        var due = Due()
        for (number, waiter) in waiters where waiter.deadline <= now { due.expired.append(number) }
        due.expired.sort()
        for number in due.expired { _ = remove(number) }
        for (queue, line) in lines {
            guard let next = line.next, next <= now, let first = line.waiters.first else { continue }
            due.tried.append(first)
            lines[queue]?.next = nil
        }
        due.tried.sort()
        for number in due.tried { _ = remove(number) }
        settleTick()
        return due
    }

    private mutating func note(_ queue: String, _ at: Instant) {
        guard let line = lines[queue] else { return }
        lines[queue]?.next = line.next.map { min($0, at) } ?? at
        noteTick(at)
    }

    private mutating func noteTick(_ at: Instant) { nextTick = nextTick.map { min($0, at) } ?? at }

    private mutating func settleTick() {
        let deadline = waiters.values.map(\.deadline).min()
        let next = lines.values.compactMap(\.next).min()
        nextTick = [deadline, next].compactMap { $0 }.min()
    }
}
