import Policies
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

    @Test func theGrammarIsChecked() throws {
        func text(_ statement: String, kind: Policies.PolicyDocument.Kind = .identity) -> String? {
            do throws(AWSError) {
                try PolicyDocument.check(#"{"Version":"2012-10-17","Statement":\#(statement)}"#, kind: kind)
                return nil
            } catch {
                return error.message
            }
        }
        #expect(text(#"{"Effect":"Allow","Action":"a:b","Resource":"*"}"#) == nil)
        #expect(text(#"{"Effect":"Allow","Action":"a:b"}"#) == "Policy statement must contain resources.")
        #expect(text(#"{"Effect":"Allow","Resource":"*"}"#) == "Policy statement must contain actions.")
        #expect(
            text(#"{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*"}"#)
                == "Policy document should not specify a principal.")
        #expect(
            text(#"{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"Sort":{"a":"b"}}}"#)
                == "Syntax errors in policy.")
        #expect(text(#"{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"x"}}"#, kind: .trust) == nil)
        #expect(
            text(#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#, kind: .trust) == "Missing required field Principal")
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
