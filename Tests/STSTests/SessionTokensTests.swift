import Contracts
import Platform
import Testing

@testable import STS

@Suite struct SessionTokensTests {
    let tokens = SessionTokens(serverKey: Array(repeating: 7, count: 32))
    let now = Instant(milliseconds: 1_795_413_600_000)
    let role = "arn:aws:iam::123456789012:role/worker"

    func issue() -> SessionCredentials {
        tokens.issue(roleARN: role, sessionName: "fn", account: "123456789012", expiration: now + .seconds(900))
    }

    @Test func aTokenOpensToItsSession() throws {
        let credentials = issue()
        let session = try #require(
            tokens.open(credentials.sessionToken.reveal(), accessKeyID: credentials.accessKeyID, now: now))
        #expect(session.principal == .roleSession(roleARN: role, sessionName: "fn", account: "123456789012"))
        #expect(tokens.secret(of: credentials.accessKeyID) == credentials.secretAccessKey.reveal())
        #expect(credentials.secretAccessKey.reveal().count == 40)
    }

    @Test func tagsAreInTheToken() throws {
        let tags = [
            SessionTag(key: "Team", value: "a \"b\"", isTransitive: true),
            SessionTag(key: "x", value: "", isTransitive: false),
        ]
        let credentials = tokens.issue(
            roleARN: role, sessionName: "fn", account: "123456789012", tags: tags, expiration: now + .seconds(900))
        let token = credentials.sessionToken.reveal()
        let session = try #require(tokens.open(token, accessKeyID: credentials.accessKeyID, now: now))
        #expect(session.tags == tags)
    }

    @Test func theMostTagsFitInAToken() {
        let value = String(repeating: "v", count: Limits.tagBytes / Limits.tags)
        let tags = (0..<Limits.tags).map { _ in SessionTag(key: "", value: value, isTransitive: true) }
        let role = "arn:aws:iam::123456789012:role/" + String(repeating: "r", count: 600)
        let credentials = tokens.issue(
            roleARN: role, sessionName: String(repeating: "s", count: 64), account: "123456789012", tags: tags,
            expiration: now + .seconds(900))
        let token = credentials.sessionToken.reveal()
        #expect(tokens.open(token, accessKeyID: credentials.accessKeyID, now: now)?.tags.count == tags.count)
    }

    @Test func expiredForeignAndForgedTokensDoNotOpen() {
        let credentials = issue()
        let token = credentials.sessionToken.reveal()
        #expect(tokens.open(token, accessKeyID: credentials.accessKeyID, now: now + .seconds(900)) == nil)
        #expect(tokens.open(token, accessKeyID: "ASIAOTHERKEYOTHERKEY", now: now) == nil)
        #expect(
            SessionTokens(serverKey: Array(repeating: 8, count: 32)).open(
                token, accessKeyID: credentials.accessKeyID, now: now) == nil)
        #expect(tokens.open("", accessKeyID: credentials.accessKeyID, now: now) == nil)
        #expect(
            tokens.open(String(repeating: "A", count: 10_000), accessKeyID: credentials.accessKeyID, now: now) == nil)
        for index in stride(from: 0, to: token.utf8.count, by: 7) {
            var bytes = Array(token.utf8)
            bytes[index] = bytes[index] == 65 ? 66 : 65
            let changed = String(decoding: bytes, as: UTF8.self)
            #expect(tokens.open(changed, accessKeyID: credentials.accessKeyID, now: now) == nil)
        }
    }

    @Test func accessKeysCarryTheirAccount() {
        for account in ["000000000000", "123456789012", "999999999999"] {
            let key = AccessKeyID.temporary(account: account)
            #expect(key.count == 20)
            #expect(AccessKeyID.account(of: key) == account)
        }
        #expect(AccessKeyID.account(of: "AKIAIOSFODNN7EXAMPLE") == nil)
        #expect(AccessKeyID.account(of: "ASIAéééééééééééééééé") == nil)
    }
}
