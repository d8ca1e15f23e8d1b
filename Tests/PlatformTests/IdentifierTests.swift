import Testing

@testable import Platform

@Suite struct IdentifierTests {
    @Test func uuidsHaveTheirFormAndDiffer() {
        let all = (0..<2_000).map { _ in Identifier.uuid() }
        #expect(Set(all).count == all.count)
        for text in all.prefix(50) {
            let parts = text.split(separator: "-")
            #expect(parts.map(\.count) == [8, 4, 4, 4, 12])
            #expect(parts[2].first == "4")
            #expect("89ab".contains(parts[3].first ?? "x"))
        }
    }

    @Test func textsUseTheirWholeAlphabet() {
        #expect(Set(Identifier.hex(4_000)).count == 16)
        #expect(Set(Identifier.base32(4_000)).count == 32)
        #expect(Identifier.hex(33).count == 33)
        #expect(Identifier.base32(0).isEmpty)
    }
}
