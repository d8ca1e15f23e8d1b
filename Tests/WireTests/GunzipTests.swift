import Platform
import Testing

@testable import Wire

@Suite struct GunzipTests {
    static func inflate(_ bytes: [UInt8], limit: Int = 1 << 20) throws -> [UInt8] {
        try Gunzip.inflate(bytes, limit: limit)
    }

    static let text = (0..<120).map { "line \($0 * $0) of a text with \"quotes\", " }.joined()

    /// Made by another implementation (zlib), at several levels: with a fixed code, stored, with codes of its own, empty.
    static let samples: [(gzip: String, text: String)] = [
        (
            "H4sIAAAAAAACA8tIzcnJV8hAJwHjUT2NFwAAAA==",
            "hello hello hello hello"
        ),
        (
            "H4sIAAAAAAAEAwEPAPD/c3RvcmVkIGFzIGl0IGlzZXjRWg8AAAA=",
            "stored as it is"
        ),
        (
            "H4sIAAAAAAAAA42XS07DYAyErxJ1zcKv34/jsGhFpYoKEQTHJ1yAL+s/suzxzHjyuL9fN9met+11268/+/Z939+2y8fXc79+Xl62"
                + "x9+7wnvA+1D9hA9swQdOFYJ6SBqiCQUVxNGwRlAbmojmIJyIpy2s0dSHG83iicxCTCOwRlMfy2iWVYRHIqaJNQr7KJylEY9BTAf3"
                + "ooLLVUGGqCLNlLmqhoRXZ9UES2+xfpNNINlJCt1IGx1NB13RhJ1A2Z1NqBdzoYkshHCxhehacpXiXponGsTFGV1X3NFho+i0jnzx"
                + "QNY5c9cLFeCNOvJBNYagpoOdIRz9JQJdKhK9LoovGdvuEvTupXzMnK9Z4ClafM9WcZXBXlJwogN/wiU5KOTCHWXhprORLyXIumLu"
                + "lqMCaqGOqlCNNajp5mjbhv7SwRk70eu60TGHffeYGasE3oBJvCTTeI8OcDk0iJ2oE9iOSuJUR3BDcFQZY1XDVekRuzglJschbU5V"
                + "duYPzTnj2eKoaMWJ0+ZEcD2Rfz04RntyGvfhUB/6n4v+Alvcut5OEAAA",
            text
        ),
        (
            "H4sIAAAAAAACAwMAAAAAAAAAAAA=",
            ""
        ),
    ]

    @Test(arguments: samples.indices) func readsWhatOthersWrite(_ index: Int) throws {
        let sample = Self.samples[index]
        let bytes = try #require(Base64.decode(sample.gzip))
        #expect(try Self.inflate(bytes) == Array(sample.text.utf8))
        #expect(try Self.inflate(bytes + bytes) == Array((sample.text + sample.text).utf8))
    }

    @Test func aBombIsStopped() throws {
        let bytes = try #require(Base64.decode(Self.bomb))
        #expect(throws: Gunzip.Failure.tooLarge) { try Self.inflate(bytes, limit: 100_000) }
    }

    @Test func changedBytesAreRefused() throws {
        var state: UInt64 = 42
        func random(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % below
        }
        for sample in Self.samples {
            let good = try #require(Base64.decode(sample.gzip))
            for _ in 0..<3_000 {
                var bytes = good
                for _ in 0...random(3) { bytes[random(bytes.count)] = UInt8(random(256)) }
                if random(3) == 0 { bytes.removeLast(random(bytes.count)) }
                guard bytes != good, let read = try? Self.inflate(bytes) else { continue }
                // Only what does not change the text (the time, the name) may be changed.
                #expect(read == Array(sample.text.utf8))
            }
        }
    }

    /// A megabyte of zeros.
    static let bomb =
        "H4sIAAAAAAACA+3BgQAAAADDIKX50x3kVQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        + "AAAAAAAAAAAAAAAAAAAAAAAAAK8GU2oxSkBCDwA="
}
