import Testing

@testable import Platform

@Suite struct Base64Tests {
    @Test func everyLengthComesBack() {
        for length in 0...70 {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ length) }
            let text = Base64.encode(bytes)
            #expect(Base64.decode(text) == bytes)
            let bare = String(text.prefix { $0 != "=" })
            #expect(Base64.decode(bare) == bytes)
            #expect(Base64.decode(Array("xx\(text)".utf8)[2...]) == bytes)
        }
    }

    @Test(arguments: ["A", "AAAAA", "AA=", "A===", "====", "AA=A", "AA A", "AA\n=", "AAA-", "é"])
    func malformedTextsAreRefused(text: String) { #expect(Base64.decode(text) == nil) }
}
