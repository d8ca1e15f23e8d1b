/// Which of the operators a pattern may use (reference 5.5).
public enum Dialect: Sendable, Hashable {
    /// Rules of EventBridge: everything.
    case eventBridge
    /// Filters of Lambda's event source mappings: no `wildcard`, `anything-but` of values only; numbers are compared as
    /// text.
    case eventSourceMapping
    /// Filters of EventBridge Pipes: no `wildcard`, `anything-but` of values only.
    case pipes
}

/// A dialect as the compiler needs it; filter policies have one of their own.
struct Operators: Sendable {
    var wildcard: Bool
    /// `{"prefix": {"equals-ignore-case": …}}` and the same of `suffix`.
    var affixesIgnoringCase: Bool
    /// What may stand inside `anything-but`.
    var insideAnythingBut: Set<String>
    var comparesNumbersAsText: Bool
    /// Whether wildcards may cost too much is asked once, when a pattern is taken.
    var boundsWildcards = true

    init(_ dialect: Dialect) {
        wildcard = dialect == .eventBridge
        affixesIgnoringCase = true
        insideAnythingBut = dialect == .eventBridge ? ["prefix", "suffix", "equals-ignore-case", "wildcard"] : []
        comparesNumbersAsText = dialect == .eventSourceMapping
    }

    private init(filterPolicy: Void) {
        wildcard = false
        affixesIgnoringCase = false
        insideAnythingBut = ["prefix"]
        comparesNumbersAsText = false
    }

    static let filterPolicy = Operators(filterPolicy: ())
}
