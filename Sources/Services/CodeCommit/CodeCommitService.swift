public import Contracts
public import Logging
public import Platform
import Policies
public import Storage
import Wire

/// AWS CodeCommit: repositories with git behind them, their API, and what tells others of changed references.
public final class CodeCommitService: Sendable {
    public let definition: ServiceDefinition
    /// Clone, fetch and push.
    public let gitDoor: any HTTPDoor
    public static var migrations: Migrations { codeCommitMigrations }

    private let database: any Database
    private let repositories: Repositories
    private let journal: ReferenceJournal
    private let logger: Logger

    /// `directory` is where repositories are kept; it is made with the first of them. `usesNamespaces`: git runs in
    /// namespaces of its own where they are to be had.
    public init(
        database: any Database, directory: String, outbox: any DeliveryOutbox, authorizer: any Authorizer,
        credentials: any CredentialIssuer, passwords: any ServicePasswords, isAuthenticationOn: Bool,
        usesNamespaces: Bool, time: any TimeSource, logger: Logger
    ) throws {
        self.database = database
        self.logger = logger
        repositories = Repositories(directory: directory)
        let git = Git(directory: directory, usesNamespaces: usesNamespaces, time: time, logger: logger)
        journal = ReferenceJournal(
            database: database, git: git, repositories: repositories, outbox: outbox, time: time, logger: logger)
        gitDoor = GitDoor(
            journal: journal, authorizer: authorizer, credentials: credentials, passwords: passwords,
            isAuthenticationOn: isAuthenticationOn, time: time, logger: logger)
        let access = Access(authorizer: authorizer)
        let administration = RepositoryOperations(
            database: database, repositories: repositories, journal: journal, access: access, logger: logger)
        let tags = TagOperations(database: database, access: access)
        let branches = BranchOperations(journal: journal, access: access)
        let reads = ReadOperations(journal: journal, access: access)
        let differences = DifferenceOperations(journal: journal, access: access)
        let commits = CommitOperations(journal: journal, access: access)
        let triggers = TriggerOperations(journal: journal, outbox: outbox, access: access)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: CodeCommitSchema.text),
            operations: [
                "CreateRepository": .asynchronous(administration.create),
                "GetRepository": .asynchronous(administration.get),
                "BatchGetRepositories": .asynchronous(administration.batchGet),
                "ListRepositories": .asynchronous(administration.list),
                "DeleteRepository": .asynchronous(administration.delete),
                "UpdateRepositoryName": .asynchronous(administration.updateName),
                "UpdateRepositoryDescription": .asynchronous(administration.updateDescription),
                "UpdateDefaultBranch": .asynchronous(branches.updateDefault),
                "TagResource": .asynchronous(tags.tag),
                "UntagResource": .asynchronous(tags.untag),
                "ListTagsForResource": .asynchronous(tags.list),
                "CreateBranch": .asynchronous(branches.create),
                "GetBranch": .asynchronous(branches.get),
                "ListBranches": .asynchronous(branches.list),
                "DeleteBranch": .asynchronous(branches.delete),
                "MergeBranchesByFastForward": .asynchronous(branches.mergeByFastForward),
                "GetCommit": .asynchronous(reads.commit),
                "BatchGetCommits": .asynchronous(reads.commits),
                "GetFile": .asynchronous(reads.file),
                "GetFolder": .asynchronous(reads.folder),
                "GetBlob": .asynchronous(reads.blob),
                "GetDifferences": .asynchronous(differences.differences),
                "ListFileCommitHistory": .asynchronous(differences.history),
                "CreateCommit": .asynchronous(commits.create),
                "PutFile": .asynchronous(commits.put),
                "DeleteFile": .asynchronous(commits.delete),
                "PutRepositoryTriggers": .asynchronous(triggers.put),
                "GetRepositoryTriggers": .asynchronous(triggers.get),
                "TestRepositoryTriggers": .asynchronous(triggers.test),
            ],
            bodyLimit: 1 << 20,
            bodyLimits: [
                "CreateCommit": Limits.bodyBytes, "PutFile": Limits.fileBytes / 3 * 4 + (1 << 20),
            ])
    }

    /// Before the first request. What an earlier process did not get to is announced, and what it had begun to remove is
    /// removed, behind it: nothing of that was acknowledged, and whoever changes such a repository first waits for it.
    public func start() async throws {
        let (pushes, trash) = try await database.read { transaction in
            (
                try PushTable.all(in: transaction),
                try transaction.query("SELECT id FROM codecommit_trash ORDER BY id", []) { $0.text(0) }
            )
        }
        let damaged = Set(pushes.map(\.repository)).sorted()
        for id in damaged { repositories.damage(id) }
        guard !damaged.isEmpty || !trash.isEmpty else { return }
        Task { await recover(damaged, trash) }
    }

    private func recover(_ damaged: [String], _ trash: [String]) async {
        for id in damaged {
            do {
                switch await repositories.enter(id) {
                case .alone: try await journal.repair(id)
                case .share: repositories.leave(id, clean: true)
                case .refused: break
                }
            } catch {
                // It is tried again before anybody changes it.
                logger.error(
                    "a repository cannot be put in order", metadata: ["repository": "\(id)", "error": "\(error)"])
            }
        }
        for id in trash {
            do {
                try await RepositoryOperations.empty(id, repositories, database)
            } catch {
                logger.error("a deleted repository cannot be removed", metadata: ["error": "\(error)"])
            }
        }
    }
}

/// Who may do what: the caller's own policies (repositories have none).
struct Access: Sendable {
    let authorizer: any Authorizer

    /// What protects branches (guide, "Limit pushes and merges to branches"): full names of references.
    static let references = "codecommit:references"

    /// Throws AccessDeniedException. `branch`: the one that the operation changes.
    func check(
        _ caller: some Caller, _ action: String, _ resource: String, branch: String? = nil,
        in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(
            for: caller, action: "codecommit:\(action)", resource: resource,
            more: {
                var keys = try $0.resourceTags {
                    try RepositoryKey(arn: resource).flatMap { try RepositoryTable.get($0, in: transaction)?.tags }
                }
                keys[Self.references] = branch.map { [ReferenceName.heads + $0] }
                return keys
            },
            in: transaction)
        guard decision == .allowed else { throw AWSError.denied(caller.principal, action, resource) }
    }
}
