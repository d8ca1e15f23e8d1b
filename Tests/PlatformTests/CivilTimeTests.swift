import Testing

@testable import Platform

@Suite struct CivilTimeTests {
    @Test func theEndsOfTheRangeCanBeShown() {
        for instant in [Instant(nanoseconds: .min), Instant(nanoseconds: .max), Instant(seconds: -9_223_372_037)] {
            #expect(instant.httpDate.hasSuffix("GMT"))
            #expect(instant.iso8601(fractionDigits: 9).hasSuffix("Z"))
            #expect(CivilTime(instant).nanosecond >= 0)
        }
    }

    @Test func knownTimes() {
        let instant = Instant(milliseconds: 1_795_413_600_123)
        #expect(instant.iso8601(fractionDigits: 3) == "2026-11-23T06:00:00.123Z")
        #expect(instant.httpDate == "Mon, 23 Nov 2026 06:00:00 GMT")
        #expect(Instant(milliseconds: -1).iso8601(fractionDigits: 3) == "1969-12-31T23:59:59.999Z")
        #expect(Instant(iso8601: "2026-11-23T07:00:00.123+01:00") == instant)
        #expect(Instant(httpDate: "Mon, 23 Nov 2026 06:00:00 GMT") == instant - .milliseconds(123))
        #expect(Instant(iso8601: "2026-02-30T00:00:00Z") == nil)
        #expect(Instant(iso8601: "20261123T060000Z") != nil)
    }

    @Test func daysComeBack() {
        for day in stride(from: Int64(-90_000), to: 90_000, by: 37) {
            let (year, month, dayOfMonth) = CivilTime.civil(fromDays: day)
            #expect(CivilTime.days(year: year, month: month, day: dayOfMonth) == day)
        }
    }
}
