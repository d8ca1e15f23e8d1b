import JWTKit
import NIOCore
import Platform

/// Why a token lets nobody in.
enum JWTProblem: Error, Equatable {
    /// With the text that clients get in `www-authenticate`.
    case invalid(String)
    case insufficientScope
    case keysUnavailable(String)

    func answer(scopes: [String]) -> ProxyAnswer {
        let scope = scopes.joined(separator: " ")
        switch self {
        case .invalid(let why):
            var answer = ProxyAnswer.error(401, "Unauthorized", type: "UNAUTHORIZED", detail: why)
            answer.headers.append(
                ("www-authenticate", "Bearer scope=\"\(scope)\" error=\"invalid_token\" error_description=\"\(why)\""))
            return answer
        case .insufficientScope:
            let why = "the token does not have any of the required scopes"
            var answer = ProxyAnswer.error(403, "Forbidden", type: "ACCESS_DENIED", detail: why)
            answer.headers.append(
                (
                    "www-authenticate",
                    "Bearer scope=\"\(scope)\" error=\"insufficient_scope\" error_description=\"\(why)\""
                ))
            return answer
        case .keysUnavailable(let why):
            var answer = ProxyAnswer.error(401, "Unauthorized", type: "UNAUTHORIZED", detail: why)
            answer.headers.append(
                (
                    "www-authenticate",
                    "Bearer scope=\"\(scope)\" error=\"invalid_token\" "
                        + "error_description=\"OIDC discovery endpoint communication error\""
                ))
            return answer
        }
    }
}

/// A token, taken apart and not yet believed.
struct UnverifiedToken: Sendable {
    /// HTTP APIs know RSA only (developer guide on JWT authorizers): neither `none` nor a MAC whose key would be public.
    static let algorithms = ["RS256", "RS384", "RS512"]

    var text: String
    var algorithm: String
    var keyID: String?
    var claims: Fields

    init(_ text: String) throws(JWTProblem) {
        guard text.utf8.count <= Limits.token else { throw .invalid("the token is too long") }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[2].isEmpty else { throw .invalid("invalid token: not three parts") }
        // One text for one signature: the usual base64's letters would be read as well.
        guard parts[2].allSatisfy(Self.isBase64URL) else { throw .invalid("unable to decode the JWT signature") }
        guard let header = Self.object(parts[0]) else { throw .invalid("unable to decode the JWT header") }
        guard let claims = Self.object(parts[1]) else { throw .invalid("unable to decode the JWT claims") }
        guard let algorithm = header["alg"]?.string, Self.algorithms.contains(algorithm) else {
            throw .invalid("signing method is invalid")
        }
        // An extension that must be understood is not.
        guard header["crit"] == nil else { throw .invalid("the token has critical header parameters") }
        self.text = text
        self.algorithm = algorithm
        keyID = header["kid"]?.string
        self.claims = claims
    }

    private static func isBase64URL(_ byte: UInt8) -> Bool {
        PercentEncoding.isUnreserved(byte) && byte != UInt8(ascii: ".") && byte != UInt8(ascii: "~")
    }

    private static func object(_ part: Substring.UTF8View) -> Fields? {
        var bytes = Array(part)
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "-"): bytes[index] = UInt8(ascii: "+")
            case UInt8(ascii: "_"): bytes[index] = UInt8(ascii: "/")
            case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
            default: break
            }
        }
        guard let decoded = Base64.decode(bytes[...]) else { return nil }
        return (try? JSON.parse(decoded))?.fields
    }

    /// Issuer, audience and times, which are checked before the signature: no issuer is asked for keys of tokens that
    /// could not pass anyway.
    func check(_ settings: JWTSettings, now: Instant) throws(JWTProblem) {
        guard claims["iss"]?.string == settings.issuer else { throw .invalid("invalid issuer") }
        let given = claims["aud"].map { $0.list?.compactMap(\.string) ?? [$0.string].compactMap { $0 } } ?? []
        let client = claims["client_id"]?.string.map { [$0] } ?? []
        // "aud or client_id – must match one of the audience entries. client_id is validated only if aud is not present."
        let audiences = claims["aud"] == nil ? client : given
        guard audiences.contains(where: settings.audiences.contains) else {
            throw .invalid("the token does not have a valid audience")
        }
        let seconds = now.fractionalSeconds
        guard let expires = claims["exp"]?.double else { throw .invalid("the token has no expiration") }
        guard expires > seconds else { throw .invalid("the token has expired") }
        if let begins = claims["nbf"] {
            guard let begins = begins.double, begins <= seconds else { throw .invalid("the token is not valid yet") }
        }
        if let issued = claims["iat"] {
            guard let issued = issued.double, issued <= seconds else {
                throw .invalid("the token was issued in the future")
            }
        }
    }

    /// The claims as functions get them, and the scopes of `scope` or `scp`.
    var verified: VerifiedToken {
        let scopes: [String]? = (claims["scope"] ?? claims["scp"]).map { value in
            value.list?.compactMap(\.string)
                ?? (value.string ?? "").split(separator: " ").map(String.init)
        }
        return VerifiedToken(
            claims: claims.entries.map { ($0.name, CallerIdentity.claimText($0.value)) }, scopes: scopes)
    }
}

struct VerifiedToken: Sendable {
    var claims: [(name: String, value: String)]
    var scopes: [String]?

    /// What functions are told: the scopes of the route that the token has; nil where the route asks for none.
    func grantedScopes(of asked: [String]) -> [String]? {
        asked.isEmpty ? nil : scopes?.filter(asked.contains)
    }
}

/// The RSA keys of one issuer.
struct IssuerKeySet: Sendable {
    private struct Key: Sendable {
        var key: Insecure.RSA.PublicKey
        /// What the key may be used for, if it says so.
        var algorithm: String?
    }

    private let keys: [String: Key]

    /// Of a JSON Web Key Set; what is not an RSA key for signatures is passed over. Nil when it is no key set.
    init?(_ document: Value) {
        guard let list = document["keys"]?.list else { return nil }
        var keys: [String: Key] = [:]
        for entry in list.prefix(Limits.keysOfIssuer) {
            guard entry["kty"]?.string == "RSA", entry["use"]?.string ?? "sig" == "sig",
                let id = entry["kid"]?.string, let modulus = entry["n"]?.string, let exponent = entry["e"]?.string,
                let key = try? Insecure.RSA.PublicKey(modulus: modulus, exponent: exponent)
            else { continue }
            keys[id] = Key(key: key, algorithm: entry["alg"]?.string)
        }
        self.keys = keys
    }

    func has(_ id: String) -> Bool { keys[id] != nil }

    private struct NoClaims: JWTPayload {
        func verify(using algorithm: some JWTAlgorithm) throws {}
    }

    /// Throws `JWTProblem.invalid` unless the key that the token names has signed it.
    func verify(_ token: UnverifiedToken) async throws(JWTProblem) {
        guard let id = token.keyID, let known = keys[id] else {
            throw .invalid("unable to find a signing key that matches")
        }
        guard known.algorithm == nil || known.algorithm == token.algorithm else {
            throw .invalid("signing method is invalid")
        }
        let digest: DigestAlgorithm =
            switch token.algorithm {
            case "RS384": .sha384
            case "RS512": .sha512
            default: .sha256
            }
        do {
            let collection = JWTKeyCollection()
            await collection.add(rsa: known.key, digestAlgorithm: digest, kid: JWKIdentifier(string: id))
            _ = try await collection.verify(token.text, as: NoClaims.self)
        } catch {
            throw .invalid("the signature is invalid")
        }
    }
}
