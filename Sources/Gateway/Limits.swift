/// Every bound of the front door, with its unit and the reason for its size. Tests shorten the times.
public struct GatewayLimits: Sendable {
    // MARK: Connections

    /// Open connections from outside, all loops together. At `start` it is also cut to half of the process's limit of
    /// open files, so that connections cannot starve the store and the cells.
    public var connections = 4096
    /// Open connections of one cell: a function has at most a few SDK clients, each with a pool of ten (botocore) to
    /// fifty (Node.js SDK) connections.
    public var connectionsPerCell = 128
    /// Open connections of all cells together, so that hostile ones leave room for everybody outside. A cell gets no more
    /// than what is left for the others.
    public var connectionsOfCells = 2048
    /// Connections that the kernel may hold before they are accepted.
    public var backlog: Int32 = 1024

    // MARK: HTTP/2

    /// Streams that a client may have open on one connection (RFC 9113 recommends no less).
    public var streamsPerConnection = 100
    /// Answers to control frames (settings, pings, resets) that wait for a client that does not read them; more ends it.
    public var controlFrames = 1000
    /// Errors of a client (malformed requests, violated windows) after which its connection is closed.
    public var protocolErrors = 100

    // MARK: Request head, bytes

    /// One header field or the request line; 8 KB is S3's limit of all of them, 16 KB a load balancer's per line.
    public var headerFieldBytes = 32 << 10
    /// Request line and all header fields together (a load balancer takes 60 KB). Over it: 431.
    public var headerBytes = 64 << 10
    /// Header fields of one request; S3 user metadata of 2 KB is at most a few dozen.
    public var headerFields = 200

    // MARK: Bodies, bytes

    /// What a streamed body may hold in memory before reading from its connection pauses.
    public var streamHighWater = 256 << 10
    /// Largest streamed body, of S3's single PUT and part: 5 GiB; framing of aws-chunked may add one part in 64.
    public var streamedBodyBytes: Int64 = 5 << 30
    /// All request bodies in memory together, until their operations are done; over it new ones are answered 503.
    public var bufferedBodies = 1 << 30
    /// Those of all cells together, and of one: the largest body, CreateFunction's 70 MB, fits in even when three cells
    /// have taken as much as they can.
    public var bufferedBodiesOfCells = 512 << 20
    public var bufferedBodiesPerCell = 128 << 20
    /// What a streamed body counts for at most: what its connection and the store's writer hold of it.
    public var streamedBodyCharge = (256 << 10) + (1 << 20)
    /// The first read of a connection: the head of an SDK's signed request is about 1 KB. This much memory stays with it.
    public var firstReadBytes = 2 << 10
    /// The second read; they grow with what comes.
    public var laterReadBytes = 8 << 10
    /// The most that one read of a socket brings.
    public var readBytes = 256 << 10
    /// Input parts that may wait on one connection. One read of the smallest pipelined requests (18 bytes, 288 in memory)
    /// always fits; more comes only when a client hangs up behind a large input, and is then of no use.
    public var queuedInputBytes = 8 << 20
    /// The rest of a refused or ignored body that is read and dropped to keep the connection; more closes it.
    public var discardedBodyBytes = 256 << 10
    /// What is read and dropped after the last answer, so that closing does not reset the answer away.
    public var lingeringBytes = 8 << 20

    // MARK: WebSockets, bytes

    /// What one read of a WebSocket that is mostly idle brings at first; it grows with what comes.
    public var socketReadBytes = 2 << 10
    /// Unfinished messages that are larger count among the bodies in memory.
    public var uncountedSocketBytes = 16 << 10

    // MARK: Writing, bytes

    /// Unsent bytes of one connection: above the upper mark nothing more is produced, until it falls below the lower.
    public var writeLowWater = 64 << 10
    public var writeHighWater = 256 << 10
    /// A file part up to this size is read and sent with its head; larger ones go from file to socket.
    public var inlineFileBytes = 64 << 10
    /// One piece of a file handed to the socket at a time.
    public var filePieceBytes = 1 << 20
    /// Bytes that a body may have to be sent in one buffer with its head.
    public var joinedBodyBytes = 16 << 10

    // MARK: Slow clients

    /// From the connection or the first byte of a head to its end.
    public var headTimeout: Duration = .seconds(30)
    /// Between two pieces of a body, while more is wanted. S3 answers RequestTimeout after about 20 s.
    public var bodyIdleTimeout: Duration = .seconds(30)
    /// Without any byte taken by the client while an answer waits.
    public var writeIdleTimeout: Duration = .seconds(60)
    /// Between two requests of a connection. Longer than the pools of the SDKs keep theirs (Node.js 60 s, Java 60 s),
    /// so that the client closes first and no request crosses a close.
    public var keepAliveTimeout: Duration = .seconds(120)
    /// From the last answer to closing hard.
    public var lingeringTimeout: Duration = .seconds(2)

    public init() {}
}
