import Platform
import Testing

@testable import Wire

/// Times that clients may send in headers and queries: none may end the server.
@Suite struct HostileTimestampTests {
    @Test(arguments: [
        "Mon, 23 Nov 2026 06:00:00.5e300 GMT", "Mon, 23 Nov 2026 06:00:00. GMT", "Mon, 23 Nov 2026 06:00:00.-1 GMT",
        "Mon, 23 Nov 2026 06:00:00.1234567890 GMT", "Mon, 23 Nov 2026 06:00:00.é GMT",
    ])
    func fractionsThatAreNone(text: String) { #expect(Scalars.timestamp(text, .rfc822) == nil) }

    @Test(arguments: ["-9223372037", "9e300", "-1e18", "1e19", "NaN", "Infinity"])
    func numbersOutOfRange(text: String) {
        for format in [TimestampFormat.rfc822, .iso8601, .unixTimestamp] {
            if let instant = Scalars.timestamp(text, format) {
                #expect(!Scalars.text(instant, .rfc822).isEmpty)
                #expect(!Scalars.text(instant, .iso8601).isEmpty)
                #expect(!Scalars.text(instant, .unixTimestamp).isEmpty)
            }
        }
    }

    @Test func aFractionCounts() {
        let whole = Instant(httpDate: "Mon, 23 Nov 2026 06:00:00 GMT")
        #expect(Scalars.timestamp("Mon, 23 Nov 2026 06:00:00.25 GMT", .rfc822) == whole.map { $0 + .milliseconds(250) })
    }
}
