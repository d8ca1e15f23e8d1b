import Contracts
import Platform

/// Login with Amazon's token endpoint (`POST /auth/o2/token`), for refresh tokens. Without authentication any client gets a
/// token; with it, the client id and secret are an access key and its secret.
struct TokenEndpoint: Sendable {
    let tokens: AccessTokens
    let credentials: any CredentialIssuer
    let isAuthenticationOn: Bool

    func answer(_ body: [UInt8], now: Instant) -> APIAnswer {
        guard body.count <= Limits.tokenRequestBytes else {
            return refuse("invalid_request", "The request is too large.")
        }
        let form = Form(body)
        guard let grant = form["grant_type"] else {
            return refuse("invalid_request", "The request is missing a required parameter : grant_type")
        }
        for name in ["client_id", "client_secret"] where form[name]?.isEmpty ?? true {
            return refuse("invalid_request", "The request is missing a required parameter : \(name)")
        }
        switch grant {
        case "refresh_token":
            guard let token = form["refresh_token"], !token.isEmpty else {
                return refuse("invalid_request", "The request is missing a required parameter : refresh_token")
            }
            // Amazon's own clients do not encode the secret, and an access key's may have a plus sign.
            let secrets = [form["client_secret"], Form(body, plus: false)["client_secret"]].compactMap(\.self)
            guard secrets.contains(where: { isClient(form["client_id"] ?? "", $0, now: now) }) else {
                return refuse("invalid_client", "Client authentication failed", status: 401)
            }
            return APIAnswer(
                status: 200,
                body: [
                    "access_token": .string(tokens.issue(now: now)), "refresh_token": .string(token),
                    "token_type": "bearer", "expires_in": .int(Limits.tokenLifetime.components.seconds),
                ], headers: [(name: "Cache-Control", value: "no-store")])
        default:
            return refuse("unsupported_grant_type", "Martlet issues tokens for the grant type refresh_token only.")
        }
    }

    private func isClient(_ id: String, _ secret: String, now: Instant) -> Bool {
        guard isAuthenticationOn else { return true }
        guard let known = credentials.lookup(accessKeyID: id, sessionToken: nil, now: now),
            case .account = known.principal
        else { return false }
        let (a, b) = (Array(known.secret.reveal().utf8), Array(secret.utf8))
        var difference = UInt8(a.count == b.count ? 0 : 1)
        for (x, y) in zip(a, b) { difference |= x ^ y }
        return difference == 0
    }

    private func refuse(_ code: String, _ text: String, status: Int = 400) -> APIAnswer {
        APIAnswer(status: status, body: ["error": .string(code), "error_description": .string(text)])
    }
}

/// `application/x-www-form-urlencoded`.
struct Form {
    private var pairs: [(name: String, value: String)] = []

    /// `plus`: whether a plus sign is a space.
    init(_ bytes: [UInt8], plus: Bool = true) {
        for part in bytes.split(separator: UInt8(ascii: "&"), maxSplits: 100) {
            let pair = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = pair.first else { continue }
            let value = pair.count > 1 ? pair[1] : []
            pairs.append((name: Self.text(name, plus), value: Self.text(value, plus)))
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>, _ plus: Bool) -> String {
        String(decoding: PercentEncoding.decode(bytes, plus: plus), as: UTF8.self)
    }

    func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

    subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }
}
