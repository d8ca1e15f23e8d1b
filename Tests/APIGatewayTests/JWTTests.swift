import CryptoExtras
import FoundationEssentials
import JWTKit
import Platform
import Testing

@testable import APIGateway

/// Tokens against keys that a fake issuer has; forged tokens of every classic kind are in Conformance.
@Suite struct JWTTests {
    static let issuer = "https://issuer.example"
    static let settings = JWTSettings(issuer: issuer, audiences: ["shop"], identitySource: "$request.header.x")
    static let key = Result { try Insecure.RSA.PrivateKey(backing: _RSA.Signing.PrivateKey(keySize: .bits2048)) }

    struct Claims: JWTPayload {
        var iss = JWTTests.issuer
        var aud = "shop"
        var exp: Double
        var scope: String?
        func verify(using algorithm: some JWTAlgorithm) throws {}
    }

    static func token(_ now: Instant, kid: String = "one", lifetime: Double = 100) async throws -> String {
        let keys = JWTKeyCollection()
        await keys.add(rsa: try key.get(), digestAlgorithm: .sha256, kid: JWKIdentifier(string: kid))
        return try await keys.sign(
            Claims(exp: now.fractionalSeconds + lifetime, scope: "a b"), kid: JWKIdentifier(string: kid))
    }

    static func serve(_ http: FakeHTTP, kids: [String]) throws {
        http.answer(issuer + "/.well-known/openid-configuration", ["jwks_uri": .string(issuer + "/keys")])
        let (modulus, exponent) = try key.get().publicKey.getKeyPrimitives()
        func text(_ data: Data) -> Value {
            .string(
                Base64.encode(Array(data)).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: ""))
        }
        http.answer(
            issuer + "/keys",
            [
                "keys": .list(
                    kids.map { ["kty": "RSA", "kid": .string($0), "n": text(modulus), "e": text(exponent)] })
            ])
    }

    @Test func goodTokens() async throws {
        let (http, now) = (FakeHTTP(), Instant(milliseconds: 1_795_413_600_000))
        try Self.serve(http, kids: ["one"])
        let keys = IssuerKeys(http: http)
        for _ in 0..<3 {
            let verified = try await keys.verify(try await Self.token(now), Self.settings, now: now)
            #expect(verified.scopes == ["a", "b"])
        }
        #expect(http.requests.count == 2)
    }

    @Test func keysRotate() async throws {
        let (http, start) = (FakeHTTP(), Instant(milliseconds: 1_795_413_600_000))
        try Self.serve(http, kids: ["one"])
        let keys = IssuerKeys(http: http)
        _ = try await keys.verify(try await Self.token(start), Self.settings, now: start)
        try Self.serve(http, kids: ["two"])
        let new = try await Self.token(start, kid: "two")
        // Too soon to ask again.
        await #expect(throws: JWTProblem.self) { try await keys.verify(new, Self.settings, now: start + .seconds(9)) }
        #expect(http.requests.count == 2)
        _ = try await keys.verify(new, Self.settings, now: start + .seconds(10))
        #expect(http.requests.count == 4)
        // What the issuer no longer has is no longer good.
        await #expect(throws: JWTProblem.self) {
            try await keys.verify(try await Self.token(start), Self.settings, now: start + .seconds(11))
        }
    }

    @Test func unreachableIssuers() async throws {
        let (http, start) = (FakeHTTP(), Instant(milliseconds: 1_795_413_600_000))
        let keys = IssuerKeys(http: http)
        let token = try await Self.token(start)
        for _ in 0..<5 {
            await #expect(throws: JWTProblem.self) { try await keys.verify(token, Self.settings, now: start) }
        }
        #expect(http.requests.count == 1)
        try Self.serve(http, kids: ["one"])
        _ = try await keys.verify(token, Self.settings, now: start + .seconds(10))
    }

    @Test func tokensEnd() async throws {
        let (http, start) = (FakeHTTP(), Instant(milliseconds: 1_795_413_600_000))
        try Self.serve(http, kids: ["one"])
        let keys = IssuerKeys(http: http)
        let token = try await Self.token(start, lifetime: 5)
        _ = try await keys.verify(token, Self.settings, now: start + .milliseconds(4_999))
        await #expect(throws: JWTProblem.self) { try await keys.verify(token, Self.settings, now: start + .seconds(5)) }
    }

    /// No byte of a token can be changed.
    @Test(arguments: 0..<8) func changedTokens(seed: UInt64) async throws {
        var random = Seeded(seed)
        let (http, now) = (FakeHTTP(), Instant(milliseconds: 1_795_413_600_000))
        try Self.serve(http, kids: ["one"])
        let keys = IssuerKeys(http: http)
        let token = Array(try await Self.token(now).utf8)
        let alphabet = Array("ABCxyz0189-_.=+/\u{0}".utf8)
        for _ in 0..<40 {
            var bytes = token
            // The last character has bits that say nothing.
            let place = Int.random(in: 0..<(bytes.count - 1), using: &random)
            bytes[place] = alphabet.randomElement(using: &random) ?? 0
            guard bytes != token else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            await #expect(throws: JWTProblem.self) { try await keys.verify(text, Self.settings, now: now) }
        }
    }
}
