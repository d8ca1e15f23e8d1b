import Testing
import Wire

@testable import IAM

@Suite struct PolicyDocumentTests {
    @Test func onlyJSONObjectsWithAStatementPass() throws {
        try PolicyDocument.check(#"{"Version":"2012-10-17","Statement":[]}"#)
        for text in ["", "x", "[]", #"{"Statement":[]"#] {
            #expect(throws: AWSError.self) { try PolicyDocument.check(text) }
        }
        #expect(throws: AWSError.self) { try PolicyDocument.check("{}") }
    }

    @Test func whiteSpaceDoesNotCount() { #expect(PolicyDocument.size("{ \"a\" :\n1 }") == 7) }

    @Test func answersArePercentEncoded() {
        #expect(PolicyDocument.encoded("{\"a\": [é]}") == "%7B%22a%22%3A%20%5B%C3%A9%5D%7D")
    }

    @Test func pagesCutAndGoOn() throws {
        let page = try Page(marker: nil, maxItems: 2)
        let (items, marker) = page.cut(["a", "b", "c"], key: \.self)
        #expect(items == ["a", "b"])
        let next = try Page(marker: marker, maxItems: 2)
        #expect(next.after == "b")
        #expect(next.cut(["c"], key: \.self).marker == nil)
        #expect(throws: AWSError.self) { try Page(marker: "***", maxItems: nil) }
    }
}
