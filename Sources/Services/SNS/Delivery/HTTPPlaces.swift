/// Who may make requests at the same time: bounded for each subscription, for each host, for hosts that do not answer, and
/// altogether. Pure.
///
/// A host that swallows requests holds each for its whole timeout. So a host that did not answer the last time, or never has,
/// gets few places, and all such hosts together no more than a part of them: those that answer keep the rest.
struct HTTPPlaces {
    private struct Host {
        var running = 0
        /// Whether it answered when it was last asked; nil: never asked.
        var answers: Bool?
        /// Subscriptions that wait for a place, oldest first.
        var waiting: [String] = []
        /// It is in one of the lines.
        var isInLine = false

        var isProven: Bool { answers == true }
    }

    private var hosts: [String: Host] = [:]
    /// Requests under way and places that are spoken for; of these, those at hosts that are not proven.
    private(set) var taken = 0
    private(set) var unproven = 0
    /// Hosts with subscriptions that wait, in turn.
    private var provenLine: [String] = []
    private var unprovenLine: [String] = []
    private var isProvenNext = true

    /// Hosts that are remembered.
    var count: Int { hosts.count }

    enum Answer: Equatable {
        /// So many places.
        case granted(Int)
        /// It is in line: `next` answers it when it is its turn.
        case waits
        /// It has all that it may have: to ask again when one of its requests ends.
        case full
    }

    /// Takes as many places as a subscription may have beside the `running` that it has.
    mutating func take(for subscription: String, at name: String, running: Int) -> Answer {
        var host = hosts[name] ?? Host()
        let most =
            host.isProven ? Limits.httpConcurrencyPerSubscription : Limits.httpUnprovenPerSubscription
        guard running < most else { return .full }
        let room = room(for: host)
        guard room > 0 else {
            host.waiting.append(subscription)
            if !host.isInLine {
                host.isInLine = true
                if host.isProven { provenLine.append(name) } else { unprovenLine.append(name) }
            }
            hosts[name] = host
            return .waits
        }
        let count = min(most - running, room)
        host.running += count
        taken += count
        if !host.isProven { unproven += count }
        hosts[name] = host
        return .granted(count)
    }

    private func room(for host: Host) -> Int {
        let free = Limits.httpConcurrency - taken
        if host.isProven { return min(free, Limits.httpConcurrencyPerHost - host.running) }
        return min(free, Limits.httpUnprovenPerHost - host.running, Limits.httpUnproven - unproven)
    }

    mutating func giveBack(_ count: Int, at name: String) {
        guard count > 0, var host = hosts[name] else { return }
        host.running -= count
        taken -= count
        if !host.isProven { unproven -= count }
        hosts[name] = host
        if host.running == 0, host.answers == nil, !host.isInLine { hosts[name] = nil }
        if hosts.count > Limits.httpHosts { hosts = hosts.filter { $0.value.running > 0 || $0.value.isInLine } }
    }

    /// A request to a host came to its end.
    mutating func learn(_ name: String, answers: Bool) {
        guard var host = hosts[name] else { return }
        let wasProven = host.isProven
        host.answers = answers
        hosts[name] = host
        guard wasProven != host.isProven else { return }
        unproven += host.isProven ? -host.running : host.running
        guard host.isInLine else { return }
        // Who waits for a host that has just answered does not wait behind those that do not.
        if host.isProven {
            unprovenLine.removeAll { $0 == name }
            provenLine.append(name)
        } else {
            provenLine.removeAll { $0 == name }
            unprovenLine.append(name)
        }
    }

    /// The subscription whose turn it is, if there is room for it; it waits no more. The two kinds of hosts take turns, and the
    /// hosts of each kind.
    mutating func next() -> String? {
        for _ in 0..<2 {
            let isProven = isProvenNext
            isProvenNext.toggle()
            if let next = isProven ? next(in: \.provenLine, true) : next(in: \.unprovenLine, false) { return next }
        }
        return nil
    }

    private mutating func next(in line: WritableKeyPath<HTTPPlaces, [String]>, _ isProven: Bool) -> String? {
        guard taken < Limits.httpConcurrency, isProven || unproven < Limits.httpUnproven else { return nil }
        var index = 0
        // Few hosts can have all their places taken at once, so this ends soon.
        while index < self[keyPath: line].count {
            let name = self[keyPath: line][index]
            guard var host = hosts[name], !host.waiting.isEmpty else {
                self[keyPath: line].remove(at: index)
                hosts[name]?.isInLine = false
                continue
            }
            guard room(for: host) > 0 else {
                index += 1
                continue
            }
            self[keyPath: line].remove(at: index)
            let subscription = host.waiting.removeFirst()
            host.isInLine = !host.waiting.isEmpty
            if host.isInLine { self[keyPath: line].append(name) }
            hosts[name] = host
            return subscription
        }
        return nil
    }
}
