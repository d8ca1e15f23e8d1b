import Contracts
import Platform
import Synchronization

/// The keys of OpenID issuers, fetched when first needed and kept for two hours. A token that names an unknown key has them fetched
/// anew, but no issuer is asked more often than every ten seconds; several who wait share one request.
final class IssuerKeys: Sendable {
    private struct Entry {
        var keys: IssuerKeySet?
        var failure: String?
        var fetchedAt: Instant
        /// When the issuer was asked last, with or without success.
        var triedAt: Instant
        var usedAt: UInt64
    }

    private struct State {
        var issuers: [String: Entry] = [:]
        var running: [String: Task<Void, Never>] = [:]
        var clock: UInt64 = 0
    }

    private let state = Mutex(State())
    private let http: any OutboundHTTP

    init(http: any OutboundHTTP) { self.http = http }

    /// Checks everything about a token but its scopes. Throws `JWTProblem`.
    func verify(_ text: String, _ settings: JWTSettings, now: Instant) async throws -> VerifiedToken {
        let token = try UnverifiedToken(text)
        try token.check(settings, now: now)
        guard let keyID = token.keyID else { throw JWTProblem.invalid("unable to decode \\\"kid\\\" from JWT header") }
        let keys = try await keys(of: settings.issuer, having: keyID, now: now)
        try await keys.verify(token)
        return token.verified
    }

    private func keys(of issuer: String, having id: String, now: Instant) async throws -> IssuerKeySet {
        if let known = known(issuer, having: id, now: now) { return known }
        await refresh(issuer, now: now)
        return try state.withLock { state in
            guard let entry = state.issuers[issuer] else { throw JWTProblem.keysUnavailable("no keys") }
            guard let keys = entry.keys else { throw JWTProblem.keysUnavailable(entry.failure ?? "no keys") }
            return keys
        }
    }

    /// Keys that need no request: fresh ones with the key, or any that were asked for a moment ago.
    private func known(_ issuer: String, having id: String, now: Instant) -> IssuerKeySet? {
        state.withLock { state in
            guard var entry = state.issuers[issuer], let keys = entry.keys else { return nil }
            let isFresh = keys.has(id) && now - entry.fetchedAt < Limits.keyLifetime
            guard isFresh || now - entry.triedAt < Limits.keyRefresh else { return nil }
            state.clock += 1
            entry.usedAt = state.clock
            state.issuers[issuer] = entry
            return keys
        }
    }

    private func refresh(_ issuer: String, now: Instant) async {
        let task: Task<Void, Never>? = state.withLock { state in
            if let running = state.running[issuer] { return running }
            // A failure holds for as long as a success does before it is asked again.
            if let entry = state.issuers[issuer], now - entry.triedAt < Limits.keyRefresh { return nil }
            let task = Task { await self.fetch(issuer, now: now) }
            state.running[issuer] = task
            return task
        }
        await task?.value
    }

    private func fetch(_ issuer: String, now: Instant) async {
        var (keys, failure): (IssuerKeySet?, String?) = (nil, nil)
        do {
            keys = try await request(issuer)
        } catch {
            failure = "\(error)"
        }
        state.withLock { state in
            state.running[issuer] = nil
            if state.issuers.count >= Limits.issuers, state.issuers[issuer] == nil,
                let oldest = state.issuers.min(by: { $0.value.usedAt < $1.value.usedAt })?.key
            {
                state.issuers[oldest] = nil
            }
            state.clock += 1
            // Keys that were good go on being so while the issuer cannot be reached, to the end of their time.
            if keys == nil, var old = state.issuers[issuer], old.keys != nil,
                now - old.fetchedAt < Limits.keyLifetime
            {
                old.triedAt = now
                state.issuers[issuer] = old
                return
            }
            state.issuers[issuer] = Entry(
                keys: keys, failure: failure, fetchedAt: now, triedAt: now, usedAt: state.clock)
        }
    }

    private func request(_ issuer: String) async throws -> IssuerKeySet {
        let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
        let discovery = try await document(base + "/.well-known/openid-configuration")
        guard let uri = discovery["jwks_uri"]?.string, uri.hasPrefix("https://") || uri.hasPrefix("http://") else {
            throw Failure(.unavailable, "The issuer names no jwks_uri.")
        }
        guard let keys = IssuerKeySet(try await document(uri)) else {
            throw Failure(.unavailable, "The issuer's keys are no JSON Web Key Set.")
        }
        return keys
    }

    private func document(_ url: String) async throws -> Value {
        let request = OutboundRequest(
            method: "GET", url: url, headers: [("accept", "application/json")], body: [],
            timeout: Limits.openIDTimeout)
        let response = try await http.send(request, bodyLimit: Limits.openIDDocument)
        guard response.status == 200, let value = try? JSON.parse(response.body) else {
            throw Failure(.unavailable, "The issuer answered \(response.status) without a JSON document.")
        }
        return value
    }
}
