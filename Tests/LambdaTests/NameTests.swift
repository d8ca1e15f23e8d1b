import Platform
import Testing
import Wire

@testable import Lambda

@Suite struct NameTests {
    let scope = AccountRegion(account: "000000000000", region: "us-east-1")

    @Test(
        arguments: [
            ("fn", nil, nil, "fn", nil), ("fn:1", nil, nil, "fn", "1"), ("fn:$LATEST", nil, nil, "fn", "$LATEST"),
            ("function:fn", nil, nil, "fn", nil), ("111122223333:function:fn", nil, "111122223333", "fn", nil),
            ("111122223333:fn:live", nil, "111122223333", "fn", "live"),
            ("arn:aws:lambda:eu-west-1:111122223333:function:fn", "eu-west-1", "111122223333", "fn", nil),
            (
                "arn:aws:lambda:us-gov-west-1:111122223333:function:fn:live", "us-gov-west-1", "111122223333", "fn",
                "live"
            ),
            ("eu-west-1:111122223333:function:fn:2", "eu-west-1", "111122223333", "fn", "2"),
        ] as [(String, String?, String?, String, String?)])
    func forms(text: String, region: String?, account: String?, name: String, qualifier: String?) throws {
        let parsed = try #require(FunctionName(text))
        #expect(parsed.region == region)
        #expect(parsed.account == account)
        #expect(parsed.name == name)
        #expect(parsed.qualifier == qualifier)
    }

    @Test(arguments: ["", "invalid:function:name", "arn:aws:s3:::bucket", "a:b:c", "fn:", ":1", "arn:aws:lambda:"])
    func refused(text: String) { #expect(FunctionName(text) == nil) }

    @Test func target() throws {
        let target = try FunctionTarget("fn", qualifier: "live", in: scope)
        #expect(target.arn == "arn:aws:lambda:us-east-1:000000000000:function:fn:live")
        #expect(try FunctionTarget("fn:live", qualifier: "live", in: scope).qualifier == "live")
        #expect(try FunctionTarget("fn", in: scope).qualifier == nil)
    }

    @Test func mismatches() {
        func error(_ text: String, _ qualifier: String?) -> AWSError? {
            do {
                _ = try FunctionTarget(text, qualifier: qualifier, in: scope)
                return nil
            } catch { return error }
        }
        #expect(
            error("fn:1", "2")?.message
                == "The derived qualifier from the function name does not match the specified qualifier.")
        let region = error("arn:aws:lambda:eu-west-1:000000000000:function:fn", nil)
        #expect(region?.code == "ResourceNotFoundException")
        #expect(region?.message == "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')")
        #expect(error("arn:aws:lambda:us-east-1:111122223333:function:fn", nil)?.status == 403)
    }

    @Test func qualifiers() {
        #expect(Qualifier(nil) == .latest)
        #expect(Qualifier("$LATEST") == .latest)
        #expect(Qualifier("12") == .version(12))
        #expect(Qualifier("99999999999999999999999") == .version(.max))
        #expect(Qualifier("live") == .alias("live"))
    }

    @Test func layers() {
        let name = LayerVersionName(arn: "arn:aws:lambda:us-east-1:000000000000:layer:deps:3")
        #expect(name?.version == 3)
        #expect(name?.layerARN == "arn:aws:lambda:us-east-1:000000000000:layer:deps")
        #expect(LayerVersionName(arn: "arn:aws:lambda:us-east-1:000000000000:layer:deps") == nil)
        #expect(LayerVersionName(arn: "arn:aws:lambda:us-east-1:000000000000:layer:deps:x") == nil)
    }
}
