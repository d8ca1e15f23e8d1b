import Foundation
import Platform
import Synchronization
import Testing

@testable import Schedules

enum Zones {
    struct Missing: Error {}

    static func read(_ name: String) throws -> TimeZoneRules {
        guard let data = FileManager.default.contents(atPath: "/usr/share/zoneinfo/\(name)"),
            let zone = TimeZoneRules(tzif: Array(data))
        else { throw Missing() }
        return zone
    }
}

@Suite struct ZoneTests {
    /// Against Foundation's zones, which are another implementation.
    @Test(arguments: [
        "America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Sydney", "America/Sao_Paulo",
        "Africa/Casablanca",
        "Pacific/Apia", "Asia/Tehran", "Antarctica/Troll", "Europe/Dublin", "Etc/GMT+5",
    ]) func offsetsAreThoseOfFoundation(name: String) throws {
        let zone = try Zones.read(name)
        let other = try #require(TimeZone(identifier: name))
        var random = SeededRandom(name.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
        for _ in 0..<2_000 {
            // 1975 to 2036: both know the same history.
            let time = Int64.random(in: 157_766_400...2_082_758_400, using: &random)
            let expected = other.secondsFromGMT(for: Date(timeIntervalSince1970: Double(time)))
            #expect(zone.offset(at: time) == Int64(expected), "\(name) at \(time)")
        }
    }

    @Test func localTimes() throws {
        let zone = try Zones.read("America/New_York")
        func local(_ text: String) -> Int64 { Instant(iso8601: text)?.seconds ?? 0 }
        // The clocks go from 02:00 to 03:00 on 14 March 2027, and back on 7 November.
        #expect(zone.existingInstant(local: local("2027-03-14T02:30:00")) == nil)
        #expect(zone.instant(local: local("2027-03-14T02:30:00")) == local("2027-03-14T07:30:00"))
        #expect(zone.existingInstant(local: local("2027-11-07T01:30:00")) == local("2027-11-07T05:30:00"))
        // Far behind the file's last change.
        #expect(zone.existingInstant(local: local("2150-07-01T12:00:00")) == local("2150-07-01T16:00:00"))
        // A day of a rate is 24 hours on the clock.
        let start = Instant(milliseconds: local("2027-03-13T17:00:00") * 1_000)
        let next = ScheduleExpression.rate(seconds: 86_400).next(after: start, anchor: start, zone: zone)
        #expect(next?.seconds == start.seconds + 86_400)
    }

    @Test func brokenFilesAreRefused() throws {
        let file = Array(try #require(FileManager.default.contents(atPath: "/usr/share/zoneinfo/Europe/Berlin")))
        var random = SeededRandom(3)
        for length in stride(from: 0, to: file.count, by: 37) { _ = TimeZoneRules(tzif: Array(file.prefix(length))) }
        for _ in 0..<3_000 {
            var changed = file
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if let zone = TimeZoneRules(tzif: changed) {
                let time = Int64.random(in: -9_000_000_000...9_000_000_000, using: &random)
                _ = zone.existingInstant(local: time)
            }
        }
        #expect(TimeZoneRules(tzif: []) == nil)
    }
}

@Suite struct AlarmTests {
    /// Whoever is rung then plans anew: else it would wait until the clock has caught up.
    @Test func aClockThatIsSetBackRings() {
        let start = Instant(milliseconds: 1_795_413_600_000)
        var machine = AlarmMachine()
        let wait = machine.set(at: start + .seconds(90), now: start)
        #expect(wait == .wait(until: start + .seconds(60), number: 1))
        #expect(machine.woke(now: start + .seconds(60)) == .wait(until: start + .seconds(90), number: 2))
        #expect(machine.woke(now: start - .seconds(3_540)) == .ring)
        let planned = machine.finished(next: start - .seconds(3_500), now: start - .seconds(3_540))
        #expect(planned == .wait(until: start - .seconds(3_500), number: 3))
    }

    @Test func upkeepRestsBetweenItsTurns() async throws {
        let time = ManualTime()
        let turns = Counter()
        let upkeep = Upkeep(time: time, every: .seconds(10)) { turns.add() }
        upkeep.start(after: .seconds(3))
        time.advance(by: .seconds(2))
        #expect(turns.count == 0)
        for turn in 1...3 {
            let end = ContinuousClock.now + .seconds(10)
            while turns.count < turn, ContinuousClock.now < end {
                time.advance(by: .seconds(1))
                await Task.yield()
            }
            #expect(turns.count == turn)
        }
        upkeep.stop()
        #expect(upkeep.isStopped)
        time.advance(by: .seconds(60))
        #expect(turns.count == 3)
    }

    @Test func theEarliestCounts() {
        let time = ManualTime()
        let rings = Counter()
        let alarm = Alarm(time: time) { rings.add() }
        alarm.set(at: time.now() + .seconds(30))
        alarm.set(at: time.now() + .seconds(10))
        alarm.set(at: time.now() + .seconds(20))
        time.advance(by: .seconds(9))
        #expect(rings.count == 0)
        time.advance(by: .seconds(1))
        #expect(rings.count == 1)
        // Nothing rings while the work is under way; what was told meanwhile counts.
        alarm.set(at: time.now() + .seconds(1))
        time.advance(by: .seconds(5))
        #expect(rings.count == 1)
        alarm.finished(next: time.now() + .seconds(100))
        #expect(rings.count == 2)
        alarm.finished(next: nil)
        time.advance(by: .seconds(1_000))
        #expect(rings.count == 2)
        alarm.set(at: time.now() + .seconds(300))
        time.advance(by: .seconds(299))
        #expect(rings.count == 2)
        time.advance(by: .seconds(1))
        #expect(rings.count == 3)
        alarm.stop()
        alarm.finished(next: time.now())
        #expect(rings.count == 3)
    }
}

final class Counter: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func add() { value.withLock { $0 += 1 } }
}
