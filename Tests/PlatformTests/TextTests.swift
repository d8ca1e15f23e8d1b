import Platform
import Testing

@Suite struct TextTests {
    @Test func percentEncoding() {
        func lenient(_ text: String, plus: Bool = false) -> String {
            String(decoding: PercentEncoding.decode(text.utf8, plus: plus), as: UTF8.self)
        }
        #expect(lenient("a%20b%2Fc%c3%bc+") == "a b/cü+")
        #expect(lenient("a+b%2B", plus: true) == "a b+")
        for stray in ["%", "%2", "%zz", "%%", "a%", "%2%"] { #expect(lenient(stray) == stray) }
        #expect(lenient("%%41") == "%A")
        #expect(PercentEncoding.decodeStrictly("a%41".utf8) == Array("aA".utf8))
        for bad in ["%", "%4", "%zz", "%%41"] { #expect(PercentEncoding.decodeStrictly(bad.utf8) == nil) }
    }

    @Test func regions() {
        for name in ["us-east-1", "us-gov-west-1", "ap-southeast-12", "eusc-de-east-1", "local", "eu"] {
            #expect(Region.isWellFormed(name))
        }
        for bad in ["", "US-EAST-1", "us east", "us:east", "us\0", "eu/west", "1-a", "-a", "ü-west-1"]
            + [String(repeating: "a", count: 33)]
        {
            #expect(!Region.isWellFormed(bad), "\(bad)")
            #expect(!Region.isAWSName(bad), "\(bad)")
        }
        for name in ["local", "my-bucket-1", "east-1", "us-east-", "us--east-1", "us-east-123", "us-east-1a"] {
            #expect(!Region.isAWSName(name), "\(name)")
        }
    }

    @Test func pageTokens() {
        #expect(PageToken.decodeText(PageToken.encode("a/ü")) == "a/ü")
        #expect(PageToken.decode("!") == nil)
        #expect(PageToken.decodeText(PageToken.encode([0xFF])) == nil)
        let isTooLong = PageToken.decode(PageToken.encode([UInt8](repeating: 0, count: 4200))) == nil
        #expect(isTooLong)
    }
}
