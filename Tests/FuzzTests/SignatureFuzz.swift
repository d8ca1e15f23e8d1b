import Contracts
import NIOCore
import Platform
import Testing

@testable import STS
@testable import Wire

/// What says who somebody is: read, and never believed.
@Suite struct SignatureFuzz {
    private static let secret = Secret("secret")
    private static let now = Instant(milliseconds: 1_795_413_600_000)

    private static func signed(_ path: String) -> RequestHead {
        var head = RequestHead(method: "PUT", path: path, query: "a=b&c", headers: [(name: "host", value: "h")])
        head.headers += SigV4.sign(
            head, body: [1], accessKeyID: "AKIDEXAMPLE", secret: secret, sessionToken: "t", region: "eu-west-1",
            service: "lambda", now: now)
        return head
    }

    private static let heads: [RequestHead] = [
        signed("/2015-03-31/functions/a%3Ab"),
        RequestHead(
            method: "GET", path: "/b/k",
            query:
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Feu-west-1%2Fs3%2Faws4_request"
                + "&X-Amz-Date=20261123T060000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t"
                + "&X-Amz-Signature=" + String(repeating: "0", count: 64),
            headers: [(name: "host", value: "h")]),
        RequestHead(
            method: "GET", path: "/b/k", query: "AWSAccessKeyId=AKIDEXAMPLE&Expires=1795417200&Signature=AAAA%3D",
            headers: [(name: "host", value: "h"), (name: "x-amz-meta-a", value: "b")]),
    ]

    private func accepts(_ head: RequestHead) -> Bool {
        do {
            if let signed = try SigV4.parse(head) {
                _ = try SigV4.bodyIntegrity(head, signed: signed)
                _ = try SigV4.verify(
                    head, signed: signed, secret: Self.secret, payloadHash: nil, now: Self.now,
                    forS3: SigV4.isS3(signed.scope.service))
                return true
            }
            if SigV2Query.isPresent(head), let signed = try SigV2Query.parse(head) {
                try SigV2Query.verify(head, signed: signed, secret: Self.secret, now: Self.now)
                return true
            }
        } catch {}
        return false
    }

    /// What a signature covers, in the form in which two requests are the same.
    private func covered(_ head: RequestHead) -> [UInt8] {
        CanonicalRequest.make(
            head, signedHeaders: ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"],
            isPresigned: false, payloadHash: "", forS3: false, form: .normal)
    }

    @Test(arguments: Mutator.seeds) func heads(seed: UInt64) {
        var random = Mutator(seed: seed)
        #expect(accepts(Self.heads[0]))
        let original = covered(Self.heads[0])
        for _ in 0..<(250 * Mutator.factor) {
            for head in Self.heads {
                var changed = head
                switch random.below(4) {
                case 0: changed.path = random.mutated(head.path)
                case 1: changed.query = random.mutated(head.query)
                default:
                    let index = random.below(head.headers.count)
                    changed.headers[index].value = random.mutated(head.headers[index].value)
                }
                if accepts(changed) { #expect(covered(changed) == original, "\(changed)") }
            }
        }
    }

    @Test(arguments: Mutator.seeds) func sessionTokens(seed: UInt64) {
        var random = Mutator(seed: seed)
        let tokens = SessionTokens(serverKey: [UInt8](repeating: 7, count: 32))
        let session = tokens.issue(
            roleARN: "arn:aws:iam::000000000000:role/r", sessionName: "s", account: "000000000000",
            expiration: Self.now + .seconds(60))
        #expect(tokens.open(session.sessionToken.reveal(), accessKeyID: session.accessKeyID, now: Self.now) != nil)
        for _ in 0..<(800 * Mutator.factor) {
            let token = random.mutated(session.sessionToken.reveal())
            guard token != session.sessionToken.reveal() else { continue }
            #expect(tokens.open(token, accessKeyID: session.accessKeyID, now: Self.now) == nil, "\(token)")
        }
    }
}
