public import Contracts
public import Platform
import Storage
import Wire

extension LambdaService: FunctionDirectory {
    public func resolve(scope: AccountRegion, function: String, qualifier: String) async throws -> FunctionVersion {
        let target = FunctionTarget(scope: scope, name: function, qualifier: qualifier)
        return try await entry(target).pick(draw: draw)
    }

    public func asynchronousSettings(scope: AccountRegion, function: String, qualifier: String) async throws
        -> AsynchronousSettings
    {
        if let cached = cache.settings(scope, function, qualifier) { return cached }
        let mark = cache.mark()
        let target = FunctionTarget(scope: scope, name: function, qualifier: qualifier)
        let settings = try await database.read { transaction in
            let stored = try EventInvokeConfigTable.get(scope, function, qualifier: qualifier, in: transaction)
            var settings = stored?.asynchronous ?? AsynchronousSettings()
            // Of an alias with two versions the first's; AWS wants them to have the same (reference 2.5).
            let record: VersionRecord
            do {
                record = try FunctionResolution.resolve(target, in: transaction).record
            } catch is AWSError {
                return settings
            }
            settings.deadLetterTarget = record.configuration.deadLetterConfig?.targetArn
            settings.roleARN = record.configuration.role
            return settings
        }
        cache.store(settings, scope, function, qualifier, since: mark)
        return settings
    }

    /// What a target resolves to, from the cache or the database. Throws 404, and 409 while it is not ready.
    func entry(_ target: FunctionTarget) async throws -> FunctionCache.Entry {
        let qualifier = target.qualifier ?? Qualifier.latestName
        if let cached = cache.lookup(target.scope, target.name, qualifier) { return cached }
        let mark = cache.mark()
        let (resolved, additional, function) = try await database.read { transaction in
            let resolved = try FunctionResolution.resolve(target, in: transaction)
            var additional: VersionRecord?
            if let version = resolved.alias?.additional?.version {
                additional = try VersionTable.get(
                    target.scope, target.name, number: VersionRecord.number(of: version), in: transaction)
            }
            let function = try FunctionTable.get(target.scope, target.name, in: transaction)
            return (resolved, additional, function)
        }
        let primary = try resolved.record.functionVersion(of: function, codeStore: codeStore)
        let second = try additional?.functionVersion(of: function, codeStore: codeStore)
        for record in [resolved.record] + (additional.map { [$0] } ?? []) {
            do {
                try await unpack(record)
            } catch is AWSError {
                // It was sound when it was deployed: what is on disk is damaged.
                throw AWSError(
                    "InvalidZipFileException", status: 502,
                    "Lambda could not unzip the deployment package of \(record.scope.functionARN(record.name)).",
                    fields: ["Type": "Service"])
            }
        }
        let entry: FunctionCache.Entry =
            if let alias = resolved.alias {
                .alias(alias, primary: primary, additional: second)
            } else {
                .version(primary)
            }
        cache.store(entry, target.scope, target.name, qualifier, since: mark)
        return entry
    }

    /// Makes the directories that a version runs from, where they are not there (any more).
    func unpack(_ record: VersionRecord) async throws {
        codeStore.pin(record.directories)
        defer { codeStore.unpin(record.directories) }
        let code = blobs.hold(record.code)
        defer { code.release() }
        try await codeStore.prepare(CodeStore.Package(name: record.code.hex, archives: [code.path]))
        guard let name = record.layersName else { return }
        let holds = record.layers.map { blobs.hold($0.blob) }
        defer { for hold in holds { hold.release() } }
        try await codeStore.prepare(CodeStore.Package(name: name, archives: holds.map(\.path)))
    }
}
