/// Every bound of the room, with its unit and its reason.
enum Limits {
    /// Longest control message, bytes. Fits the kernel's default socket buffer (212,992) with its overhead; the same
    /// number is in martlet-cell (protocol.h).
    static let messageBytes = 131_072
    /// Most listeners of a cell: what one message of descriptors carries (protocol.h).
    static let listeners = 8
    /// Most binds of a cell, the host's own included (cell.h).
    static let binds = 128
    /// Most links of a cell (cell.h).
    static let links = 64
    /// Most arguments of a process (cell.h).
    static let arguments = 512
    /// Most environment variables of a process (cell.h). AWS allows 4 KB of user variables in all.
    static let variables = 4096
    /// Reports read in one turn of a cell's reader, so that one cell cannot starve the others.
    static let reportsPerTurn = 32
    /// How long a cell may take to become ready, milliseconds. A few are normal; a host under load may need seconds.
    static let launchMilliseconds = 10_000
    /// How long after a launch the next cell is prepared, milliseconds: the new cell's runtime is starting, and needs the
    /// CPU more.
    static let prepareDelayMilliseconds = 50
    /// How long a process may take to reach its own code, milliseconds.
    static let startMilliseconds = 10_000
    /// How long a cell may take to end, milliseconds. Longer means a process stuck in the kernel.
    static let destroyMilliseconds = 10_000
    /// The period of the CPU quota, microseconds. AWS's scheduler gives out CPU time in periods of 20 ms.
    static let cpuPeriodMicroseconds = 20_000
    /// Smallest CPU quota that Linux accepts, microseconds.
    static let cpuQuotaMinimumMicroseconds = 1_000
    /// Users of cells when the server is root: of the range that systemd's "Users, Groups, UIDs and GIDs" leaves unused
    /// (1,879,048,192 to 2,147,483,647).
    static let userIDs: ClosedRange<UInt32> = 1_900_000_000...1_900_065_535
    /// The user and group that a cell shows in its own user namespace: AWS's sbx_user1051.
    static let unprivilegedUser: UInt32 = 993
    static let unprivilegedGroup: UInt32 = 990
    /// Longest part of a cell's name in its control group's name, characters.
    static let groupNameCharacters = 64
}
