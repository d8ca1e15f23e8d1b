/// Bounds of outgoing HTTP that no caller sets.
enum Limits {
    static let connectTimeout = Duration.seconds(10)
    /// How long a connection is kept for the next request.
    static let idleTimeout = Duration.seconds(30)
    /// Connections to one host; more requests wait for one.
    static let connectionsPerHost = 32
}
