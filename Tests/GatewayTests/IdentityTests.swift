import Contracts
import Platform
import Testing
import Wire

@testable import Gateway

/// Who a request is from, by its credentials and by the listener it came through.
@Suite struct IdentityTests {
    private struct NoCredentials: CredentialIssuer {
        func issue(
            roleARN: String, sessionName: String, account: String, tags: [SessionTag], lifetime: Duration, now: Instant
        ) -> SessionCredentials {
            SessionCredentials(
                accessKeyID: "", secretAccessKey: Secret(""), sessionToken: Secret(""), expiration: now)
        }
        func lookup(accessKeyID: String, sessionToken: String?, now: Instant) -> KnownCredentials? { nil }
    }

    private let authenticator = Authenticator(mode: .none, credentials: NoCredentials())
    private let cell = ConnectionInfo.Origin.cell(
        CellIdentity(
            scope: AccountRegion(account: "123456789012", region: "eu-west-1"),
            principal: .roleSession(
                roleARN: "arn:aws:iam::123456789012:role/r", sessionName: "f", account: "123456789012")))

    private func identify(
        _ key: String?, _ origin: ConnectionInfo.Origin, region: String = "us-east-1"
    ) throws -> Identity {
        var signed: SignedRequest?
        if let key {
            signed = try SigV4.parse(
                RequestHead(
                    method: "GET", path: "/", query: "",
                    headers: [
                        (
                            "authorization",
                            "AWS4-HMAC-SHA256 Credential=\(key)/20261123/\(region)/s3/aws4_request, "
                                + "SignedHeaders=host, Signature=\(String(repeating: "0", count: 64))"
                        ), ("x-amz-date", "20261123T060000Z"), ("host", "localhost"),
                    ]))
        }
        return try authenticator.identify(
            signed, origin: origin, region: nil, style: .s3, now: Instant(milliseconds: 1_795_413_600_000))
    }

    @Test func outsideAnAccessKeyOfTwelveDigitsIsTheAccount() throws {
        #expect(try identify("222222222222", .outside).principal == .account("222222222222"))
        #expect(try identify(nil, .outside).scope.account == AccountRegion.defaultAccount)
    }

    /// The Region that a request signs becomes part of keys, ARNs and environment variables.
    @Test(arguments: ["us east", "a:b", "US-EAST-1", "é", "a\u{0}b", String(repeating: "a", count: 33)])
    func whatCanBeNoRegionIsRefused(region: String) throws {
        #expect(throws: AWSError.self) { try identify("222222222222", .outside, region: region) }
        #expect(throws: AWSError.self) { try identify("222222222222", cell, region: region) }
        #expect(try identify("222222222222", .outside, region: "local").scope.region == "local")
    }

    @Test(arguments: [nil, "222222222222", "AKIAIOSFODNN7EXAMPLE"])
    func outOfACellItIsTheFunctionWhateverItClaims(key: String?) throws {
        let identity = try identify(key, cell)
        #expect(identity.scope.account == "123456789012")
        #expect(identity.principal.arn == "arn:aws:sts::123456789012:assumed-role/r/f")
    }
}
