/// Every bound of CodeCommit, with its unit and source. Quotas are of the CodeCommit user guide unless said otherwise.
enum Limits {
    // MARK: AWS's quotas

    static let repositoryNameCharacters = 100
    static let descriptionCharacters = 1_000
    static let repositories: Int64 = 5_000
    static let batchRepositories = 100
    static let batchCommits = 100
    static let branchNameBytes = 256
    static let triggers = 10
    static let triggerBranches = 10
    static let triggerNameCharacters = 100
    static let triggerDataCharacters = 1_000
    static let tags = 50
    static let pathBytes = 4_096
    static let filesOfCommit = 100
    static let fileBytes = 6 << 20
    static let commitBytes = 20 << 20
    /// "Metadata": message, author and address.
    static let messageBytes = 20 << 10
    static let identityBytes = 1_000
    /// References that one push may change.
    static let pushedReferences = 4_000

    // MARK: Requests

    /// Body of CreateCommit: twenty megabytes of files in Base64, and their names.
    static let bodyBytes = 32 << 20
    /// One push (AWS: 2 GB).
    static let pushBytes: Int64 = 2 << 30
    /// A compressed body of a fetch, and what comes out of it: wants and haves, 50 bytes each.
    static let fetchBytes = 16 << 20
    /// From the beginning of what a fetch asks for to its end; it is small.
    static let requestTime = Duration.seconds(60)
    /// User name and password together; a session token is in the former.
    static let credentialBytes = 16 << 10

    // MARK: Processes of git

    /// Clients that fetch at a time, and that push, and those that wait for a turn.
    static let transfers = 16
    static let waitingTransfers = 256
    /// Commands for API operations at a time, and those that wait.
    static let commands = 8
    static let waitingCommands = 512
    static let transferTime = Duration.seconds(3_600)
    static let commandTime = Duration.seconds(60)
    /// Of a process, bytes: also what it maps of packs.
    static let addressSpaceBytes = 2 << 30
    static let processorSeconds = 900
    static let openFiles = 512
    /// What a process has written and nobody has read yet, bytes; then it waits.
    static let outputHighWater = 256 << 10
    static let readBytes = 64 << 10
    /// What is kept of a process's error output, bytes.
    static let errorBytes = 4 << 10
    /// The report of a push, which is held back until its events are recorded: a line for each reference.
    static let reportBytes = 8 << 20
    /// Output of other commands that is kept in memory.
    static let commandOutputBytes = 32 << 20
    /// One tree object, bytes: some hundred thousand entries.
    static let treeBytes = 16 << 20
    /// A commit object, bytes.
    static let commitObjectBytes = 4 << 20

    // MARK: Pages and events

    static let page = 1_000
    static let differences = 1_000
    static let history = 100
    /// Commits that ListFileCommitHistory passes over for its token.
    static let historySkip = 1_000_000
    /// References in one event of a trigger; a push of more makes several events.
    static let referencesOfEvent = 50
    /// A password derived from a signature is good so long before and after its time (AWS: 15 minutes).
    static let passwordAge = Duration.seconds(900)
}
