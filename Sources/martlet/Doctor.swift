import ArgumentParser
import Execution
import Logging
import Sandbox

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what this machine can run, and how to get the rest.",
        discussion: "Exits with 1 when functions cannot run in cells.")

    @OptionGroup var flags: SettingFlags

    func run() async throws {
        let settings = try await flags.resolve()
        var logger = Logger(label: "martlet") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .critical
        print(Terminal.bold("Isolation"))
        let report = SandboxReport.probe(helperPath: CellLauncher.findHelper(), logger: logger)
        for mechanism in report.mechanisms { line(mechanism) }

        print("\n" + Terminal.bold("Runtimes"))
        let catalog = RuntimeCatalog(root: Machine.runtimesRoot(settings.runtimesDirectory))
        for text in catalog.report { print("  " + text) }
        for problem in catalog.problems { print("  \(Terminal.red("missing")) \(problem)") }
        guard report.canRunCells else {
            print(
                "\nFunctions cannot run in cells here. `martlet serve --isolation none` runs them without protection.")
            throw ExitCode(1)
        }
    }

    private func line(_ mechanism: SandboxReport.Mechanism) {
        let mark = mechanism.isAvailable ? Terminal.green("ok     ") : Terminal.red("missing")
        print("  \(mark) \(mechanism.name): \(mechanism.detail)")
        if let remedy = mechanism.remedy, !mechanism.isAvailable { print("          \(remedy)") }
    }
}
