/// Every bound of an execution environment, with its source.
enum Limits {
    /// Largest response of a function, in bytes: 6 MiB + 100 (Lambda quotas; the text of the error names the number).
    static let responseBytes = 6_291_556
    /// Largest streamed response of a function, in bytes: 200 MB (Lambda quotas).
    static let streamedResponseBytes = 200 << 20
    /// Largest head (request line and headers, or trailers) of a Runtime API request, in bytes. A runtime may send an
    /// X-Ray error cause of up to 1 MiB as a header (awslambdaric `post_invocation_error`).
    static let headBytes = (1 << 20) + (64 << 10)
    /// Longest request target, in bytes; the longest real one has about 100.
    static let targetBytes = 1024
    /// Longest line that starts a chunk, in bytes; extensions are ignored.
    static let chunkLineBytes = 1024
    /// Payload that is copied behind its head to leave in one piece, in bytes.
    static let joinedPayloadBytes = 16 << 10
    /// Connections to one environment's Runtime API at a time; further ones are closed.
    static let connections = 64
    /// Request bytes held for one environment's Runtime API over all connections: one response, and room for a second.
    static let bufferedRequestBytes = 16 << 20

    /// Init phase on demand, in seconds (Lambda developer guide, execution environment lifecycle).
    static let initSeconds: UInt64 = 10
    /// How long an environment stays idle before it is frozen, in milliseconds; keeps freezer writes off the hot path.
    static let freezeDelayMilliseconds: UInt64 = 50
    /// How long killing every process of a cell may take before the cell is given up, in milliseconds.
    static let resetMilliseconds: UInt64 = 10_000
    /// How long an exit waits for bytes that the process wrote before it died, in milliseconds.
    static let exitDrainMilliseconds: Int64 = 100
    /// Lifetime of a function's credentials, in seconds: the longest that STS grants.
    static let credentialSeconds = 43_200

    /// Longest log event, in bytes (PutLogEvents); longer lines become several events.
    static let logEventBytes = 256 << 10
    /// Bytes read from one pipe at a time, and the most that the event loop takes at the end of an invocation.
    static let pipeReadBytes = 64 << 10
    static let finalDrainBytes = 256 << 10
    /// When pipes are read while an invocation runs, in milliseconds: first, while there is something, while there is
    /// nothing, and in an idle environment that is not frozen. 64 KiB a pipe each 5 ms bounds a flood to 26 MB/s.
    static let firstLogBeat: UInt64 = 20
    static let busyLogBeat: UInt64 = 5
    static let quietLogBeat: UInt64 = 50
    static let idleLogBeat: UInt64 = 1000
    /// What LogType=Tail answers with, in bytes (Invoke API reference).
    static let logTailBytes = 4096
    /// At the end of an invocation the memory in use is read again when the last reading is this old, in nanoseconds; after
    /// a short one, which can hardly have touched a few MB, only when it is much older.
    static let memoryReadingNanoseconds: UInt64 = 10_000_000
    static let memoryReadingWhenShortNanoseconds: UInt64 = 100_000_000
    static let shortInvocationNanoseconds: UInt64 = 2_000_000
    /// While processes run it is read by the log's beat, when the last reading is this old, in nanoseconds: a little less
    /// than `quietLogBeat`, so that each quiet beat does it.
    static let memoryBeatNanoseconds: UInt64 = 45_000_000

    /// Processes and open files of an environment (Lambda quotas).
    static let processes = 1024
    static let openFiles = 1024
    /// Memory that comes with one CPU, in MB (Lambda developer guide, memory).
    static let memoryPerCPU = 1769
    /// Ports inside the cell (Runtime API; AWS endpoint).
    static let runtimeAPIPort = 9001
    static let endpointPort = 4566
    /// Size of a runtime's description file, in bytes.
    static let runtimeDescriptionBytes = 64 << 10
}

extension UInt64 {
    static func seconds(_ value: UInt64) -> UInt64 { value * 1_000_000_000 }
    static func milliseconds(_ value: UInt64) -> UInt64 { value * 1_000_000 }
}
