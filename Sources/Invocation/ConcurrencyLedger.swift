import Platform

/// Who may run how many executions at the same time: the account's pool, reservations cut out of it, and the rate at which
/// a function may grow. A value: time is passed in.
///
/// Rules: lambda-semantics 2.2 and 2.6. A reservation is both a guarantee and a limit, for all versions together.
struct ConcurrencyLedger {
    struct FunctionKey: Hashable {
        var scope: AccountRegion
        var name: String
    }

    /// AWS's `Reason` of a TooManyRequestsException.
    enum ThrottleReason: String {
        case account = "ConcurrentInvocationLimitExceeded"
        case reserved = "ReservedFunctionConcurrentInvocationLimitExceeded"
        case rate = "FunctionInvocationRateLimitExceeded"
    }

    /// How many executions there are now.
    struct Use: Sendable {
        var function = 0
        var account = 0
        /// In the account, of functions without a reservation.
        var unreserved = 0

        /// The most of both in the account.
        mutating func raise(to other: Use) {
            account = max(account, other.account)
            unreserved = max(unreserved, other.unreserved)
        }
    }

    private struct Function {
        var running = 0
        var reserved: Int?
        /// Token bucket of environments that may still be started.
        var startTokens = Double(Limits.scalingEnvironments)
        var tokensAt = Instant(nanoseconds: 0)

        var isUnused: Bool { running == 0 && reserved == nil }
    }

    private var functions: [FunctionKey: Function] = [:]
    private var unreservedRunning: [AccountRegion: Int] = [:]
    private var reservedTotal: [AccountRegion: Int] = [:]
    private var allRunning: [AccountRegion: Int] = [:]
    private let accountLimit: Int

    init(accountLimit: Int = Limits.accountConcurrency) { self.accountLimit = accountLimit }

    /// Takes one execution, or says why not.
    mutating func acquire(_ key: FunctionKey) -> ThrottleReason? {
        var function = functions[key] ?? Function()
        if let reserved = function.reserved {
            guard function.running < reserved else { return .reserved }
        } else {
            let pool = accountLimit - (reservedTotal[key.scope] ?? 0)
            guard unreservedRunning[key.scope, default: 0] < pool else { return .account }
            unreservedRunning[key.scope, default: 0] += 1
        }
        function.running += 1
        functions[key] = function
        allRunning[key.scope, default: 0] += 1
        return nil
    }

    /// Gives an execution back; answers how many there were with it.
    @discardableResult
    mutating func release(_ key: FunctionKey) -> Use {
        guard var function = functions[key], function.running > 0 else { return Use() }
        let use = Use(
            function: function.running, account: allRunning[key.scope, default: 1],
            unreserved: unreservedRunning[key.scope, default: 0])
        function.running -= 1
        allRunning[key.scope] = max(use.account - 1, 0)
        if function.reserved == nil { unreservedRunning[key.scope, default: 1] -= 1 }
        functions[key] = function
        forget(key, ifUnused: function)
        return use
    }

    /// Asks to start one more environment, within the scaling rate.
    mutating func mayStart(_ key: FunctionKey, now: Instant) -> Bool {
        var function = functions[key] ?? Function()
        let elapsed = max((now - function.tokensAt).fractionalSeconds, 0)
        let rate = Double(Limits.scalingEnvironments) / Limits.scalingWindow.fractionalSeconds
        function.startTokens = min(Double(Limits.scalingEnvironments), function.startTokens + elapsed * rate)
        function.tokensAt = now
        let granted = function.startTokens >= 1
        if granted { function.startTokens -= 1 }
        functions[key] = function
        return granted
    }

    /// Sets or drops a reservation. What runs goes on and moves between the pools.
    mutating func reserve(_ key: FunctionKey, _ reserved: Int?) {
        var function = functions[key] ?? Function()
        let before = function.reserved
        guard before != reserved else { return }
        if before == nil { unreservedRunning[key.scope, default: 0] -= function.running }
        if reserved == nil { unreservedRunning[key.scope, default: 0] += function.running }
        reservedTotal[key.scope, default: 0] += (reserved ?? 0) - (before ?? 0)
        function.reserved = reserved
        functions[key] = function
        forget(key, ifUnused: function)
    }

    func running(_ key: FunctionKey) -> Int { functions[key]?.running ?? 0 }

    /// Keeps memory bounded by what is in use; the scaling bucket of a forgotten function starts full again, which only
    /// matters to one that starts more than 1,000 environments in ten seconds with pauses between.
    private mutating func forget(_ key: FunctionKey, ifUnused function: Function) {
        if function.isUnused, function.startTokens >= Double(Limits.scalingEnvironments) / 2 {
            functions[key] = nil
        }
    }
}
