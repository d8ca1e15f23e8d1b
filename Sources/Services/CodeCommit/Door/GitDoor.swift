import Contracts
import Logging
import NIOCore
import Platform
import Policies
import Storage
import Wire

/// Serves git's smart HTTP: clone, fetch and push. The work is git's own (`upload-pack`, `receive-pack`), in a process for
/// each request.
struct GitDoor: HTTPDoor {
    let journal: ReferenceJournal
    let authorizer: any Authorizer
    let credentials: any CredentialIssuer
    let passwords: any ServicePasswords
    let isAuthenticationOn: Bool
    let time: any TimeSource
    let logger: Logger

    var label: String { "git-codecommit" }
    var streamsBody: Bool { true }
    /// Of bodies that are not streamed: none.
    var bodyLimit: Int { 0 }

    private var git: Git { journal.git }

    func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
        Task {
            do {
                try await serve(request, completion)
            } catch let refusal as Refusal {
                completion(refusal.response)
            } catch let error as AWSError {
                completion(Refusal(status: error.status == 400 ? 404 : error.status, text: error.message).response)
            } catch {
                logger.error(
                    "git request failed", metadata: ["error": "\(error)", "request": "\(request.context.requestID)"])
                completion(Refusal(status: 500, text: "Internal error").response)
            }
        }
    }

    /// Why a request is not served; git shows the status, and the text to who looks for it.
    struct Refusal: Error {
        var status: Int
        var text: String
        var headers: [(name: String, value: String)] = []

        var response: DoorResponse {
            DoorResponse(
                status: status, headers: [(name: "Content-Type", value: "text/plain; charset=utf-8")] + headers,
                payload: .bytes(ByteBuffer(string: text + "\n")))
        }
    }

    // MARK: The request

    private func serve(
        _ request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void
    ) async throws {
        let asked: GitRequest
        do throws(GitRequest.Refusal) {
            asked = try GitRequest(
                method: request.head.method, path: request.head.path, query: request.head.query,
                contentType: request.head.header("content-type"))
        } catch {
            throw Refusal(error)
        }
        let region = request.labels.first { $0 != label } ?? AccountRegion.defaultRegion
        guard Region.isWellFormed(region) else { throw Refusal(status: 404, text: "No such Region") }
        let caller = try await authenticate(request, asked, region: region)
        let key = RepositoryKey(
            scope: AccountRegion(account: caller.account, region: region), name: asked.repository)
        var request = request
        request.context.sessionTags = caller.tags
        let context = request.context
        let repository = try await journal.database.read { transaction in
            // Nobody knows yet what a push would change.
            try check(asked.service, key, caller, context, in: transaction)
            return try RepositoryTable.require(key, in: transaction)
        }
        switch (asked.step, asked.service) {
        case (.references, _): try await references(request, asked.service, repository, completion)
        case (.exchange, .fetch): try await fetch(request, repository, completion)
        case (.exchange, .push): completion(try await push(request, repository, caller))
        }
    }

    /// Throws `Refusal` unless the caller may. Of a push, when they are known: the reference, and whether all are known.
    private func check(
        _ service: GitRequest.Service, _ key: RepositoryKey, _ caller: GitCaller, _ context: OperationContext,
        reference: String? = nil, isCutShort: Bool = false, in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(
            caller.principal, action: "codecommit:\(service.action)", resource: key.arn,
            conditions: { asked in
                if isCutShort, asked.contains(below: Access.references) {
                    throw Refusal(status: 400, text: "The commands of the push cannot be read")
                }
                var keys = try asked.resourceTags { try RepositoryTable.get(key, in: transaction)?.tags }
                keys[Access.references] = reference.map { [$0] }
                return context.conditions.merging(keys) { $1 }
            }, in: transaction)
        guard decision == .allowed else {
            throw Refusal(status: 403, text: AWSError.denied(caller.principal, service.action, key.arn).message)
        }
    }

    /// Throws `Refusal` unless the caller may change each of a push's references.
    private func check(
        _ commands: PushCommands, _ key: RepositoryKey, _ caller: GitCaller, _ context: OperationContext
    ) async throws {
        try await journal.database.read { transaction in
            let references: [String?] = commands.isCutShort ? [nil] : commands.references
            for reference in references {
                try check(
                    .push, key, caller, context, reference: reference, isCutShort: commands.isCutShort,
                    in: transaction)
            }
        }
    }

    /// Throws `Refusal` for who cannot be told, where that matters.
    private func authenticate(
        _ request: DoorRequest, _ asked: GitRequest, region: String
    ) async throws -> GitCaller {
        let given = BasicCredentials(header: request.head.header("authorization"))
        let now = request.context.now
        if let given {
            let key = given.accessKey
            if let known = credentials.lookup(accessKeyID: key.id, sessionToken: key.sessionToken, now: now) {
                if isAuthenticationOn {
                    guard let password = SignaturePassword(given.password.reveal()), password.isTimely(now),
                        password.isMade(
                            with: known.secret, paths: GitDoor.paths(request, asked), hosts: GitDoor.hosts(request),
                            region: region)
                    else { throw Refusal.forbidden }
                }
                return GitCaller(
                    principal: known.principal, arn: known.principal.arn,
                    account: known.principal.account ?? AccountRegion.defaultAccount, tags: known.tags)
            }
            let user = try await journal.database.read { transaction in
                try passwords.user(
                    named: given.userName, password: given.password, service: "codecommit.amazonaws.com",
                    in: transaction)
            }
            if let user, let account = user.principal.account {
                return GitCaller(principal: user.principal, arn: user.arn, account: account)
            }
        }
        guard !isAuthenticationOn else { throw given == nil ? Refusal.unauthorized : Refusal.forbidden }
        if let cell = request.cell {
            return GitCaller(principal: cell.principal, arn: cell.principal.arn, account: cell.scope.account)
        }
        // As with the API, an access key of twelve digits names the account.
        let name = given?.accessKey.id ?? ""
        let isAccount = name.utf8.count == 12 && name.utf8.allSatisfy { (0x30...0x39).contains($0) }
        let principal = Principal.account(isAccount ? name : AccountRegion.defaultAccount)
        return GitCaller(principal: principal, arn: principal.arn, account: principal.account ?? name)
    }

    /// The repository's path as the client may have signed it: by host name, or with what stands before it here.
    private static func paths(_ request: DoorRequest, _ asked: GitRequest) -> [String] {
        let plain = GitRequest.prefix + asked.repository
        let sent = String(request.context.uri.prefix { $0 != "?" })
        guard let range = sent.range(of: plain), range.lowerBound != sent.startIndex else { return [plain] }
        return [plain, String(sent[..<range.upperBound])]
    }

    /// AWS's helper signs the host without its port, git-remote-codecommit with it.
    private static func hosts(_ request: DoorRequest) -> [String] {
        let host = request.head.header("host") ?? ""
        guard let colon = host.lastIndex(of: ":") else { return [host] }
        return [String(host[..<colon]), host]
    }

    // MARK: Answers

    private static let uncached: [(name: String, value: String)] = [
        (name: "Cache-Control", value: "no-cache, max-age=0, must-revalidate"),
        (name: "Expires", value: "Fri, 01 Jan 1980 00:00:00 GMT"), (name: "Pragma", value: "no-cache"),
    ]

    private static func headers(_ service: GitRequest.Service, _ kind: String) -> [(name: String, value: String)] {
        uncached + [(name: "Content-Type", value: "application/x-git-\(service.rawValue)-\(kind)")]
    }

    /// The protocol version that the client speaks (gitprotocol-v2), given on to git.
    private static func environment(_ request: DoorRequest) -> [String] {
        guard let version = request.head.header("git-protocol"), version.utf8.count <= 64,
            version.utf8.allSatisfy({ byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x3A, 0x3D, 0x2E, 0x2D: true
                default: false
                }
            })
        else { return [] }
        return ["GIT_PROTOCOL=" + version]
    }

    /// Streamed: a repository may have millions of references, and protocol version 0 shows them all.
    private func references(
        _ request: DoorRequest, _ service: GitRequest.Service, _ repository: Repository,
        _ completion: @escaping @Sendable (DoorResponse) -> Void
    ) async throws {
        try await inTurn(service) {
            let process = try await git.start(
                [service.rawValue, "--stateless-rpc", "--advertise-refs", "."],
                in: journal.repositories.path(repository.id), .read, environment: GitDoor.environment(request),
                deadline: Limits.transferTime)
            journal.repositories.register(process, in: repository.id)
            defer {
                process.kill()
                journal.repositories.unregister(process, in: repository.id)
            }
            process.endInput()
            // What is wrong with a repository git finds before it writes: then there is still a status to answer with.
            var begin = ByteBuffer()
            while begin.readableBytes < GitDoor.version2.count, let piece = try await process.read() {
                begin.writeImmutableBuffer(piece)
            }
            if begin.readableBytes == 0 {
                _ = await process.exit()
                throw broken(process.errorText, repository)
            }
            var head = ByteBuffer()
            // Version 2 begins without it, as git http-backend has it.
            if !begin.readableBytesView.starts(with: GitDoor.version2) {
                head.writeString(PushCommands.line("# service=git-\(service.rawValue)\n") + "0000")
            }
            head.writeBuffer(&begin)
            let first = head
            let payload = ResponsePayload.stream(length: nil) { writer in
                try await writer.write(first)
                while let piece = try await process.read() { try await writer.write(piece) }
                // Cuts the connection: what has come is not the whole list.
                guard await process.exit() == 0 else { throw broken(process.errorText, repository) }
            }
            completion(
                DoorResponse(status: 200, headers: GitDoor.headers(service, "advertisement"), payload: payload))
            try? await request.context.closed.get()
        }
    }

    private static let version2 = Array("000eversion 2".utf8)

    private func inTurn(_ service: GitRequest.Service, _ body: () async throws -> Void) async throws {
        switch service {
        case .fetch: try await git.fetching(body)
        case .push: try await git.pushing(body)
        }
    }

    private func broken(_ text: String, _ repository: Repository) -> Failure {
        Failure(.storage, "git failed in \(repository.key.arn) (\(repository.id)): \(text.prefix(300))")
    }

    /// What the client asks for is small and read whole; what it gets is streamed as it takes it.
    private func fetch(
        _ request: DoorRequest, _ repository: Repository, _ completion: @escaping @Sendable (DoorResponse) -> Void
    ) async throws {
        try await git.fetching {
            let wanted = try await wholeBody(request)
            let process = try await git.start(
                [GitRequest.Service.fetch.rawValue, "--stateless-rpc", "."],
                in: journal.repositories.path(repository.id), .read, environment: GitDoor.environment(request),
                deadline: Limits.transferTime)
            journal.repositories.register(process, in: repository.id)
            defer {
                process.kill()
                journal.repositories.unregister(process, in: repository.id)
            }
            let payload = ResponsePayload.stream(length: nil) { writer in
                async let written: Void = {
                    try? await process.write(ByteBuffer(bytes: wanted))
                    process.endInput()
                }()
                while let piece = try await process.read() { try await writer.write(piece) }
                await written
            }
            completion(
                DoorResponse(status: 200, headers: GitDoor.headers(.fetch, "result"), payload: payload))
            // Written to its end, or the client has gone: either way the turn is over.
            try? await request.context.closed.get()
        }
    }

    private func wholeBody(_ request: DoorRequest) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        let end = time.now() + Limits.requestTime
        while let piece = try await request.stream?.next() {
            guard bytes.count + piece.readableBytes <= Limits.fetchBytes else { throw Refusal.tooLarge }
            guard time.now() < end else { throw Refusal(status: 408, text: "The request comes too slowly") }
            bytes += piece.readableBytesView
        }
        switch request.head.header("content-encoding")?.lowercased() {
        case nil, "", "identity": return bytes
        case "gzip", "x-gzip":
            do throws(Gunzip.Failure) {
                return try Gunzip.inflate(bytes, limit: Limits.fetchBytes)
            } catch {
                throw error == .tooLarge
                    ? Refusal.tooLarge : Refusal(status: 400, text: "The body is not compressed as its head says")
            }
        default: throw Refusal(status: 415, text: "Unknown encoding of the body")
        }
    }

    // MARK: Push

    private func push(_ request: DoorRequest, _ repository: Repository, _ caller: GitCaller) async throws
        -> DoorResponse
    {
        guard request.head.header("content-encoding").map({ $0.lowercased() == "identity" }) ?? true else {
            throw Refusal(status: 415, text: "Pushes are not taken compressed as a whole; packs are compressed already")
        }
        if let length = request.stream?.contentLength, length > Limits.pushBytes { throw Refusal.tooLarge }
        // Before a large push git asks with an empty one (a flush) whether it may.
        if request.stream?.contentLength == 4 {
            _ = try await request.stream?.next()
            return DoorResponse(
                status: 200, headers: GitDoor.headers(.push, "result"), payload: .bytes(ByteBuffer()))
        }
        return try await git.pushing {
            try await journal.move(repository, caller: caller.arn) { moved in
                let process = try await git.start(
                    [GitRequest.Service.push.rawValue, "--stateless-rpc", "."],
                    in: journal.repositories.path(repository.id), .write, environment: GitDoor.environment(request),
                    deadline: Limits.transferTime)
                journal.repositories.register(process, in: repository.id)
                // The client takes its answer or goes; git is not to go on without it.
                request.context.closed.whenSuccess { process.kill() }
                defer { journal.repositories.unregister(process, in: repository.id) }
                let transfer = await receive(request, process) { commands in
                    try await check(commands, repository.key, caller, request.context)
                }
                let status = await process.exit()
                moved.names = transfer.commands.references
                moved.isClean = status < 128
                return try answer(transfer, status, process, repository)
            }
        }
    }

    private struct Transfer {
        var commands = PushCommands()
        var report = ByteBuffer()
        var refusal: Refusal?
    }

    /// Feeds the push to git, and keeps what git reports: it leaves when the events are recorded. `permit` is asked when the
    /// commands are known and git has not yet seen their end; it throws the refusal.
    private func receive(
        _ request: DoorRequest, _ process: GitProcess, permit: (PushCommands) async throws -> Void
    ) async -> Transfer {
        async let report = report(of: process)
        var transfer = Transfer()
        do {
            var bytes: Int64 = 0
            var isTaken = true
            while let piece = try await request.stream?.next() {
                bytes += Int64(piece.readableBytes)
                let wasDone = transfer.commands.isDone
                transfer.commands.feed(piece)
                if transfer.commands.isOverLimit {
                    transfer.refusal = Refusal(
                        status: 403, text: "A push changes at most \(Limits.pushedReferences) references")
                }
                if transfer.commands.hasUnspeakableName {
                    transfer.refusal = Refusal(status: 400, text: "Names of references must be UTF-8")
                }
                if transfer.commands.hasCertificate {
                    transfer.refusal = Refusal(status: 400, text: "Signed pushes are not supported")
                }
                if bytes > Limits.pushBytes { transfer.refusal = Refusal.tooLarge }
                if transfer.refusal == nil, !wasDone, transfer.commands.isDone {
                    do { try await permit(transfer.commands) } catch let refusal as Refusal {
                        transfer.refusal = refusal
                    }
                }
                if transfer.refusal != nil {
                    process.kill()
                    break
                }
                // git may have seen enough, and says why: the client listens only when it has sent the rest.
                guard isTaken else { continue }
                do { try await process.write(piece) } catch is GitFailure { isTaken = false }
            }
        } catch {
            // The client is gone, or has sent less than it said: nothing of this push is to be kept.
            process.kill()
        }
        process.endInput()
        transfer.report = await report
        return transfer
    }

    private func report(of process: GitProcess) async -> ByteBuffer {
        var report = ByteBuffer()
        while let piece = try? await process.read() {
            guard report.readableBytes + piece.readableBytes <= Limits.reportBytes else {
                process.kill()
                break
            }
            report.writeImmutableBuffer(piece)
        }
        return report
    }

    private func answer(
        _ transfer: Transfer, _ status: CInt, _ process: GitProcess, _ repository: Repository
    ) throws -> DoorResponse {
        if let refusal = transfer.refusal { throw refusal }
        if process.failure == .outOfTime { throw Refusal(status: 408, text: "The push took too long") }
        if process.failure != nil { throw Refusal(status: 503, text: "The push was interrupted") }
        // A refused push is told in the report; without one there is only this.
        guard status == 0 || transfer.report.readableBytes > 0 else {
            logger.notice(
                "git refused a push",
                metadata: [
                    "repository": "\(repository.key.arn)", "status": "\(status)",
                    "reason": "\(process.errorText.prefix(300))",
                ])
            let text = process.errorText.split(separator: "\n").first.map(String.init) ?? "git refused the push"
            throw Refusal(status: 400, text: text)
        }
        return DoorResponse(
            status: 200, headers: GitDoor.headers(.push, "result"), payload: .bytes(transfer.report))
    }
}

extension GitDoor.Refusal {
    static let unauthorized = GitDoor.Refusal(
        status: 401, text: "Credentials are required",
        headers: [(name: "WWW-Authenticate", value: "Basic realm=\"CodeCommit\"")])
    static let forbidden = GitDoor.Refusal(
        status: 403, text: "The user name or the password is not right, or is too old")
    static let tooLarge = GitDoor.Refusal(status: 413, text: "The request is too large")

    init(_ refusal: GitRequest.Refusal) {
        switch refusal {
        case .notFound: self.init(status: 404, text: "Not found")
        case .badMethod: self.init(status: 405, text: "Method not allowed")
        case .badType: self.init(status: 415, text: "Unsupported media type")
        case .dumbClient: self.init(status: 403, text: "Only clients that speak git's smart HTTP are served")
        }
    }
}

extension StringProtocol {
    /// Where a text stands first.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) {
                return start..<index(start, offsetBy: text.count)
            }
            start = index(after: start)
        }
        return nil
    }
}
