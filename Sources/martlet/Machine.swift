import Execution
import FoundationEssentials
import Glibc
import Logging
import Platform
import Sandbox

/// What this machine offers: the cell launcher, its control groups and the prepared runtimes.
struct Machine {
    let launcher: CellLauncher
    let groups: ControlGroups?
    let runtimes: RuntimeCatalog
    let warnings: [String]

    /// Throws `Failure(.configuration)` when the launcher's program is not there.
    init(_ settings: Settings, logger: Logger) throws {
        guard let helper = CellLauncher.findHelper() else {
            throw Failure(
                .configuration,
                "martlet-cell, the program that makes cells, is not beside martlet. Build both with `make build`.")
        }
        groups = ControlGroups.detect(logger: logger)
        launcher = CellLauncher(helperPath: helper, groups: groups, logger: logger)
        runtimes = RuntimeCatalog(root: Machine.runtimesRoot(settings.runtimesDirectory))
        warnings = runtimes.problems
    }

    var runtimeNames: [String] { runtimes.entries.map { "\($0.family)\($0.version)" } + ["provided"] }

    /// How many environments may exist at the same time: what fits into half of the memory when each holds 64 MB, which is
    /// what a small function really uses; at least 8, at most the account's concurrency.
    var environmentCapacity: Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let bytes = pages > 0 ? pages * sysconf(Int32(_SC_PAGESIZE)) : 1 << 30
        return min(max(bytes / 2 / (64 << 20), 8), 1_000)
    }

    /// The directory named, else `runtimes` beside the program, else the checkout's.
    static func runtimesRoot(_ named: String?) -> String {
        if let named { return named }
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        var folder = program.split(separator: "/").dropLast()
        let beside = "/" + (folder + ["runtimes"]).joined(separator: "/")
        if FileManager.default.fileExists(atPath: beside) { return beside }
        // A checkout: the program is some folders below the one with .cache/runtimes.
        while !folder.isEmpty {
            let candidate = "/" + (folder + [".cache", "runtimes"]).joined(separator: "/")
            if FileManager.default.fileExists(atPath: candidate) { return candidate }
            folder = folder.dropLast()
        }
        return beside
    }
}
