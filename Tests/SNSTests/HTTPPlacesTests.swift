import Platform
import Testing

@testable import SNS

@Suite struct HTTPPlacesTests {
    /// A host that has answered.
    private func prove(_ host: String, _ places: inout HTTPPlaces) {
        let answer = places.take(for: host, at: host, running: 0)
        places.learn(host, answers: true)
        if case .granted(let count) = answer { places.giveBack(count, at: host) }
    }

    @Test func aSubscriptionGetsMoreWhenItsHostHasAnswered() {
        var places = HTTPPlaces()
        func take(_ running: Int) -> HTTPPlaces.Answer { places.take(for: "s", at: "h", running: running) }
        let first = [take(0), take(1)]
        #expect(first == [.granted(1), .full])
        places.learn("h", answers: true)
        #expect(places.unproven == 0 && places.taken == 1)
        let then = [take(1), take(4)]
        #expect(then == [.granted(3), .full])
        places.learn("h", answers: false)
        places.giveBack(3, at: "h")
        let last = take(1)
        #expect(last == .full && places.unproven == 1)
    }

    @Test func hostsThatDoNotAnswerLeavePlacesToOthers() {
        var places = HTTPPlaces()
        prove("living", &places)
        var granted = 0
        for number in 0..<1_000 {
            if case .granted(let count) = places.take(for: "s\(number)", at: "dead\(number)", running: 0) {
                granted += count
            }
        }
        #expect(granted == Limits.httpUnproven)
        for number in 0..<(Limits.httpConcurrencyPerHost / Limits.httpConcurrencyPerSubscription) {
            let answer = places.take(for: "l\(number)", at: "living", running: 0)
            #expect(answer == .granted(Limits.httpConcurrencyPerSubscription))
        }
        // A host's own bound.
        let more = places.take(for: "more", at: "living", running: 0)
        #expect(more == .waits)
        #expect(places.taken == Limits.httpUnproven + Limits.httpConcurrencyPerHost)
    }

    @Test func whoWaitsForAHostThatAnswersDoesNotWaitBehindOthers() {
        var places = HTTPPlaces()
        for number in 0..<Limits.httpUnprovenPerHost { _ = places.take(for: "l\(number)", at: "living", running: 0) }
        let waits = places.take(for: "next", at: "living", running: 0)
        for number in 0..<100 { _ = places.take(for: "d\(number)", at: "dead\(number)", running: 0) }
        #expect(waits == .waits && places.unproven == Limits.httpUnproven)
        let none = places.next()
        places.learn("living", answers: true)
        // The dead ones fill what it has left behind, and it goes on all the same.
        let turns = (0..<6).map { _ -> String? in
            guard let next = places.next() else { return nil }
            _ = places.take(for: next, at: next.hasPrefix("d") ? "dead" + next.dropFirst() : "living", running: 0)
            return next
        }
        #expect(none == nil && turns.contains("next"))
        #expect(turns.compactMap { $0 }.count == 1 + Limits.httpUnprovenPerHost)
        #expect(places.unproven == Limits.httpUnproven)
    }

    /// Seeded: whatever comes and ends in whatever order, the bounds hold, nobody waits while there is room, and at the end
    /// everybody who asked was served.
    @Test(arguments: 0..<6) func boundsHoldAndNobodyIsForgotten(_ seed: UInt64) {
        var random = Xorshift(seed)
        var places = HTTPPlaces()
        var running: [String: Int] = [:]
        var waiting: Set<String> = []
        let hosts = (0..<60).map { "h\($0)" }
        let subscriptions = hosts.flatMap { host in (0..<12).map { "\(host)/\($0)" } }
        func host(_ subscription: String) -> String { String(subscription.prefix { $0 != "/" }) }
        func ask(_ subscription: String) {
            guard !waiting.contains(subscription) else { return }
            switch places.take(for: subscription, at: host(subscription), running: running[subscription] ?? 0) {
            case .granted(let count): running[subscription, default: 0] += count
            case .waits: waiting.insert(subscription)
            case .full: #expect(running[subscription] ?? 0 > 0)
            }
        }
        func settle() {
            while let next = places.next() {
                #expect(waiting.remove(next) != nil)
                ask(next)
            }
        }
        func end(_ subscription: String) {
            // A third of the hosts never answer.
            places.learn(host(subscription), answers: host(subscription).utf8.last.map { $0 % 3 != 0 } ?? true)
            places.giveBack(1, at: host(subscription))
            running[subscription] = (running[subscription] ?? 0) > 1 ? (running[subscription] ?? 0) - 1 : nil
            settle()
        }
        for _ in 0..<3_000 {
            if random.next(3) == 0, let one = running.keys.sorted().dropFirst(random.next(max(running.count, 1))).first
            {
                end(one)
            } else {
                ask(subscriptions[random.next(subscriptions.count)])
            }
            #expect(places.taken == running.values.reduce(0, +) && places.taken <= Limits.httpConcurrency)
        }
        #expect(!waiting.isEmpty)
        while let one = running.keys.sorted().first { end(one) }
        #expect(waiting.isEmpty && places.taken == 0 && places.unproven == 0)
    }

    @Test func hostsThatAreRememberedAreBounded() {
        var places = HTTPPlaces()
        for number in 0..<(3 * Limits.httpHosts) { prove("h\(number)", &places) }
        #expect(places.count <= Limits.httpHosts + 1)
    }
}
