import Sandbox

/// What an environment needs of its cell; in tests, a cell without a sandbox.
protocol EnvironmentCell: Sendable {
    var listeners: [(port: Int, descriptor: CInt)] { get }
    func start(_ process: ProcessSpec, stdout: CInt, stderr: CInt) throws(SandboxError)
    func signal(process: UInt32, _ number: CInt)
    func killAll()
    func freeze()
    func thaw()
    func memoryPeakBytes() -> UInt64?
    func memoryUsage() -> MemoryUsage?
    func outOfMemoryKills() -> UInt64?
    func setCPU(millis: Int) throws
    func destroy()
}

protocol CellMaker: Sendable {
    /// Blocks for milliseconds.
    func makeCell(_ spec: CellSpec, onEvent: @escaping @Sendable (CellEvent) -> Void) throws -> any EnvironmentCell
}

extension Cell: EnvironmentCell {}

extension CellLauncher: CellMaker {
    func makeCell(
        _ spec: CellSpec, onEvent: @escaping @Sendable (CellEvent) -> Void
    ) throws -> any EnvironmentCell { try launch(spec, onEvent: onEvent) }
}
