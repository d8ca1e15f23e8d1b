import Platform
import Testing

@Suite struct LineageTests {
    let one = "arn:aws:lambda:us-east-1:000000000000:function:one"
    let two = "arn:aws:lambda:us-east-1:000000000000:function:two"

    @Test func invocationsOfAChainAreCounted() {
        var header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        for expected in 1...20 {
            let first = TraceHeader.passing(one, header)
            #expect(first.invocation == expected)
            let second = TraceHeader.passing(two, first.header)
            #expect(second.invocation == expected)
            header = second.header
        }
        #expect(
            header.hasPrefix("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:"))
        #expect(TraceHeader.honoured(header, now: Instant(nanoseconds: 0)) == header)
    }

    @Test func theFirstCountsNought() {
        let (header, invocation) = TraceHeader.passing(one, "")
        #expect(invocation == 1)
        #expect(header.hasPrefix("Lineage=1:") && header.hasSuffix(":0"))
        #expect(header.utf8.count == "Lineage=1:".utf8.count + 10)
    }

    /// boto3 quotes the header that it sends on.
    @Test func percentEncodedBarsAreRead() {
        let header = TraceHeader.passing(two, TraceHeader.passing(one, "Root=x").header).header
        let quoted = header.split(separator: "|").joined(separator: "%7C")
        #expect(quoted != header)
        #expect(TraceHeader.passing(one, quoted).invocation == 2)
        #expect(TraceHeader.passing(two, quoted).invocation == 2)
    }

    @Test func formsOfOldAreRead() {
        let header = "Root=1-2-3;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2"
        #expect(
            TraceHeader.passing(one, header).header.hasPrefix("Root=1-2-3;Lineage=1:a87bd80c:1|68fd508a:5|c512fbe3:2|"))
    }

    @Test(arguments: [
        "Lineage=", "Lineage=|||", "Lineage=%", "Lineage=%7", "Lineage=1:2:3:4:5", "Lineage=a:-1", ";;;=",
        "Lineage=a:99999999999999999999", "Lineage=a:9223372036854775807",
    ])
    func nonsenseIsPassedOver(_ header: String) {
        #expect(TraceHeader.passing(one, header).invocation == 1)
    }

    @Test func theLineageIsBounded() {
        var header = "Root=1"
        for number in 0..<200 { header = TraceHeader.passing("function-\(number)", header).header }
        #expect(header.utf8.count < 512)
        // What runs in a circle is not pushed out by what came by once.
        for _ in 0..<3 { header = TraceHeader.passing(one, header).header }
        for number in 0..<100 { header = TraceHeader.passing("function-\(number)", header).header }
        #expect(TraceHeader.passing(one, header).invocation == 4)
    }
}
