/// Bounds of outgoing HTTP that no caller sets.
enum Limits {
    static let connectTimeout = Duration.seconds(10)
    /// How long a connection is kept for the next request.
    static let idleTimeout = Duration.seconds(30)
    /// Connections to one host; more requests wait for one.
    static let connectionsPerHost = 32
    /// Of an answer's body that nobody wants, read so that the connection can be used again; more of it costs the connection.
    static let unwantedBytes = 65_536
    /// How long that is read.
    static let unwantedTime = Duration.seconds(1)
}
