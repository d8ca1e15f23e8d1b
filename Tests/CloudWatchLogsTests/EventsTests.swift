import Contracts
import Platform
import Testing
import Wire

@testable import CloudWatchLogs

@Suite struct EventsTests {
    typealias Sorting = EventOperations.Sorting
    let now: Int64 = 1_795_413_600_000
    let day: Int64 = 86_400_000

    @Test func onlyEventsInTheWindowAreTaken() {
        let sorting = Sorting(
            timestamps: [now - 15 * day, now - 8 * day, now, now + 3 * 3_600_000], now: now, retentionDays: 7)
        #expect(sorting.accepted == 2..<3)
        #expect(sorting.rejected?.tooOldLogEventEndIndex == 1)
        #expect(sorting.rejected?.expiredLogEventEndIndex == 2)
        #expect(sorting.rejected?.tooNewLogEventStartIndex == 3)
        #expect(Sorting(timestamps: [now], now: now, retentionDays: nil).rejected == nil)
        #expect(Sorting(timestamps: [now - 20 * day], now: now, retentionDays: nil).accepted.isEmpty)
        #expect(Sorting(timestamps: [now + day], now: now, retentionDays: nil).accepted.isEmpty)
    }

    @Test func cursorsGoOnWhereTheyStopped() throws {
        let place = Position(timestamp: now, id: 7)
        let cursor = try EventOperations.Cursor(token: "f/" + place.digits, startFromHead: false)
        #expect(cursor.isForward && cursor.place == place)
        #expect(cursor.tokens(first: nil, last: nil) == ("f/" + place.digits, "b/" + place.digits))
        let end = try EventOperations.Cursor(token: nil, startFromHead: false)
        #expect(!end.isForward)
        #expect(end.tokens(first: nil, last: nil).forward == "f/" + Position.start.digits)
        for token in [
            "", "f/", "x/" + place.digits, "f/" + String(repeating: "9", count: 56),
            "f/" + String(repeating: "é", count: 28),
        ] {
            #expect(throws: AWSError.self) { try EventOperations.Cursor(token: token, startFromHead: true) }
        }
    }

    @Test func eventIdsSortAsPlacesDo() {
        let places = [Position(timestamp: 9, id: 900), Position(timestamp: 10, id: 2), Position(timestamp: 10, id: 11)]
        #expect(places.map(\.digits) == places.map(\.digits).sorted())
        #expect(Set(places.map { $0.digits.count }) == [56])
    }

    @Test func theBufferIsBoundedAndCountsWhatItDrops() {
        var buffer = LogBuffer()
        let key = LogBuffer.Key(scope: .init(account: "0", region: "r"), group: "g", stream: "s")
        let line = LogEvent(timestamp: Instant(milliseconds: 0), message: String(repeating: "x", count: 1 << 20))
        let now = Instant(milliseconds: 1_000)
        #expect(buffer.append([line], to: key, now: now) == .schedule(at: now + .milliseconds(20)))
        #expect(buffer.append([line], to: key, now: now) == .none)
        for _ in 0..<20 { _ = buffer.append([line], to: key, now: now) }
        #expect(buffer.bytes <= Limits.bufferedBytes)
        #expect(buffer.dropped == 14)
        #expect(buffer.take(now: now).count == 1)
        #expect(buffer.take(now: now).isEmpty)
        #expect(buffer.append([line], to: key, now: now) == .none)
        #expect(buffer.written(now: now) != nil)
        #expect(!buffer.isQuiet)
        _ = buffer.take(now: now)
        #expect(buffer.written(now: now) == nil)
        #expect(buffer.isQuiet)
    }

    @Test func aSteadyStreamIsWrittenInLargerBatches() {
        var buffer = LogBuffer()
        let key = LogBuffer.Key(scope: .init(account: "0", region: "r"), group: "g", stream: "s")
        let line = LogEvent(timestamp: Instant(milliseconds: 0), message: "x")
        let start = Instant(milliseconds: 1_000)
        #expect(buffer.append([line], to: key, now: start) == .schedule(at: start + .milliseconds(20)))
        _ = buffer.take(now: start + .milliseconds(20))
        #expect(buffer.append([line], to: key, now: start + .milliseconds(21)) == .none, "it is being written")
        #expect(buffer.written(now: start + .milliseconds(22)) == start + .milliseconds(120))
        _ = buffer.take(now: start + .milliseconds(120))
        #expect(buffer.written(now: start + .milliseconds(121)) == nil)
        // After a pause a line is on its way soon again.
        let later = start + .seconds(2)
        #expect(buffer.append([line], to: key, now: later) == .schedule(at: later + .milliseconds(20)))
        _ = buffer.take(now: later)
        _ = buffer.written(now: later)
        // A clock that was put back must not hold lines for long.
        #expect(buffer.append([line], to: key, now: start) == .schedule(at: start + .milliseconds(100)))
    }
}
